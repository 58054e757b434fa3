"""What ends a run from outside: by the signals of clusters it stops as by Ctrl-C."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from methods.testing.toy import TOY

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]
PATIENCE = 600
"""Seconds for a start, or for an end, on a machine that others use."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_run_cleanly(tmp_path: Path, models: Path, number: int) -> None:
    study = {
        "name": "stopped",
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": str(models / "clip")}},
        "methods": ["finetune", "lwf", "er"],
        "training": {"steps": 400, "batch_size": 16},
        "lanes": {"count": 1, "cpus_per_worker": 1},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    out = tmp_path / "out"
    command = [str(Path(sys.executable).with_name("sweep")), "run", "study.yaml", "--out", "out"]
    run = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(out.glob("stages/*/stage.*json")):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(number)
        said, errors = run.communicate(timeout=PATIENCE)
    finally:
        run.kill()
    assert run.returncode == 130, (said, errors)
    assert "Stopped. Finished stages are saved. Resume with: sweep run study.yaml" in said
    assert "Traceback (most recent call last)" not in said + errors
    assert (out / "manifest.json").exists()
    assert list(out.glob("results/*.parquet"))
    assert not list(out.glob("running/*"))
