"""The Ray cluster that a study runs on: how it is set up, and the lanes that it can hold."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray

from sweep.errors import InputError
from sweep.study.schema import Lanes

NAMESPACE = "task-order-sweep"
HEAD = "node:__internal_head__"
"""Every Ray head has one unit of this resource. Trials and coordinator take shares of it: that
keeps them off the worker nodes, costs no CPU, and limits the number of trials at a time."""
SHARE = 0.99
"""Of the head for one study; the rest is for Ray's own, such as the supervisor of a job."""
HEAD_SECONDS = 10.0
"""How long the last study on a cluster may take to vanish."""
MOST_LANES = 700
"""More would leave no share of the head for a trial: Ray counts in ten thousandths."""

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


@contextmanager
def connected(address: str | None, lanes: Lanes) -> Iterator[None]:
    """Connects to a cluster or, without an address, starts a Ray that ends with this process.

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
            os.environ.pop(name, None)
        os.environ.update(before)


def fit_lanes(lanes: Lanes, num_runs: int, grows: bool) -> Lanes:
    """Resolves "auto": GPUs if the cluster has any, and as many lanes as it can hold.

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
    """Waits a moment until the head of the cluster is free for a study.

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
