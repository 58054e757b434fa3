"""Runs a study: Ray Tune works through the orders on lanes, the store keeps what is finished."""

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.logger import JsonLoggerCallback
from ray.tune.result import EXPR_PARAM_PICKLE_FILE
from ray.tune.search import BasicVariantGenerator

from sweep.cache import is_full
from sweep.engine.cluster import (
    COORDINATOR_SHARE,
    HEAD,
    NAMESPACE,
    TRIAL_SHARE,
    connected,
    fit_lanes,
)
from sweep.engine.contract import LaneConfig, LaneLimits, group_size
from sweep.engine.coordinator import Coordinator
from sweep.engine.left_out import UnfitMachine
from sweep.engine.loggers import Guarded
from sweep.engine.outcomes import Progress
from sweep.engine.trial import OrderTrial
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan, save
from sweep.plan.plan import Plan
from sweep.plan.units import Run
from sweep.signals import stop_if_told, terminated_as_interrupted
from sweep.storage.failures import Failure, failures, keep
from sweep.storage.lock import RunLock
from sweep.storage.run_folder import RunFolder
from sweep.study.schema import Lanes, Study

GONE = "its folder was removed while it ran"
"""Why a study breaks off whose run folder is no longer there."""
POLL_SECONDS = 1.0
"""Seconds between two looks at the coordinator."""
POLLED_UNITS = 20_000
"""Units of a study beyond which it looks more rarely: it is told the keys of all that are done."""


@dataclass(frozen=True)
class Finished:
    """What a call of `run` returns."""

    out: str
    grid: "tune.ResultGrid | None"
    """Tune's own view: a result per order, with every stage's metrics; of more than a thousand
    runs a result for several, with how many of them ended in which way. None if it broke off."""
    failed: dict[str, str]
    """Errors by unit key; empty when all went well."""
    is_settled: bool
    """Whether every unit is done or failed; False if the study was interrupted or broke off."""
    stopped: str
    """Why later replicates were left out; "" if they were not."""
    error: str
    """Why the study broke off: the error that ended the last lane; "" if it did not."""
    failures: tuple[Failure, ...] = ()
    """The distinct errors behind `failed`, with their tracebacks and what reproduces them."""


def run(
    study: Study | Plan,
    out: str | None = None,
    address: str | None = None,
    on_progress: Callable[[Progress, int], None] | None = None,
    accept_changes: bool = False,
    callbacks: Sequence["tune.Callback"] = (),
) -> Finished:
    """Runs a study or resumes it: finished stages in `out` are never trained again.

    Args:
        study: What to run, or its plan.
        out: Folder or URI of the run; "runs/NAME" by default.
        address: Address of a Ray cluster; None starts Ray on this machine.
        on_progress: Called about once a second with the progress and the number of lanes.
        accept_changes: Whether to go on although data, models or code have changed since stages
            were finished in `out`. Those that depend on it are trained again.
        callbacks: Callbacks of Ray Tune, such as loggers (`sweep.engine.loggers.make_loggers`).
            They are called in a thread of their own; an error of theirs is told and ends nothing.

    Raises:
        InputError: the study cannot be run, or `out` holds another study or is in use.

    >>> from sweep import Study
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     open(f"{folder}/notes.txt", "w").close()
    ...     run(Study.load("quickstart"), out=folder)
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: --out '...' holds other files and no study; give a new folder.
    """
    plan = study if isinstance(study, Plan) else make_plan(study)
    study = plan.study
    run_folder = RunFolder(out or f"runs/{study.name}", plan)
    run_folder.check(accept_changes)
    lock = RunLock(run_folder.folder)
    lock.check()
    check_inputs(plan)
    ours = address is None and not ray.is_initialized()
    with (
        terminated_as_interrupted(),
        lock,  # the folder is taken before Ray starts, which takes seconds
        connected(address, study.lanes, plan.pinned.own_code(study)),
    ):
        lanes = fit_lanes(study.lanes, len(plan.runs), grows=not ours)
        damaged = run_folder.mend()
        run_folder.prepare()
        save(plan, run_folder.folder)
        study = study.model_copy(update={"lanes": lanes})
        guarded = list(map(Guarded, callbacks))
        stop_if_told()
        return _sweep(study, plan, run_folder, lock, on_progress, damaged, guarded)


def _sweep(
    study: Study,
    plan: Plan,
    run_folder: RunFolder,
    lock: RunLock,
    on_progress: Callable[[Progress, int], None] | None,
    damaged: int,
    callbacks: Sequence[Guarded],
) -> Finished:
    name = f"coordinator-{time.time_ns():x}"
    # Keep the handle: Ray ends a named actor when the last handle to it is gone.
    coordinator = (
        ray.remote(Coordinator)
        .options(
            name=name,
            namespace=NAMESPACE,
            num_cpus=0,
            resources={HEAD: COORDINATOR_SHARE},
            # It may die at any time: Ray restarts it, and repeats calls that got no answer.
            max_restarts=-1,
            max_task_retries=-1,
        )
        .remote(run_folder.folder.uri, _limits(study.lanes))
    )
    lanes = study.lanes
    lane = LaneConfig(
        setup=cloudpickle.dumps((study, plan.pinned)),
        out=run_folder.folder.uri,
        lane="",
        coordinator=name,
        namespace=NAMESPACE,
        workers=lanes.workers,
        cpus_per_worker=lanes.cpus_per_worker,
        gpus_per_worker=float(lanes.gpus_per_worker),
    )
    watch = _Watch(coordinator, run_folder, lock, on_progress, int(lanes.count), damaged, callbacks)
    grid, out = None, run_folder.folder.uri
    errors: list[str] = []
    with watch:
        try:
            tuner = _tuner(plan, lane, run_folder, int(lanes.count), set(watch.done), callbacks)
            grid = tuner.fit()
            errors = [str(error).strip().splitlines()[-1] for error in grid.errors]
        except Exception as error:  # Tune's own: what it writes into the run folder cannot be
            if not watch.is_folder_gone:
                errors = [keep(run_folder.folder, error)]
    last = watch.last
    if watch.is_folder_gone:
        return Finished(out, grid, {}, is_settled=False, stopped=last.stopped, error=GONE)
    run_folder.remove_pickles()
    with room_wanted():
        run_folder.write_manifest(int(lanes.count), list(watch.losses))
    return Finished(
        out=out,
        grid=grid,
        failed=last.failed,
        is_settled=last.is_settled,
        stopped=last.stopped,
        error=errors[-1] if errors and not last.is_settled else "",
        failures=failures(plan, last.failed, run_folder.folder),
    )


def _limits(lanes: Lanes) -> LaneLimits:
    needs = {"CPU": lanes.cpus_per_worker, "GPU": float(lanes.gpus_per_worker)}
    return LaneLimits(
        count=int(lanes.count),
        workers=lanes.workers,
        needs={kind: need * lanes.workers for kind, need in needs.items()},
        start_seconds=60 * lanes.start_timeout,
        stage_seconds=None if isinstance(lanes.stage_timeout, str) else 60 * lanes.stage_timeout,
    )


def _tuner(
    plan: Plan,
    lane: LaneConfig,
    run_folder: RunFolder,
    lanes: int,
    done: Collection[str],
    callbacks: Sequence[Guarded],
) -> "tune.Tuner":
    # with_parameters puts the runs into Ray's object store once, instead of into every trial.
    trainable = tune.with_parameters(
        OrderTrial, lane=lane, runs=plan.runs, evaluation=plan.study.evaluation
    )
    return tune.Tuner(
        tune.with_resources(trainable, {"CPU": 0, HEAD: TRIAL_SHARE}),
        param_space=_choices(plan.runs, done),
        tune_config=tune.TuneConfig(
            metric="average_accuracy",
            mode="max",
            search_alg=BasicVariantGenerator(max_concurrent=lanes),
            reuse_actors=True,  # a trial's actor, and with it its lane, goes on with the next order
            trial_name_creator=lambda trial: f"order_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="orders",
            storage_path=run_folder.folder.join("tune"),
            storage_filesystem=run_folder.folder.filesystem,
            verbose=0,
            callbacks=[_Results(), *callbacks],  # the grid is read from the files of the first
            failure_config=tune.FailureConfig(max_failures=10),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


class _Results(JsonLoggerCallback):  # type: ignore[misc]  # mypy skips ray, so the base is Any
    """Writes the results of trials as JSON, and no pickle of what they were given."""

    def update_config(self, trial: Any, config: dict[str, Any]) -> None:
        """Writes what a trial was given."""
        super().update_config(trial, config)
        Path(trial.local_path, EXPR_PARAM_PICKLE_FILE).unlink(missing_ok=True)


def _choices(runs: Sequence[Run], done: Collection[str]) -> dict[str, Any]:
    """Returns Tune's search space: the index of a run, and what its table shows of it.

    Of thousands of runs a trial has several, and shows the first. Tune copies the whole grid for
    every trial, so the grid has only numbers. Trials without work come last: while one actor rushes
    through them, Tune would start no other, and with it no other lane.

    Args:
        runs: All of the study.
        done: Keys of the units that are done.
    """
    size = group_size(len(runs))

    def shown(spec: Any) -> dict[str, object]:
        run = runs[spec.config.index * size]
        return {
            "backbone": run.backbone,
            "method": run.method,
            "replicate": run.replicate,
            "order": " > ".join(run.order),
        }

    def is_done(trial: int) -> bool:
        its = runs[trial * size : (trial + 1) * size]
        return all(key in done for run in its for key in run.stages)

    return {
        "index": tune.grid_search(sorted(range(math.ceil(len(runs) / size)), key=is_done)),
        "run": tune.sample_from(shown),
    }


@contextmanager
def room_wanted() -> Iterator[None]:
    """Does without what is written in the context where the disk is full.

    Lanes cannot store anything then, and end the study. What is lost here is written when it is
    resumed.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise


class _Watch:
    """Polls the coordinator: writes results, decides when to stop, reports progress."""

    def __init__(
        self,
        coordinator: Any,
        run_folder: RunFolder,
        lock: RunLock,
        on_progress: Callable[[Progress, int], None] | None,
        lanes: int,
        damaged: int,
        callbacks: Sequence[Guarded],
    ) -> None:
        self.coordinator = coordinator
        self.run_folder = run_folder
        self.lock = lock
        self.on_progress = on_progress
        self.lanes = lanes
        self.damaged = damaged
        """Stages that were found damaged before the coordinator started."""
        self.callbacks = callbacks
        self.done: list[str] = []
        self.last: Progress
        self.losses: dict[str, None] = {}
        """All that were told; a coordinator that restarts forgets them."""
        self.left_out: dict[str, UnfitMachine] = {}
        """Machines that are left out; a coordinator that restarts forgets them."""
        self.is_folder_gone = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "_Watch":
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(ray.exceptions.RayError):
            self._look()
        if not self.is_folder_gone:
            with room_wanted():
                self.run_folder.flush(self.done, self.last.failed)

    def _follow(self) -> None:
        pause = POLL_SECONDS * max(1.0, len(self.run_folder.plan.units) / POLLED_UNITS)
        while not self._stop.wait(pause):
            # The coordinator may be restarting, or a disk may not answer. The next poll tries
            # again, and the last one, in __exit__, raises errors that persist.
            with suppress(Exception):
                self._look()
                if self.run_folder.flush_is_due():
                    self.run_folder.flush(self.done, self.last.failed)

    def _look(self) -> None:
        if not self.is_folder_gone and not self.run_folder.is_there():
            self.is_folder_gone = True
            ray.get(self.coordinator.abort.remote(GONE))
        ray.get(self.coordinator.tend.remote())
        progress: Progress = ray.get(self.coordinator.progress.remote())
        if self.is_folder_gone:
            self.last = progress
            return
        stop = self.run_folder.look(progress.done, progress.failed)
        if stop and not progress.stopped:  # it does not know yet, or forgot in a restart
            ray.get(self.coordinator.stop_after.remote(stop.replicates, stop.reason))
            progress = ray.get(self.coordinator.progress.remote())
        if self.left_out.keys() - progress.left_out.keys():
            ray.get(self.coordinator.recall.remote(self.left_out))
        self.left_out |= progress.left_out
        progress = replace(progress, damaged=progress.damaged + self.damaged)
        troubles = [trouble for one in self.callbacks for trouble in one.troubles]
        self.losses |= dict.fromkeys([*progress.losses, *troubles])
        progress = replace(progress, losses=tuple(self.losses))
        self.done = progress.done
        self.last = progress
        self.lock.note(
            lanes=self.lanes,
            at_work=len(progress.working),
            waiting=progress.idle,
            losses=progress.losses,
        )
        if self.on_progress:
            self.on_progress(progress, self.lanes)
