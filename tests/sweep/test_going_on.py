"""Stages that go on from a checkpoint: their process is killed, or their machine has to leave."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

import sweep
from methods.testing.toy import TOY, toy_study
from sweep.engine.driver import Finished
from sweep.storage.store import Store
from sweep.study.schema import Study

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 200
NOTICE = 3600
"""Seconds that a machine says it will still be there, so that only the notice can make it leave."""


def study_in(folder: Path, minutes: float) -> Study:
    """One stage of some seconds, and a short one."""
    return toy_study(
        folder,
        {"notes": {"method": "tests.faulty:Notes", "notes": str(folder / "notes"), "seconds": 0.4}},
        benchmark={"name": TOY, "num_tasks": 2},
        design={"name": "fixed", "orders": [["a", "b"]]},
        training={"steps": STEPS, "batch_size": 16, "lr": 3e-3, "per_task": {"b": {"steps": 5}}},
        lanes={"count": 1, "checkpoint_minutes": minutes},
    )


def noted(folder: Path) -> dict[int, list[int]]:
    """The steps of the first stage that each process has done."""
    steps: dict[int, list[int]] = {}
    if (folder / "notes").exists():
        for line in (folder / "notes").read_text().splitlines():
            prefix, met, process = line.split()
            if prefix == "a":
                steps.setdefault(int(process), []).append(int(met))
    return steps


def hurry(folder: Path) -> None:
    """Lets steps take no longer than they have to once another process has taken over."""
    if len(noted(folder)) == 2:
        (folder / "notes.hurry").touch()


def check(folder: Path, finished: Finished, study: Study) -> tuple[list[int], list[int]]:
    """The steps of both processes; the result is that of one that was left alone."""
    assert (finished.is_settled, finished.failed) == (True, {})
    first, second = noted(folder).values()  # before this process leaves its own
    assert not list((folder / "out").glob("stages/*/checkpoint*"))
    records, _ = sweep.run_single(study, "notes", ("a", "b"))
    stored = Store(finished.out)
    assert [stored.record(record.key).scores for record in records] == [
        record.scores for record in records
    ]
    assert first == list(range(1, len(first) + 1))
    assert second == list(range(second[0], STEPS + 1))
    return first, second


@pytest.mark.usefixtures("shared_ray")
def test_a_killed_worker_goes_on_from_the_last_checkpoint(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(*_: object) -> None:
        hurry(tmp_path)
        if not killed and list(tmp_path.glob("out/stages/*/checkpoint.json")):
            killed.extend(noted(tmp_path))
            os.kill(killed[0], signal.SIGKILL)

    study = study_in(tmp_path, minutes=0)
    finished = sweep.run(study, str(tmp_path / "out"), on_progress=kill)
    first, second = check(tmp_path, finished, study)
    assert 1 < second[0] <= first[-1] + 1 < STEPS


@pytest.fixture
def cluster(no_ray: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head, and two machines for one lane each."""
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "1")
    # The Ray that other tests share has none, and has left its environment.
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")
    on_head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=on_head)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_machine_that_has_to_leave_hands_its_stage_over(tmp_path: Path, cluster: Cluster) -> None:
    told: list[tuple[bool, str]] = []

    def warn(*_: object) -> None:
        hurry(tmp_path)
        if not told and any(len(steps) > 10 for steps in noted(tmp_path).values()):
            rooms = ray.util.placement_group_table().values()  # the trial's too
            (lane,) = [room for room in rooms if room["bundles"][0].get("CPU")]
            node = lane["bundles_to_node_id"][0]
            deadline = int(1000 * (time.time() + NOTICE))
            preempted = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
            told.append(GcsClient(cluster.address).drain_node(node, preempted, "", deadline))

    study = study_in(tmp_path, minutes=60)
    finished = sweep.run(study, str(tmp_path / "out"), address=cluster.address, on_progress=warn)
    assert told == [(True, "")]
    first, second = check(tmp_path, finished, study)
    assert second[0] == first[-1] + 1  # no step was lost
    losses = json.loads((tmp_path / "out" / "manifest.json").read_text())["losses"]
    (loss,) = losses
    assert loss.startswith(f"'notes: a' goes on after step {first[-1]} on another machine, since ")
    assert loss.endswith(" is about to vanish")
