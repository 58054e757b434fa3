"""Run a study: Ray Tune works through the orders on warm lanes, the store remembers."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.logger import JsonLoggerCallback

from sweep.busy import Busy
from sweep.cluster import HEAD, NAMESPACE, SHARE, check_head, connected, fit_lanes
from sweep.coordinator import Coordinator, Progress
from sweep.lane import LaneConfig
from sweep.output import Output
from sweep.plan import Plan
from sweep.study import Study
from sweep.trial import OrderTrial
from sweep.work import Run

COORDINATOR_SHARE = 0.05
TRAIN_SHARE = 0.001
"""Train takes this much of the head for a helper, which a `LaneTrainer` does without as long as
its names are known."""
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Finished:
    """What a call of `run` leaves behind."""

    out: str
    grid: "tune.ResultGrid"
    """Tune's own view: a result per order, with every stage's metrics."""
    failed: dict[str, str]
    """Errors by unit key; empty when all went well."""
    settled: bool
    """False if the study was interrupted, or broke off."""
    stopped: str
    """Why later replicates were left out; "" if they were not."""
    error: str
    """Why the study broke off: what ended the last lane; "" if nothing did."""


def run(
    study: Study | Plan,
    out: str | None = None,
    address: str | None = None,
    on_progress: Callable[[Progress, int], None] | None = None,
) -> Finished:
    """Run a study, or go on with it: finished stages in `out` are never trained again.

    Args:
        study: What to run, or its plan if that has been made already.
        out: A folder or URI for everything that is kept; "runs/NAME" by default.
        address: Of a Ray cluster; None starts Ray on this machine.
        on_progress: Called about once a second with the progress and the number of lanes.

    Raises:
        InputError: the study cannot be run, or `out` holds another study or is being worked on.
    """
    plan = study if isinstance(study, Plan) else Plan(study)
    study = plan.study
    output = Output(out or f"runs/{study.name}", plan)
    output.check()
    busy = Busy(output.folder)
    busy.check()
    study.check_data()
    ours = address is None and not ray.is_initialized()
    with connected(address, study.lanes):
        lanes = fit_lanes(study.lanes, len(plan.runs), grows=not ours)
        check_head()
        output.prepare()
        with busy:
            return _sweep(study.model_copy(update={"lanes": lanes}), plan, output, on_progress)


def _sweep(
    study: Study,
    plan: Plan,
    output: Output,
    on_progress: Callable[[Progress, int], None] | None,
) -> Finished:
    name = f"coordinator-{time.time_ns():x}"
    work = f"tune/{name}.pickle"
    output.folder.write(cloudpickle.dumps(plan.work()), work)
    # The handle is kept: a named actor lives as long as somebody holds it.
    coordinator = (
        ray.remote(Coordinator)
        .options(
            name=name,
            namespace=NAMESPACE,
            num_cpus=0,
            resources={HEAD: COORDINATOR_SHARE},
            max_restarts=-1,
            max_task_retries=-1,
        )
        .remote(output.folder.uri, work, int(study.lanes.count))
    )
    lanes = study.lanes
    lane = LaneConfig(
        setup=cloudpickle.dumps((study, dict(plan.sources))),
        out=output.folder.uri,
        lane="",
        coordinator=name,
        namespace=NAMESPACE,
        workers=lanes.workers,
        cpus_per_worker=lanes.cpus_per_worker,
        gpus_per_worker=float(lanes.gpus_per_worker),
    )
    watch = _Watch(coordinator, output, on_progress, int(lanes.count))
    try:
        with watch:
            grid = _tuner(plan, lane, output, int(lanes.count)).fit()
    finally:
        output.folder.delete(work)
    output.write_manifest(int(lanes.count))
    last = watch.last
    broken = [] if last.settled else [str(error).strip().splitlines()[-1] for error in grid.errors]
    return Finished(
        out=output.folder.uri,
        grid=grid,
        failed=last.failed,
        settled=last.settled,
        stopped=last.stopped,
        error=broken[-1] if broken else "",
    )


def _tuner(plan: Plan, lane: LaneConfig, output: Output, lanes: int) -> "tune.Tuner":
    # As many trials as lanes, or a few more where lanes are many: the coordinator grants lanes.
    share = int((SHARE - COORDINATOR_SHARE - lanes * TRAIN_SHARE) / lanes * 10_000) / 10_000
    trainable = tune.with_parameters(OrderTrial, lane=lane, runs=plan.runs)
    return tune.Tuner(
        tune.with_resources(trainable, {"CPU": 0, HEAD: share}),
        param_space=_choices(plan.runs),
        tune_config=tune.TuneConfig(
            metric="average_accuracy",
            mode="max",
            reuse_actors=True,
            trial_name_creator=lambda trial: f"order_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="orders",
            storage_path=output.folder.join("tune"),
            storage_filesystem=output.folder.filesystem,
            verbose=0,
            callbacks=[JsonLoggerCallback()],
            failure_config=tune.FailureConfig(max_failures=10),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def _choices(runs: Sequence[Run]) -> dict[str, Any]:
    """Tune's choice of a run, with what its table shows of it.

    Tune copies the whole grid for every trial, so that has numbers alone.
    """

    def shown(spec: Any) -> dict[str, object]:
        run = runs[spec.config.index]
        return {
            "backbone": run.backbone,
            "method": run.method,
            "replicate": run.replicate,
            "order": " > ".join(run.order),
        }

    return {
        "index": tune.grid_search(list(range(len(runs)))),
        "run": tune.sample_from(shown),
    }


class _Watch:
    """Follows the coordinator: writes results, says when to stop, tells how far things are."""

    def __init__(
        self,
        coordinator: Any,
        output: Output,
        on_progress: Callable[[Progress, int], None] | None,
        lanes: int,
    ) -> None:
        self.coordinator = coordinator
        self.output = output
        self.on_progress = on_progress
        self.lanes = lanes
        self.done: list[str] = []
        self.last: Progress
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
        self.output.flush(self.done, self.last.failed)

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            # The coordinator may be starting again, the disk may be slow to answer: there is a
            # next time, and the last time, in __exit__, raises what is still wrong.
            with suppress(Exception):
                self._look()
                if self.output.flush_is_due():
                    self.output.flush(self.done, self.last.failed)

    def _look(self) -> None:
        progress: Progress = ray.get(self.coordinator.progress.remote())
        stop = self.output.look(progress.done, progress.failed)
        if stop and not progress.stopped:  # or it was started again, and has forgotten
            ray.get(self.coordinator.stop_after.remote(stop.replicates, stop.reason))
            progress = ray.get(self.coordinator.progress.remote())
        self.done = progress.done
        self.last = progress
        if self.on_progress:
            self.on_progress(progress, self.lanes)
