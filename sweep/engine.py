"""Run a study: Ray Tune works through the orders on warm lanes, the store remembers."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.logger import JsonLoggerCallback

from sweep.busy import Busy
from sweep.coordinator import Coordinator, Progress
from sweep.errors import InputError
from sweep.lane import LaneConfig
from sweep.output import Output
from sweep.plan import Plan
from sweep.study import Lanes, Study
from sweep.trial import OrderTrial
from sweep.work import Run

NAMESPACE = "task-order-sweep"
HEAD = "node:__internal_head__"
"""Every Ray head has one unit of this resource. Trials and coordinator take shares of it: that
keeps them off the worker nodes, costs no CPU, and limits the number of trials at a time."""
SHARE = 0.99
"""Of the head for one study; the rest is for Ray's own, such as the supervisor of a job."""
COORDINATOR_SHARE = 0.05
TRAIN_SHARE = 0.001
"""Train takes this much of the head for a helper, which a `LaneTrainer` does without as long as
its names are known."""
HEAD_SECONDS = 10.0
"""How long the last study on a cluster may take to vanish."""
MOST_LANES = 700
"""More would leave no share of the head for a trial: Ray counts in ten thousandths."""
POLL_SECONDS = 1.0

ENVIRONMENT = {
    # Train looks at its workers every 2 s by default, which a lane would wait for when it ends.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1.0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune's record of all trials, which is written anew every time, is of use only at the end.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # No CSV and TensorBoard file of every order beside the JSON that its result grid is read from:
    # with thousands of orders they take a quarter of the driver's time.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Memory that a training step gives back to the system has to be mapped and zeroed again for
    # the next: 2 % of a stage. (For glibc; the second number is the most that it takes.)
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
ON_ONE_MACHINE = {
    # Nobody announces that he will take the machine away: a process less for every lane.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Ray would run its workers at nice 15, where every small process interrupts them: a tenth of
    # their time on two cores. Who wants that starts `nice sweep run`.
    "RAY_worker_niceness": "0",
    # Nobody collects the metrics of a Ray that ends with the study.
    "RAY_enable_metrics_collection": "0",
}


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


@contextmanager
def connected(address: str | None, lanes: Lanes) -> Iterator[None]:
    """A connection to a cluster; without an address, a Ray of our own that ends with us.

    Raises:
        InputError: there is a connection already, and an address of another.
    """
    if ray.is_initialized():
        if address:
            raise InputError(
                f"this process is connected to a Ray cluster, so '{address}' cannot be; call "
                f"ray.shutdown() first, or leave the address away to use that cluster."
            )
        with _set(ENVIRONMENT):
            yield
        return
    environment = ENVIRONMENT if address else ENVIRONMENT | ON_ONE_MACHINE
    options: dict[str, Any]
    if address:
        options = {"address": address, "runtime_env": {"env_vars": environment}}
    else:
        # The dashboard is a dozen processes, which a small machine notices. Workers of a Ray of
        # our own inherit our environment; for a runtime_env each would be started by a helper.
        options = {"address": "local", "include_dashboard": False}
        if isinstance(lanes.count, int):
            # As many CPUs as the lanes ask for, so that more lanes than cores share the cores.
            needed = lanes.count * lanes.workers * lanes.cpus_per_worker
            options["num_cpus"] = max(os.cpu_count() or 1, int(needed + 0.5))
    with _set(environment):
        ray.init(**options, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in environment if name in os.environ}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            del os.environ[name]
        os.environ.update(before)


def fit_lanes(lanes: Lanes, num_runs: int, grows: bool) -> Lanes:
    """Settle what is "auto": GPUs if the cluster has any, and as many lanes as it can hold.

    Args:
        lanes: As the study has them.
        num_runs: There is no use for more lanes.
        grows: Whether the cluster may grow to hold a number of lanes.

    Raises:
        InputError: the cluster cannot hold one lane and does not grow, or is at work.
    """
    cluster = ray.cluster_resources()
    gpus = lanes.gpus_per_worker
    if isinstance(gpus, str):
        gpus = 1.0 if cluster.get("GPU", 0) >= 1 else 0.0
    needs = {"CPU": lanes.cpus_per_worker, "GPU": gpus}
    room = min(
        (
            int(cluster.get(kind, 0) / (need * lanes.workers))
            for kind, need in needs.items()
            if need
        ),
        default=1,
    )
    wanted = room if isinstance(lanes.count, str) else lanes.count
    count = wanted if grows else min(wanted, room)
    if count < 1:
        raise InputError(
            f"a lane needs {needs['CPU'] * lanes.workers:g} CPUs and "
            f"{needs['GPU'] * lanes.workers:g} GPUs, the cluster has "
            f"{cluster.get('CPU', 0):g} and {cluster.get('GPU', 0):g}; ask for less per worker, or "
            f"for a number of lanes on a cluster (--address) that grows on demand."
        )
    count = min(count, num_runs, MOST_LANES)
    return lanes.model_copy(update={"count": count, "gpus_per_worker": gpus})


def check_head() -> None:
    """Whether the head of the cluster is free for a study.

    Raises:
        InputError: another study, or something else, has taken its place.
    """
    deadline = time.monotonic() + HEAD_SECONDS
    while (free := ray.available_resources().get(HEAD, 0.0)) < SHARE:
        if time.monotonic() > deadline:  # Ray tells with a delay what has been freed
            raise InputError(
                f"the cluster works on another study already: {1 - free:.0%} of its head "
                f"({HEAD}) is taken; wait for that one to end, or use a cluster of your own."
            )
        time.sleep(0.2)


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
