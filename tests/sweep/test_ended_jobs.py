"""Resources that Ray grants to a job that has been killed; the next study frees them. In Ray."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray._private.state import state
from ray.core.generated import gcs_service_pb2 as messages
from ray.core.generated.gcs_service_pb2_grpc import PlacementGroupInfoGcsServiceStub
from ray.util.placement_group import (
    PlacementGroup,
    placement_group_table,
    remove_placement_group,
)

from sweep.engine.ended_jobs import free_of_ended_jobs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

OTHER = """
import sys, ray
class Owner:
    def name(self):
        return ray.get_runtime_context().get_actor_id()
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
owner = ray.remote(Owner).options(num_cpus=0).remote()
print(ray.get_runtime_context().get_job_id(), ray.get(owner.name.remote()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple["subprocess.Popen[str]", str, str]]:
    """Another driver on this Ray, with its job and its actor."""
    address = ray.get_runtime_context().gcs_address
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        job, actor = process.stdout.readline().split()
        yield process, job, actor
    finally:
        process.kill()
        process.communicate()


def ask_for_a_group(job: str, actor: str, is_detached: bool = False) -> str:
    """What an actor sends to Ray when it asks for a placement group; returns the group's name."""
    group = ray.PlacementGroupID.of(ray.JobID.from_hex(job))
    request = messages.CreatePlacementGroupRequest()
    spec = request.placement_group_spec
    spec.placement_group_id = group.binary()
    spec.creator_job_id = bytes.fromhex(job)
    spec.creator_actor_id = bytes.fromhex(actor)
    spec.is_detached = is_detached
    bundle = spec.bundles.add()
    bundle.bundle_id.placement_group_id = group.binary()
    bundle.unit_resources["CPU"] = 0.5
    channel = init_grpc_channel(ray.get_runtime_context().gcs_address)
    PlacementGroupInfoGcsServiceStub(channel).CreatePlacementGroup(request, timeout=30)
    channel.close()
    return str(group.hex())


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def state_of(group: str) -> str:
    table: dict[str, Any] = placement_group_table()
    return str(table[group]["state"])


def has_ended(job: str) -> bool:
    return any(one["JobID"] == job and one["IsDead"] for one in state.job_table())


def test_groups_that_a_killed_job_asked_for_too_late_are_freed(
    other: tuple["subprocess.Popen[str]", str, str],
) -> None:
    process, job, actor = other
    early = ask_for_a_group(job, actor)
    wait_until(lambda: state_of(early) == "CREATED")
    free_of_ended_jobs()
    assert state_of(early) == "CREATED"  # of a job that lives
    process.kill()
    wait_until(lambda: has_ended(job) and state_of(early) == "REMOVED")  # by Ray itself
    late, kept = ask_for_a_group(job, actor), ask_for_a_group(job, actor, is_detached=True)
    wait_until(lambda: (state_of(late), state_of(kept)) == ("CREATED", "CREATED"))
    time.sleep(2)
    assert state_of(late) == "CREATED", "Ray frees such groups itself now: this is not needed"
    free_of_ended_jobs()
    wait_until(lambda: state_of(late) == "REMOVED")
    assert state_of(kept) == "CREATED"
    remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(kept)))
