"""Machines on which lanes cannot work are left out. On Ray's local cluster of several nodes."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

import sweep
from methods.testing.toy import toy_study
from sweep import Study
from sweep.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("no_ray")]
ORDER = ("a", "b", "c")
Nodes = Callable[..., str]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """Starts a head, and a node of one CPU per fault; returns the cluster's address."""
    clusters: list[Cluster] = []

    def start(*faults: str, gpus: int = 0) -> str:
        # Paths of sockets must be short, and Ray leaves the address of its last cluster there.
        monkeypatch.setenv("RAY_TMPDIR", tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        on_head = {"num_cpus": gpus, "num_gpus": gpus, "include_dashboard": False}
        for left in (2, 1, 0):
            try:
                clusters.append(Cluster(initialize_head=True, head_node_args=on_head))
                break
            except Exception:  # Ray waits 15 s for its own processes, and raises bare ones
                if not left:
                    raise
        for fault in faults:
            clusters[0].add_node(num_cpus=1, env_vars={"FAULT": fault})
        return str(clusters[0].address)

    yield start
    for cluster in clusters:
        cluster.shutdown()


def study_of(folder: Path, **lanes: float) -> Study:
    return toy_study(
        folder,
        benchmark={"name": "tests.faulty:Elsewhere", "notes": str(folder)},
        design={"name": "fixed", "orders": [list(ORDER), ["b", "a", "c"], ["c", "a", "b"]]},
        lanes=lanes,
    )


def check_results(study: Study, out: str) -> None:
    """They are those of one process, without Ray."""
    records, _ = sweep.run_single(study, "finetune", ORDER)
    stored = Store(out)
    assert len(records) == 4
    for record in records:
        assert stored.record(record.key).scores == record.scores


def left_out(out: str) -> list[str]:
    losses: list[str] = json.loads((Path(out) / "manifest.json").read_text())["losses"]
    assert all(loss.startswith("machine ") for loss in losses), losses
    return sorted(loss.partition(" is left out: ")[2] for loss in losses)


@pytest.mark.slow
def test_machines_without_data_or_weights_are_left_out(tmp_path: Path, nodes: Nodes) -> None:
    address = nodes("data", "weights", "good")
    study = study_of(tmp_path, count=3)
    finished = sweep.run(study, str(tmp_path / "out"), address)
    assert (finished.is_settled, finished.failed) == (True, {})
    changed = f"ChangedError: backbone '{tmp_path}/clip': its files have changed since the study"
    weights, data = left_out(finished.out)
    assert weights.startswith(changed)
    assert data == "FileNotFoundError: there is no folder data/toy"
    check_results(study, finished.out)


@pytest.mark.long
def test_machines_on_which_workers_do_not_start_are_left_out(tmp_path: Path, nodes: Nodes) -> None:
    """The good one is late, so that the others are tried until they are left out."""
    address = nodes("device", "dies", "waits")
    study = study_of(tmp_path, count=3)
    finished = sweep.run(study, str(tmp_path / "out"), address)
    assert (finished.is_settled, finished.failed) == (True, {})
    assert left_out(finished.out) == [
        "workers did not start there 3 times in a row: RuntimeError: CUDA error: unspecified "
        "launch failure",
        "workers did not start there 3 times in a row: their processes died (a broken driver or "
        "device, or out of memory?)",
    ]
    # Another lane may be about to start there when one ends for the third time.
    starts = [len(list(tmp_path.glob(f"{fault}-*"))) for fault in ("device", "dies")]
    assert all(3 <= count < 3 + 3 for count in starts)
    check_results(study, finished.out)


@pytest.mark.slow
def test_a_study_ends_when_no_machine_is_left(tmp_path: Path, nodes: Nodes) -> None:
    address = nodes("data", "data")
    study = study_of(tmp_path, count=1, start_timeout=1.5)
    finished = sweep.run(study, str(tmp_path / "out"), address)
    assert finished.is_settled
    (error,) = set(finished.failed.values())
    assert error.startswith("what is left of the cluster cannot hold a lane, without 2 machines ")
    assert error.endswith(": FileNotFoundError: there is no folder data/toy")
    assert len(list(tmp_path.glob("data-*"))) == 2  # the only lane was not started twice on one


@pytest.mark.slow
def test_a_study_ends_when_workers_do_not_start_on_the_only_machine(
    tmp_path: Path, nodes: Nodes
) -> None:
    """It has a GPU, says Ray, but torch finds none, as where its driver is broken."""
    address = nodes(gpus=1)
    study = study_of(tmp_path, count=1, gpus_per_worker=1)
    finished = sweep.run(study, str(tmp_path / "out"), address)
    assert finished.is_settled
    (error,) = set(finished.failed.values())
    times, _, why = error.partition(": ")
    assert times == "workers did not start there 6 times in a row"
    assert re.match("(ValueError|RuntimeError): .*(NCCL|GPU)", why)
