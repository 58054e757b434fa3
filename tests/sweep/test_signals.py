"""What ends a run from outside: by the signals of clusters it stops as by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import yaml
from ray.tune import Callback

import sweep
from analysis.run_metrics.metric import Metric
from methods.testing.toy import TOY, Toy, toy_study
from sweep.cli.main import main
from sweep.engine import cluster
from sweep.signals import CAUGHT, terminated_as_interrupted

PATIENCE = 600
"""Seconds for a start, or for an end, on a machine that others use."""
RUN = [str(Path(sys.executable).with_name("sweep")), "run", "study.yaml"]
IN_BACKGROUND = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
"""As shells do for a command that ends in `&`: it ignores Ctrl-C."""
SIGNALS = [([], signal.SIGTERM), (IN_BACKGROUND, signal.SIGTERM), ([], signal.SIGINT)]
SAID = "Stopped. Finished stages are saved. Resume with: sweep run study.yaml"


def write_study(folder: Path, models: Path, **changes: Any) -> None:
    study = {
        "name": "stopped",
        "benchmark": {"name": TOY},
        "backbones": {"clip": {"path": str(models / "clip")}},
        "methods": ["finetune", "lwf", "er"],
        "training": {"steps": 400, "batch_size": 16},
        "lanes": {"count": 1, "cpus_per_worker": 1},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study | changes))


class Signalled(Toy):
    """Data that are looked at when the process is told to stop."""

    number: int

    def fingerprint(self) -> str:
        """Sends the signal."""
        signal.raise_signal(self.number)
        return super().fingerprint()


def signalling(number: int) -> Metric:
    """Returns a metric that is asked for when the process is told to stop."""

    def lowest(R: np.ndarray) -> np.ndarray:
        """Minimum over k and i of R[k, i]."""
        signal.raise_signal(number)
        return R.min(axis=(-2, -1))

    return Metric("lowest", "Lowest", lowest)


TERMINATED, INTERRUPTED = map(signalling, (signal.SIGTERM, signal.SIGINT))


class Ends:
    """Is told to stop where Python ignores exceptions: in a finaliser."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_python_ignores_counts(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    reached: list[str] = []

    def run(*, is_early: bool) -> None:
        with terminated_as_interrupted():
            if is_early:
                Ends(number)
            reached.append("planned")
            with terminated_as_interrupted():
                if not is_early:
                    Ends(number)
                reached.append("run")
            reached.append("reported")

    def fail() -> None:
        with terminated_as_interrupted():
            Ends(number)
            raise ZeroDivisionError

    def try_again() -> None:
        """As Ray is started again where it has failed."""
        with terminated_as_interrupted():
            with suppress(ZeroDivisionError):
                fail()
            reached.append("failed")
            with terminated_as_interrupted():
                reached.append("begun again")

    with pytest.raises(KeyboardInterrupt):
        run(is_early=True)
    assert reached == ["planned"]
    with pytest.raises(KeyboardInterrupt):
        run(is_early=False)
    assert reached == ["planned", "planned", "run"]
    with pytest.raises(KeyboardInterrupt):
        try_again()
    assert reached[3:] == ["failed"]
    with pytest.raises(ZeroDivisionError):
        fail()
    with terminated_as_interrupted():
        """It counts once."""
    assert sys.unraisablehook is hook
    assert "KeyboardInterrupt" not in capsys.readouterr().err


class Told(list[Callback]):
    """Callbacks that are looked at when the process is told to stop, which Python ignores."""

    def __iter__(self) -> Iterator[Callback]:
        Ends(signal.SIGTERM)
        return super().__iter__()


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_nothing_begins_after_a_signal_that_python_ignored(tmp_path: Path) -> None:
    study = toy_study(tmp_path, design={"name": "fixed", "orders": [["a", "b", "c"]]})
    with pytest.raises(KeyboardInterrupt):
        sweep.run(study, str(tmp_path / "out"), callbacks=Told())
    assert not list((tmp_path / "out").glob("stages/*"))


def test_other_exceptions_that_python_ignores_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Wrong:
        def __del__(self) -> None:
            raise ValueError

    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: shown.append(ignored.exc_type))
    with terminated_as_interrupted():
        Wrong()
    assert shown == [ValueError]


def test_ray_does_not_abort_what_ends_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(**_: object) -> None:
        signal.alarm(600)
        sys.exit(signal.SIGTERM)

    monkeypatch.setattr(ray, "init", told)
    with pytest.raises(KeyboardInterrupt):
        cluster._init()
    assert signal.alarm(0) == 0


@pytest.mark.parametrize(("shell", "number"), SIGNALS)
def test_a_signal_stops_a_run_that_is_planned(
    tmp_path: Path, models: Path, shell: list[str], number: int
) -> None:
    """In the first seconds, before Ray starts and the folder is taken."""
    benchmark = {"name": "tests.sweep.test_signals:Signalled", "number": int(number)}
    write_study(tmp_path, models, benchmark=benchmark)
    run = subprocess.run(
        [*shell, *RUN, "--out", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 130, run
    assert SAID in run.stdout
    assert "Traceback (most recent call last)" not in run.stdout + run.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
@pytest.mark.parametrize("metric", ["TERMINATED", "INTERRUPTED"])
def test_a_signal_stops_a_run_whose_report_is_written(
    tmp_path: Path,
    models: Path,
    metric: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """When Tune has run, which leaves a handler that takes the next Ctrl-C for its own."""
    monkeypatch.chdir(tmp_path)
    report = {"metrics": [f"tests.sweep.test_signals:{metric}"]}
    design = {"name": "fixed", "orders": [["a", "b", "c"], ["c", "b", "a"]]}
    write_study(tmp_path, models, methods=["zero_shot"], design=design, report=report)
    before = [signal.getsignal(number) for number in CAUGHT]
    assert main(["run", "study.yaml", "--out", "out"]) == 130
    assert SAID in capsys.readouterr().out
    assert (tmp_path / "out/manifest.json").exists()
    assert not (tmp_path / "out/report.html").exists()
    assert [signal.getsignal(number) for number in CAUGHT] == before


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("moment", ["running/*", "stages/*/stage.*json"])
@pytest.mark.parametrize(("shell", "number"), SIGNALS)
def test_a_signal_stops_a_run_cleanly(
    tmp_path: Path, models: Path, shell: list[str], number: int, moment: str
) -> None:
    """While Ray starts, for which the folder has been taken, and when a stage is done."""
    write_study(tmp_path, models)
    out = tmp_path / "out"
    run = subprocess.Popen(
        [*shell, *RUN, "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(out.glob(moment)):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.send_signal(number)
        said, errors = run.communicate(timeout=PATIENCE)
    finally:
        run.kill()
    assert run.returncode == 130, (said, errors)
    assert SAID in said
    assert "Traceback (most recent call last)" not in said + errors
    assert not list(out.glob("running/*"))
    if moment != "running/*":
        assert (out / "manifest.json").exists()
        assert list(out.glob("results/*.parquet"))
