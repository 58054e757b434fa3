"""Resources of lanes whose owner has died; they are freed, granted or not. In Ray."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group, placement_group_table

from methods.testing.toy import TOY, toy_study
from sweep import run
from sweep.engine import placement
from sweep.engine.contract import LaneLimits
from sweep.engine.placement import free_own, free_ownerless, why_none_starts

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]


LIMITS = LaneLimits(
    count=1, workers=4, needs={"CPU": 1000.0, "GPU": 0.0}, start_seconds=60.0, stage_seconds=None
)


@pytest.fixture
def owner() -> Any:
    """Actors that make a placement group each, as Train's controllers do."""

    class Worker:
        def pid(self) -> int:
            return os.getpid()

    class Owner:  # in a function, since Ray would look for this file otherwise
        def __init__(self, cpus: int) -> None:
            self.group = placement_group([{"CPU": cpus}])

        def made(self, wait: bool) -> tuple[int, str]:
            """The process, and the group's name once it is granted."""
            if wait:
                assert self.group.wait(60)
            return os.getpid(), self.group.id.hex()

        def end(self, how: str) -> None:
            """Frees the group, of which a worker has died, was ended, or is at work."""
            worker = ray.remote(Worker).options(num_cpus=0, placement_group=self.group).remote()
            pid = ray.get(worker.pid.remote())
            if how == "dies":
                os.kill(pid, signal.SIGKILL)
            if how == "is freed":
                free_own()
            if how == "is ended":
                ray.kill(worker)
            with suppress(ray.exceptions.RayActorError):
                while True:
                    ray.get(worker.pid.remote())
            ray.util.remove_placement_group(self.group)

    return ray.remote(Owner).options(num_cpus=0)


def state_of(group: str) -> str:
    return str(placement_group_table()[group]["state"])


def wait_until_freed(groups: list[str]) -> None:
    deadline = time.monotonic() + 60
    while any(state_of(group) != "REMOVED" for group in groups):
        assert time.monotonic() < deadline, [state_of(group) for group in groups]
        free_ownerless()
        time.sleep(0.1)


def test_groups_of_the_dead_are_freed_and_no_others(owner: Any) -> None:
    granted = owner.remote(1)
    pid, has = ray.get(granted.made.remote(True))
    waiting = owner.remote(1000)
    other, wants = ray.get(waiting.made.remote(False))
    alive = owner.remote(1)
    _, keeps = ray.get(alive.made.remote(True))
    ours = placement_group([{"CPU": 1000}])  # made by no actor, as those of Tune are
    free_ownerless()
    assert [state_of(group) for group in (has, wants, keeps)] == ["CREATED", "PENDING", "CREATED"]
    for process in (pid, other):
        os.kill(process, signal.SIGKILL)
    wait_until_freed([has, wants])
    assert state_of(keeps) == "CREATED"
    assert state_of(ours.id.hex()) == "PENDING"
    ray.util.remove_placement_group(ours)
    ray.kill(alive)
    wait_until_freed([keeps])


def test_what_a_lane_waits_for_is_said(owner: Any) -> None:
    assert why_none_starts(LIMITS, 0) == "no trial has asked for the resources of one"
    waiting = owner.remote(1000)
    _, wants = ray.get(waiting.made.remote(False))
    room = "the cluster has no room for one, which takes 1000 CPUs (2 of 2 are free)"
    assert why_none_starts(LIMITS, 0) == room
    assert why_none_starts(LIMITS, 2) == f"{room}, without 2 machines left out"
    granted = owner.remote(1)
    _, has = ray.get(granted.made.remote(True))
    assert why_none_starts(LIMITS, 0).startswith("workers were given resources, but none of them")
    for actor in (waiting, granted):
        ray.kill(actor)
    wait_until_freed([wants, has])


def test_a_study_for_which_there_is_never_room_ends_and_says_why(
    tmp_path: Path,
) -> None:
    class Other:
        def ready(self) -> None:
            """Answers once it has its place."""

    other = ray.remote(Other).options(num_cpus=2).remote()
    ray.get(other.ready.remote())
    study = toy_study(
        tmp_path,
        design={"name": "fixed", "orders": [["a", "b"]]},
        benchmark={"name": TOY, "num_tasks": 2},
        lanes={"count": 1, "start_timeout": 1.0},
    )
    said: list[str] = []
    finished = run(
        study, str(tmp_path / "out"), on_progress=lambda progress, _: said.append(progress.idle)
    )
    room = "because the cluster has no room for one, which takes 1 CPUs (0 of 2 are free)"
    assert finished.is_settled
    assert {error.partition(" s ")[2] for error in finished.failed.values()} == {room}
    assert len(finished.failures) == 1
    assert any(sentence.endswith(room) for sentence in said)
    ray.kill(other)
    patient = study.lanes.model_copy(update={"start_timeout": 10})
    again = run(study.model_copy(update={"lanes": patient}), str(tmp_path / "out"))
    assert (again.is_settled, again.failed) == (True, {})


def test_what_ray_knows_of_lanes_that_have_ended(owner: Any) -> None:
    """Where they were, and whether a worker died by itself."""
    here = ray.get_runtime_context().get_node_id()
    for how in ("dies", "is freed", "is ended"):
        maker = owner.remote(1)
        _, group = ray.get(maker.made.remote(True))
        assert group not in placement.ended()
        ray.get(maker.end.remote(how))
        assert placement.ended()[group] == {here}
        assert placement.crashed(group) == ({here} if how == "dies" else set())
        ray.kill(maker)
    waiting = owner.remote(1000)
    _, group = ray.get(waiting.made.remote(False))
    ray.kill(waiting)
    wait_until_freed([group])
    assert group not in placement.ended()  # it never was anywhere


def test_how_many_workers_a_machine_holds() -> None:
    here = ray.get_runtime_context().get_node_id()
    assert placement.room_on(replace(LIMITS, needs={"CPU": 4.0})) == {here: 2}
    assert placement.room_on(replace(LIMITS, needs={"CPU": 4.0, "GPU": 4.0})) == {}
    assert placement.room_on(replace(LIMITS, needs={"CPU": 0.0})) == {here: 4}
    assert placement.is_alone()
    assert placement.title_of(here).startswith(f"{ray.util.get_node_ip_address()} (")
