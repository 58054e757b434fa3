"""Loggers: what they show, and that they neither change results nor break the study."""

import os
import struct
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs
from ray.tune import Callback
from ray.tune.logger import LoggerCallback

import sweep
from analysis import load
from analysis.data.results import MARK
from methods.testing.toy import toy_study
from sweep.cli.main import LOGGERS, main
from sweep.engine import loggers
from sweep.engine.driver import Finished
from sweep.engine.loggers import PACKAGES, Guarded, make_loggers
from sweep.errors import InputError
from sweep.preview.status import RunStatus, run_status
from sweep.study.schema import Study
from tests.test_packaging import ROOT, project

ORDERS = [["a", "b", "c"], ["c", "b", "a"]]
METHODS = ("finetune", "er")


class Failing(Callback):
    """A logger whose server is away."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def setup(self, **info: Any) -> None:
        self.called.append("setup")

    def on_trial_start(self, **info: Any) -> None:
        self.called.append("start")
        raise ConnectionError("the server is away")

    def on_trial_result(self, **info: Any) -> None:
        self.called.append("result")
        info["result"]["average_accuracy"] = 7.0
        raise SystemExit(3)


class Looking(Callback):
    """Looks at the run folder when a stage is done, as any process may."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seen: list[RunStatus] = []

    def on_trial_result(self, **info: Any) -> None:
        self.seen.append(run_status(str(self.out)))


def study_in(folder: Path) -> Study:
    design = {"name": "fixed", "orders": ORDERS}
    return toy_study(folder, METHODS, design=design, lanes={"count": 2, "cpus_per_worker": 1})


def test_the_command_names_all_loggers() -> None:
    assert LOGGERS == "tensorboard, mlflow or wandb"
    assert list(PACKAGES) == list(loggers._MAKERS) == LOGGERS.replace(" or", ",").split(", ")


def test_tests_of_all_loggers_run_where_the_package_is_developed() -> None:
    """They are skipped where a package is missing, as it may be elsewhere."""
    extras = project(ROOT)["project"]["optional-dependencies"]
    assert PACKAGES.keys() <= extras.keys()
    assert all(name in extras["dev"][0] for name in PACKAGES)


def test_a_logger_that_is_not_there_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "quickstart", "--log", "tensorbord"]) == 2
    assert "Did you mean 'tensorboard'?" in capsys.readouterr().err
    for name, package in PACKAGES.items():
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
        assert main(["run", "quickstart", "--log", name]) == 2
        said = capsys.readouterr().err
        assert f"--log {name} needs the package {package}, which is not installed" in said
        assert f"pip install 'task-order-sweep[{name}]'" in said
    assert list(tmp_path.iterdir()) == []


def test_a_command_to_resume_has_its_loggers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[str]] = []

    def run(*given: Any) -> Finished:
        seen.append([one.label for one in given[-1]])
        return Finished("out", None, {}, is_settled=False, stopped="", error="")

    monkeypatch.setattr("sweep.engine.driver.run", run)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "quickstart", "--log", "tensorboard", "--log", "tensorboard"]) == 130
    assert seen == [["tensorboard"]]
    again = capsys.readouterr().out
    assert "sweep run quickstart --log tensorboard --log tensorboard" in again


def test_numbers_alone_are_logged() -> None:
    result = {
        "stage": 3,
        "average_accuracy": float("nan"),
        "a/accuracy": 0.5,
        "a & b/accuracy": 1,
        "trained_task": "a",
        "status": "ok",
        "done": True,
        "pid": 12,
        "wait_s": 0.1,
        "trial_id": "1e5_00001",
        "config": {"index": 1},
    }
    assert loggers.numbers(result) == {
        "training_iteration": 3,
        "stage": 3,
        "a/accuracy": 0.5,
        "a _ b/accuracy": 1,
    }
    group = {"ok": 3, "failed": 1, "skipped": 0, "average_accuracy": float("nan")}
    assert loggers.numbers(group) == {
        "training_iteration": 1,
        "runs/ok": 3,
        "runs/failed": 1,
        "runs/skipped": 0,
    }


def test_a_logger_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "END_SECONDS", 0.2)
    forever, called = threading.Event(), threading.Event()

    class Hanging(Callback):
        def on_trial_start(self, **info: Any) -> None:
            called.set()
            forever.wait()

    guarded = Guarded(Hanging())
    guarded.setup()
    guarded.on_trial_start(trial=None)
    guarded.on_experiment_end(trials=[])
    assert called.is_set()
    assert len(guarded.troubles) == 1
    assert "logger Hanging lacks the end of this run" in guarded.troubles[0]
    forever.set()


def test_a_server_that_comes_back_is_logged_to() -> None:
    seen: list[str] = []

    class Late(Callback):
        def setup(self, **info: Any) -> None:
            seen.append("setup")
            if seen.count("setup") < 3:
                raise ConnectionError("not yet")

        def on_trial_start(self, **info: Any) -> None:
            seen.append("start")

    guarded = Guarded(Late())
    guarded.setup()
    for _ in range(3):
        guarded.on_trial_start(trial=None)
    guarded.on_experiment_end(trials=[])
    assert seen == ["setup", "setup", "setup", "start"]
    assert len(guarded.troubles) == 1
    assert "logger Late failed" in guarded.troubles[0]
    assert "ConnectionError: not yet" in guarded.troubles[0]


# --- TensorBoard -----------------------------------------------------------------------------


def events_in(file: Path) -> Iterator[Any]:
    """What tensorboardX has written, read by the format of TensorFlow's records."""
    from tensorboardX.proto.event_pb2 import Event

    content = file.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Values of the scalars of a run by step."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for file in folder.rglob("events.out.tfevents.*"):
        for event in events_in(file):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag][event.step] = value.simple_value
    return dict(found)


class Trial:
    """What loggers read of one of Ray's."""

    def __init__(self, number: int, folder: Path, method: str = "er", order: str = "a > b") -> None:
        self.trial_id = f"1ab_{number:05}"
        self.local_path = str(folder)
        self.experiment_dir_name = "orders"
        about = {"backbone": "clip", "method": method, "replicate": 2, "order": order}
        self.config = {"index": number, "run": about}


def test_events_come_to_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    elsewhere = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    place = (elsewhere, "out", "store://out")
    study = toy_study(tmp_path / "models", {"er/1": {"method": "er"}})
    monkeypatch.setattr("sweep.storage.folder.locate", lambda uri: place)
    (logger,) = make_loggers(["tensorboard"], study, "store://out")
    logger.setup()
    trial = Trial(3, tmp_path / "temporary", "er/1")
    logger.on_trial_start(iteration=0, trials=[], trial=trial)
    for stage in (1, 2):
        result = {"stage": stage, "average_accuracy": stage / 4, "status": "ok"}
        logger.on_trial_result(iteration=0, trials=[], trial=trial, result=result)
        (folder,) = (tmp_path / "out" / "tensorboard").iterdir()  # half a minute old at most
    logger.on_trial_complete(iteration=0, trials=[], trial=trial)
    assert scalars(folder)["ray/tune/average_accuracy"] == {1: 0.25, 2: 0.5}
    assert folder.name == "er_1_ a > b (replicate 2) 1ab_00003"
    assert not (tmp_path / "temporary").exists()


def test_an_order_with_a_failed_stage_has_failed() -> None:
    ended: list[tuple[str, bool]] = []

    class Inner(LoggerCallback):
        def log_trial_end(self, trial: Any, failed: bool = False) -> None:
            ended.append((str(trial), failed))

    logger = loggers.OrderLogger("mine", Inner(), Study.load("quickstart", ("methods=[er]",)))
    for number, status in enumerate(["ok", "failed"]):
        trial = Trial(number, Path("there"))
        result = {"stage": 1, "status": status}
        logger.on_trial_result(iteration=0, trials=[], trial=trial, result=result)
        logger.on_trial_complete(iteration=0, trials=[], trial=trial)
    assert ended == [("er: a > b (replicate 2)", False), ("er: a > b (replicate 2)", True)]


def test_methods_that_are_told_the_task_are_marked(tmp_path: Path) -> None:
    """In the name of a run, that of its folder, and the parameters that all loggers show."""
    seen: dict[str, Any] = {}

    class Inner(LoggerCallback):
        def log_trial_start(self, trial: Any) -> None:
            seen[str(trial)] = (Path(trial.local_path).name, trial.config["knows_task"])

    study = Study.load("quickstart", ("methods=[er, individual]",))
    logger = loggers.OrderLogger("mine", Inner(), study, str(tmp_path))
    for number, method in enumerate(study.methods):
        logger.log_trial_start(Trial(number, tmp_path, method))
    assert seen == {
        "er: a > b (replicate 2)": ("er_ a > b (replicate 2) 1ab_00000", False),
        f"individual{MARK}: a > b (replicate 2)": (
            f"individual{MARK}_ a > b (replicate 2) 1ab_00001",
            True,
        ),
    }


PLAIN: list[tuple[Study, Finished]] = []
"""The study that was run without loggers, once for all tests."""


@pytest.fixture
def plain(shared_ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Finished]:
    """A study that was run without loggers."""
    if not PLAIN:
        study = study_in(tmp_path_factory.mktemp("models"))
        PLAIN.append((study, sweep.run(study, str(tmp_path_factory.mktemp("out") / "plain"))))
    return PLAIN[0]


def scores_of(finished: Finished) -> Any:
    stages = load(finished.out).stages
    columns = [name for name in stages.columns if name != "prefix"]
    stages = stages.assign(prefix=stages["prefix"].map(" > ".join))
    return stages.sort_values(["prefix", *columns], ignore_index=True)


@pytest.mark.ray
def test_logged_to_tensorboard_with_another_that_fails(
    plain: tuple[Study, Finished], tmp_path: Path
) -> None:
    study, before = plain
    out = tmp_path / "out"
    (out / "tensorboard" / "of the run before").mkdir(parents=True)
    (out / "tensorboard" / "of the run before" / "events.out.tfevents.1").write_text("old")
    failing, looking = Failing(), Looking(out)
    ours = make_loggers(["tensorboard"], study, str(out))
    finished = sweep.run(study, str(out), callbacks=[*ours, failing, looking])
    assert finished.is_settled
    assert not finished.failed
    assert not finished.error
    assert scores_of(finished).equals(scores_of(before))  # not one of which is 7
    for result in finished.grid or ():
        assert result.metrics["average_accuracy"] <= 1
    assert {"setup", "start", "result"} <= set(failing.called)
    assert {seen.lanes for seen in looking.seen} == {2}  # as the driver's mark says
    assert {seen.total for seen in looking.seen} == {13}
    losses = run_status(str(out)).losses
    assert [loss for loss in losses if "logger Failing failed" in loss]
    assert [loss for loss in losses if "ConnectionError: the server is away" in loss]
    assert not list(out.rglob("*.pkl"))

    runs = {folder.name: scalars(folder) for folder in (out / "tensorboard").iterdir()}
    assert len(runs) == len(METHODS) * len(ORDERS)
    stages = load(finished.out).stages
    for method in METHODS:
        for order in ORDERS:
            (name,) = (name for name in runs if name.startswith(f"{method}_ {' > '.join(order)} ("))
            assert "(replicate 0)" in name
            found = runs[name]
            assert found["ray/tune/average_accuracy"].keys() == {1, 2, 3}
            assert set(found["ray/tune/stage"].values()) == {1.0, 2.0, 3.0}
            for stage in (1, 2, 3):
                rows = stages[
                    (stages["method"] == method)
                    & (stages["prefix"] == tuple(order[:stage]))
                    & (stages["eval_task"] == "a")
                    & (stages["metric"] == "accuracy")
                ]
                value = found["ray/tune/a/accuracy"][stage]
                assert value == pytest.approx(float(rows["value"].iloc[0]), abs=1e-6)
    assert not {"ray/tune/pid", "ray/tune/wait_s", "ray/tune/done"} & set(found)


# --- MLflow and W&B --------------------------------------------------------------------------


def test_mlflow_has_to_know_where_to_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="needs the environment variable MLFLOW_TRACKING_URI"):
        make_loggers(["mlflow"], study_in(tmp_path), str(tmp_path / "out"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://there")
    with pytest.raises(InputError, match="cannot log to MLFLOW_TRACKING_URI=nonsense://there: "):
        make_loggers(["mlflow"], study_in(tmp_path), str(tmp_path / "out"))


def test_wandb_has_to_know_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where `wandb login` keeps keys
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(InputError, match="WANDB_MODE=offline"):
        make_loggers(["wandb"], study_in(tmp_path), str(tmp_path / "out"))


@pytest.mark.ray
def test_logged_to_mlflow_and_wandb(
    plain: tuple[Study, Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow, _ = pytest.importorskip("mlflow"), pytest.importorskip("wandb")
    study, before = plain
    out = tmp_path / "out"
    place = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow-skinny has no database
    monkeypatch.setenv("WANDB_MODE", "offline")
    found = make_loggers(["mlflow", "wandb"], study, str(out))
    finished = sweep.run(study, str(out), callbacks=found)
    assert finished.is_settled
    assert run_status(str(out)).losses == ()
    assert scores_of(finished).equals(scores_of(before))

    client = mlflow.MlflowClient(place)
    experiment = client.get_experiment_by_name(study.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    names = {f"{m}: {' > '.join(o)} (replicate 0)" for m in METHODS for o in ORDERS}
    assert runs.keys() == names
    stages = load(finished.out).stages
    for run in runs.values():
        assert run.info.status == "FINISHED"
        assert run.data.params["method"] in METHODS
        history = client.get_metric_history(run.info.run_id, "c/accuracy")
        assert [metric.step for metric in history] == [1, 2, 3]
        rows = stages[
            (stages["method"] == run.data.params["method"])
            & (stages["prefix"] == tuple(run.data.params["order"].split(" > ")))
            & (stages["eval_task"] == "c")
            & (stages["metric"] == "accuracy")
        ]
        assert history[-1].value == pytest.approx(float(rows["value"].iloc[0]))
        assert "pid" not in run.data.metrics

    files = list((out / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == len(names)
    contents = [file.read_bytes() for file in files]
    for name in names:
        (content,) = (one for one in contents if name.encode() in one)
        assert b"c/accuracy" in content
    assert os.environ["WANDB_MODE"] == "offline"
