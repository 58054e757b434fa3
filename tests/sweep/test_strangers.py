"""What a stranger's run folder may do to those who look at it: nothing."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from sweep.cli.main import main
from sweep.storage.run_folder import RunFolder
from tests.sweep.plans import plan_of, study_of
from tests.sweep.test_run_folder import finish, opened

TRAP = "from pathlib import Path\nPath(__file__).with_suffix('.ran').write_text('')\n"
OPTIONAL = ("numexpr", "bottleneck")
"""Modules that pandas imports if it finds them, and which are not installed."""
METRIC = f"""{TRAP}
from analysis.run_metrics.metric import Metric
LOWEST = Metric("lowest", "Lowest", lambda R: R.min(axis=(-2, -1)))
"""


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A finished run whose study names a metric; modules lie in its folder."""
    run_folder = opened(tmp_path / "run", plan_of(study_of([("a", "b"), ("b", "a")], ["finetune"])))
    finish(run_folder, run_folder.plan.units)
    run_folder.flush(run_folder.plan.units, {})
    file = tmp_path / "run/study.yaml"
    named = {"metrics": ["own_metric:LOWEST"], "panels": []}
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"report": named}))
    for module in (*OPTIONAL, "own_metric"):
        (tmp_path / f"run/{module}.py").write_text(METRIC if module == "own_metric" else TRAP)
    return tmp_path / "run"


def ran(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.ran"))


def sweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("sweep")), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", ["status", "report"])
def test_looking_at_a_run_runs_no_code_of_its_folder(downloaded: Path, verb: str) -> None:
    done = sweep(downloaded, verb, ".")
    assert done.returncode == 0, done.stderr
    assert ran(downloaded) == []
    if verb == "report":
        assert "The report lacks a metric: Metric 'own_metric:LOWEST'" in done.stderr
        assert "is run if PYTHONPATH=. stands before the command" in done.stderr


def test_code_that_a_study_names_is_announced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it runs; and only what is not of this package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    Path("announced_method.py").write_text(
        "from methods.baselines.finetune import FineTune\nprint('imported')\n"
        "class Mine(FineTune): pass\n"
    )
    study = {
        "name": "own",
        "benchmark": {"name": "methods.testing.toy:Toy"},
        "methods": {"one": "announced_method:Mine", "two": {"method": "announced_method:Mine"}},
        "backbones": ["nowhere"],
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    assert main(["plan", "study.yaml"]) == 2
    first, second, *others = capsys.readouterr().out.splitlines()
    assert first == "Runs code that the study names: announced_method:Mine"
    assert second == "imported"
    assert not [line for line in others if "Runs code" in line]


def test_no_pickles_stay_in_a_run_folder(tmp_path: Path) -> None:
    """Those that are called JSON included."""
    run_folder = RunFolder(str(tmp_path), plan_of(study_of([("a", "b")], ["finetune"])))
    for name in ("tuner.pkl", "basic-variant-state-1.json", "experiment_state-1.json"):
        run_folder.folder.write(b"", "tune", "orders", name)
    run_folder.folder.write(b"{}", "tune", "orders", "order_1", "result.json")
    run_folder.folder.write(b"", "tune", "orders", "order_1", "error.pkl")
    run_folder.remove_pickles()
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["result.json"]


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_a_ray_of_our_own_listens_on_the_loopback_interface_alone() -> None:
    import ray

    @ray.remote
    def work() -> None: ...

    ray.get(work.remote())
    listening = {}
    for process in psutil.Process().children(recursive=True):
        try:
            found = process.net_connections(kind="inet")
        except psutil.Error:  # it has ended meanwhile
            continue
        for one in found:
            if one.status == psutil.CONN_LISTEN:
                listening[process.name(), one.laddr.port] = one.laddr.ip
    assert {"gcs_server", "raylet"} <= {name for name, _ in listening}
    assert set(listening.values()) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, listening
