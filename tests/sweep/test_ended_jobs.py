"""Resources that Ray grants to a job that has just been killed; the next study frees them."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group_table

from sweep.engine.ended_jobs import free_of_ended_jobs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

TRIES = 20
OTHER = """
import sys, time, ray
from ray.util.placement_group import placement_group

class Owner:
    def go_on(self):
        while True:  # more than there is, so that they wait
            placement_group([{"CPU": 1000}], name="other")
            time.sleep(0.005)

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
owner = ray.remote(Owner).options(num_cpus=0).remote()
owner.go_on.remote()
sys.stdin.read()
"""


def others() -> set[str]:
    """Groups of other jobs that are there."""
    table: dict[str, Any] = placement_group_table()
    return {
        key
        for key, group in table.items()
        if group["name"] == "other" and group["state"] != "REMOVED"
    }


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def settled() -> set[str]:
    """Waits until the groups of other jobs change no more."""
    found: list[set[str]] = [others()]
    wait_until(lambda: time.sleep(1) or found.append(others()) or found[-1] == found[-2])
    return found[-1]


def test_groups_that_a_killed_job_asked_for_too_late_are_freed() -> None:
    address = ray.get_runtime_context().gcs_address
    for _ in range(TRIES):
        process = subprocess.Popen([sys.executable, "-c", OTHER, address], stdin=subprocess.PIPE)
        try:
            wait_until(others)
            free_of_ended_jobs()
            assert others()  # of a job that lives
        finally:
            process.kill()
            process.communicate()
        if left := settled():
            break
    assert left, "Ray keeps no such groups any more: free_of_ended_jobs is not needed"
    wait_until(lambda: free_of_ended_jobs() or not others())
