"""Studies on a cluster of this machine in which everything fails: `benchmarks/chaos.py`.

What is checked of every study, and fails the test, are the `problems` that it finds.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
KINDS = {
    "worker",
    "controller",
    "trial",
    "coordinator",
    "raylet",
    "node",
    "frozen node",
    "driver",
    "driver SIGTERM",
    "driver SIGINT",
    "stopped worker",
    "stopped worker, long",
    "full disk",
}


def chaos(tmp_path: Path, faults: int, seed: int, seconds: float) -> dict[str, Any]:
    """What the benchmark has found; it may take so many seconds."""
    told, said = tmp_path / "told.json", tmp_path / "said.txt"
    options = ["--faults", str(faults), "--seed", str(seed), "--json", str(told)]
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(BENCHMARK), *options], stdout=output, stderr=output
        )
    try:
        process.wait(seconds)
    finally:
        _end(process)
    assert told.exists(), said.read_text()
    found: dict[str, Any] = json.loads(told.read_text())
    assert found["problems"] == [], said.read_text()
    assert process.returncode == 0
    return found


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a benchmark that still runs, and all that it has started."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()  # it ends its cluster then
    for left in psutil.wait_procs(family, timeout=60)[1]:
        left.kill()
    process.kill()
    process.wait()


def check_kinds(found: dict[str, Any], times: int) -> None:
    """Every kind of fault has happened so often."""
    kinds = Counter(fault["kind"] for fault in found["faults"])
    left_out = set(found["left_out"])
    assert left_out <= {"full disk"}  # it takes the right to mount one
    assert kinds.keys() == KINDS - left_out
    assert set(kinds.values()) == {times}


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_studies_survive_every_kind_of_fault(tmp_path: Path) -> None:
    found = chaos(tmp_path, len(KINDS), seed=1, seconds=1700)
    check_kinds(found, 1)


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_studies_survive_many_faults(tmp_path: Path) -> None:
    found = chaos(tmp_path, 4 * len(KINDS), seed=2, seconds=7000)
    check_kinds(found, 4)
