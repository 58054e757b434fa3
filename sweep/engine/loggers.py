"""Shows a run in other tools while it goes on, by Ray's own loggers: TensorBoard, MLflow, W&B.

In each of them an order is a run, a stage is a step, and what is logged are the scores of all
tasks: "average_accuracy", "stage", "pets/accuracy". Methods that are told which task test data are
of have a mark behind their name, and knows_task among the parameters of their runs. Of a study of
more than a thousand orders a run is some orders that follow one another, and shows how many of them
ended in which way.

A logger can neither change a result nor hold up or end the study: it has a thread of its own.
"""

import importlib.util
import math
import os
import queue
import re
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pyarrow.fs import LocalFileSystem
from ray.tune import Callback
from ray.tune.logger import LoggerCallback, TBXLoggerCallback
from ray.tune.result import TRAINING_ITERATION

from analysis.data.results import MARK, called
from sweep.errors import InputError, unknown
from sweep.storage.failures import described
from sweep.storage.folder import Folder
from sweep.storage.run_folder import TENSORBOARD
from sweep.study.schema import Study

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}
"""What each logger imports; its extra has the logger's name."""
END_SECONDS = 60.0
"""How long a study waits at its end for a logger to send what it has."""
COUNTS = ("ok", "failed", "skipped")
"""What a trial reports that stands for several orders."""
_LONGEST = 150
"""Characters of a folder's name, which a file system limits to 255 bytes."""


def _first_line(error: BaseException) -> str:
    return described(error).splitlines()[0]


class Guarded(Callback):  # type: ignore[misc]  # mypy skips ray, so the base is Any
    """Calls another callback in a thread of its own, and lets none of its errors through.

    Tune would end the study with an error of a callback, and wait for one that waits for a server.
    """

    def __init__(self, inner: Callback) -> None:
        self.troubles: list[str] = []
        """What went wrong: the first error, and what was not sent in the end."""
        self._inner = inner
        self._name = getattr(inner, "label", type(inner).__name__)
        self._is_set_up = False
        self._spec: dict[str, Any] = {}
        self._waiting: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        for hook in [name for name in dir(Callback) if name.startswith("on_")]:
            is_own = getattr(type(inner), hook, None) is not getattr(Callback, hook)
            if is_own and hook != "on_experiment_end":
                setattr(self, hook, partial(self._later, hook))

    def __getstate__(self) -> dict[str, Any]:
        """Returns nothing: Tune pickles itself, from which nobody resumes."""
        return {}

    def setup(self, **info: Any) -> None:
        """Starts the thread."""
        self._spec = info
        self._thread.start()

    def on_experiment_end(self, **info: Any) -> None:
        """Waits for what is left to be sent."""
        self._waiting.put(("on_experiment_end", info))
        if not self._ended.wait(END_SECONDS):
            self.troubles.append(
                f"logger {self._name} lacks the end of this run: it had not sent all of it "
                f"{END_SECONDS:.0f} s after the last stage"
            )

    def _later(self, hook: str, **info: Any) -> None:
        if "result" in info:  # Tune goes on writing into it
            info = info | {"result": dict(info["result"])}
        self._waiting.put((hook, info))

    def _work(self) -> None:
        while not self._ended.is_set():
            hook, info = self._waiting.get()
            try:
                if not self._is_set_up:  # it is tried again: a server may come back
                    self._inner.setup(**self._spec)
                    self._is_set_up = True
                getattr(self._inner, hook)(**info)
            except BaseException as error:
                if not self.troubles:
                    self.troubles.append(
                        f"logger {self._name} failed, and may lack some of this run, which goes on "
                        f"({_first_line(error)})"
                    )
            if hook == "on_experiment_end":
                self._ended.set()


class _Order:
    """What loggers read of a trial, in the words of the study."""

    def __init__(self, trial: Any, name: str, about: dict[str, Any], folder: str) -> None:
        self.trial_id = trial.trial_id
        self.experiment_dir_name = trial.experiment_dir_name
        self.config = self.evaluated_params = about
        self.local_path = folder
        self._name = name

    def __str__(self) -> str:
        return self._name

    def init_local_path(self) -> None:
        """Does nothing: its folder is there, or made by what writes into it."""


class OrderLogger(LoggerCallback):  # type: ignore[misc]  # as above
    """Gives a logger of Ray's orders under names that people know, and numbers alone."""

    def __init__(self, label: str, inner: LoggerCallback, study: Study, folder: str = "") -> None:
        """Starts nothing.

        Args:
            label: Its name on the command line.
            inner: Ray's logger.
            study: What is run.
            folder: Where it writes a folder per order; "": where Tune keeps its files meanwhile.
        """
        self.label = label
        self._inner = inner
        self._study = study
        self._folder = folder
        self._orders: dict[str, _Order] = {}
        self._failed: set[str] = set()

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Passes it on."""
        self._inner.setup(*arguments, **info)

    def log_trial_start(self, trial: Any) -> None:
        """Begins an order, or begins it anew with a new lane."""
        self._inner.log_trial_start(self._order(trial))

    def log_trial_result(self, iteration: int, trial: Any, result: Mapping[str, Any]) -> None:
        """Logs a stage."""
        if result.get("status") == "failed":
            self._failed.add(trial.trial_id)
        self._inner.log_trial_result(iteration, self._order(trial), numbers(result))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Ends an order; it has failed if one of its stages has."""
        self._inner.log_trial_end(self._order(trial), failed or trial.trial_id in self._failed)

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        """Passes it on."""
        self._inner.on_experiment_end(trials=list(map(self._order, trials)), **info)

    def _order(self, trial: Any) -> _Order:
        if trial.trial_id not in self._orders:
            run = trial.config["run"]
            knows = self._study.methods[run["method"]].knows_task
            method = called(run["method"], {run["method"]} if knows else ())
            name = f"{method}: {run['order']} (replicate {run['replicate']})"
            if len(self._study.backbones) > 1:
                name = f"{run['backbone']}, {name}"
            short = re.sub(rf"[^\w.,()> {MARK}-]", "_", name)[:_LONGEST]
            folder = (
                f"{self._folder}/{short} {trial.trial_id}" if self._folder else trial.local_path
            )
            about = {"study": self._study.name} | run | {"knows_task": knows}
            self._orders[trial.trial_id] = _Order(trial, name, about, folder)
        return self._orders[trial.trial_id]


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns what there is to log of a stage, by names that all loggers take.

    >>> numbers({"stage": 2, "average_accuracy": 0.5, "c&a/accuracy": 0.25, "pid": 7})
    {'training_iteration': 2, 'stage': 2, 'average_accuracy': 0.5, 'c_a/accuracy': 0.25}
    """
    found = {TRAINING_ITERATION: result.get("stage", 1)}
    for name, value in result.items():
        is_wanted = name in ("stage", "average_accuracy", *COUNTS) or "/" in name
        if is_wanted and isinstance(value, int | float) and math.isfinite(value):
            found[re.sub(r"[^\w./ :-]", "_", f"runs/{name}" if name in COUNTS else name)] = value
    return found


class _TensorBoard(TBXLoggerCallback):  # type: ignore[misc]  # as above
    """Writes into OUT/tensorboard, from the start of the run that goes on.

    Ray would write beside the trials, in a folder of temporary files until the study ends.
    """

    def __init__(self, out: Folder) -> None:
        super().__init__()
        self._out = out

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Deletes what an earlier run has logged, since this one reports all stages again."""
        if self._out.exists(TENSORBOARD):
            self._out.filesystem.delete_dir(self._out.join(TENSORBOARD))


class _EventFiles:
    """Lets tensorboardX write files on any filesystem, as it does on S3: all of it each time."""

    PREFIX = "sweep-out"

    def __init__(self, out: Folder) -> None:
        self._out = out

    def directory_check(self, path: str) -> None:
        """Does nothing: `Folder` makes folders."""

    def open(self, path: str) -> "_EventFile":
        """Returns a new file."""
        return _EventFile(self._out, path.removeprefix(f"{self.PREFIX}:"))


class _EventFile:
    def __init__(self, out: Folder, path: str) -> None:
        self._out, self._path, self._content = out, path, b""

    def write(self, content: bytes) -> None:
        """Keeps some bytes until the next flush."""
        self._content += content

    def flush(self) -> None:
        """Writes the file."""
        self._out.write(self._content, *self._path.split("/"))

    close = flush


def _tensorboard(study: Study, out: Folder) -> OrderLogger:
    folder = out.join(TENSORBOARD)
    if not isinstance(out.filesystem, LocalFileSystem):
        from tensorboardX.record_writer import register_writer_factory

        register_writer_factory(_EventFiles.PREFIX, _EventFiles(out))
        folder = f"{_EventFiles.PREFIX}:{TENSORBOARD}"
    return OrderLogger("tensorboard", _TensorBoard(out), study, folder)


def _mlflow(study: Study, out: Folder) -> OrderLogger:
    from mlflow import MlflowClient
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    place = os.environ.get("MLFLOW_TRACKING_URI")
    if not place:
        raise InputError(
            "--log mlflow needs the environment variable MLFLOW_TRACKING_URI, which says where to "
            "log: the address of a server, such as http://host:5000, or a database, such as "
            "sqlite:////home/me/mlflow.db (for which the whole package mlflow has to be installed)."
        )
    try:
        MlflowClient(place)  # asks no server yet
    except Exception as error:  # MLflow's own have no common base
        raise InputError(
            f"--log mlflow cannot log to MLFLOW_TRACKING_URI={place}: {_first_line(error)} "
            f"(Servers need mlflow-skinny alone, databases the whole package mlflow.)"
        ) from None
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or study.name
    return OrderLogger("mlflow", MLflowLoggerCallback(place, experiment_name=name), study)


def _wandb(study: Study, out: Folder) -> OrderLogger:
    from ray.air.integrations.wandb import WandbLoggerCallback

    given = {
        "mode": os.environ.get("WANDB_MODE"),
        "entity": os.environ.get("WANDB_ENTITY"),
        "dir": os.environ.get("WANDB_DIR"),
    }
    if not given["dir"] and isinstance(out.filesystem, LocalFileSystem):
        given["dir"] = str(Path(out.path).absolute())
    logger = WandbLoggerCallback(
        project=os.environ.get("WANDB_PROJECT") or study.name,
        group=os.environ.get("WANDB_RUN_GROUP") or study.name,
        upload_timeout=int(END_SECONDS),
        **{name: value for name, value in given.items() if value},
    )
    try:
        logger.setup()
    except ValueError:
        raise InputError(
            "--log wandb needs an account: log in with `wandb login`, or set WANDB_API_KEY; with "
            "WANDB_MODE=offline it needs none, and `wandb sync` sends the runs later."
        ) from None
    return OrderLogger("wandb", logger, study)


_MAKERS = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}


def make_loggers(names: Sequence[str], study: Study, out: str) -> list[Callback]:
    """Returns callbacks for `run` that log to other tools.

    Args:
        names: "tensorboard" writes into OUT/tensorboard, "mlflow" to MLFLOW_TRACKING_URI, "wandb"
            to the account of WANDB_API_KEY or, with WANDB_MODE=offline, into OUT/wandb.
        study: What is run.
        out: Folder or URI of the run.

    Raises:
        InputError: there is no such logger, its package is not installed, or it is not set up.
    """
    found = []
    for name in dict.fromkeys(names):
        if name not in _MAKERS:
            raise unknown("logger", name, _MAKERS)
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise InputError(
                f"--log {name} needs the package {PACKAGES[name]}, which is not installed; install "
                f"it with: pip install 'task-order-sweep[{name}]'"
            )
        try:
            found.append(_MAKERS[name](study, Folder(out)))
        except (ImportError, RuntimeError) as error:  # by Ray, of a version that it does not know
            raise InputError(
                f"--log {name} cannot be used with the version of {PACKAGES[name]} that is "
                f"installed: {_first_line(error)}"
            ) from None
    return found
