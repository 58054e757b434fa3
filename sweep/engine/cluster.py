"""Sets up the Ray cluster that a study runs on, and counts the lanes that it can hold."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, services
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.exceptions import RuntimeEnvSetupError

from sweep.engine.contract import WATCHER
from sweep.errors import InputError
from sweep.signals import terminated_as_interrupted
from sweep.study.schema import Lanes
from sweep.texts import plural

NAMESPACE = "task-order-sweep"
"""Ray namespace in which a coordinator is found by its name."""
HEAD = "node:__internal_head__"
"""Name of a resource of which every Ray head has one unit. Trials and the coordinator take shares
of it: that keeps them off the worker nodes, wherever the driver is, and costs no CPU. Private to
Ray; checked with 2.60, tests/sweep/test_private_names.py fails if it changes."""
COORDINATOR_SHARE = 0.001
"""Share of the head that a study's coordinator takes."""
TRIAL_SHARE = 0.0004
"""Share of the head that a trial takes."""
LANE_SHARE = TRIAL_SHARE + 0.001
"""Share of the head for a lane: for its trial, and for a helper of Train that `LaneTrainer` goes
without, but would have again if Ray renamed it."""
OTHERS_SHARE = 0.01
"""Share of the head for Ray's own actors, such as a job's supervisor."""
STARTS = 3
"""How often a Ray of our own is started: Ray waits for some of its processes for 15 to 30 s, which
a loaded machine or a slow disk may exceed."""
PROBE_SECONDS = 5.0
"""How long the head of a cluster may take to answer."""

ENVIRONMENT = {
    # Train looks at its workers every 2 s by default, and a lane that ends has to wait for that.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1.0",
    # Tune's older output engine, which prints nothing at verbosity 0.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Tune rewrites its record of all trials each time, and only the last one is used.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # The result grid is read from one JSON file per order. CSV and TensorBoard files beside it
    # would take a quarter of the driver's time with thousands of orders.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # It would print a page for every trial that was lost with its process, and is started again.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # glibc would return the memory of a training step to the system and map and zero it again for
    # the next one: 2 % of a stage. The second value is the largest that glibc accepts.
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
"""Environment variables of Ray and glibc for every process of a study."""
ON_ONE_MACHINE = {
    # Only machines of a cloud are preempted: this saves one process per lane.
    WATCHER: "0",
    # Ray would run its workers at nice 15, where every small process interrupts them: a tenth of
    # their time on two cores. (`nice sweep run` lowers the priority of all of them.)
    "RAY_worker_niceness": "0",
    # This Ray ends with the study, so its metrics would never be collected.
    "RAY_enable_metrics_collection": "0",
    # No clusters: all of Ray listens on the loopback interface. By default it listens on all.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
}
"""More of them for a Ray that this process starts."""


@contextmanager
def connected(address: str | None, lanes: Lanes, own_code: Sequence[Path] = ()) -> Iterator[None]:
    """Connects to a cluster or, without an address, starts a Ray that ends with this process.

    Args:
        address: Of the cluster.
        lanes: As the study asks for them.
        own_code: Files and folders that workers import, which a cluster is sent; Ray does it.

    Raises:
        InputError: this process is connected already, and `address` names a cluster; or Ray
            cannot start, or not be reached, or the code is too large for it.
    """
    if ray.is_initialized():
        if address:
            raise InputError(
                f"this process is already connected to a Ray cluster, so it cannot connect to "
                f"'{address}'; call ray.shutdown() first, or omit address to use that cluster."
            )
        with _set(ENVIRONMENT):
            yield
        return
    environment = ENVIRONMENT if address else ENVIRONMENT | ON_ONE_MACHINE
    with _set(environment):
        if address:
            _connect(address, environment, own_code)
        else:
            _start(lanes)
        try:
            yield
        finally:
            ray.shutdown()


def _connect(address: str, environment: Mapping[str, str], own_code: Sequence[Path]) -> None:
    runtime_env: dict[str, Any] = {"env_vars": dict(environment)}
    if own_code and not _brings_code():
        runtime_env["py_modules"] = [str(place) for place in own_code]
    try:
        place = address.removeprefix("ray://")
        if place == address:  # it may be "auto"
            place = services.canonicalize_bootstrap_address_or_die(address)
        host, _, port = place.rpartition(":")
        # Ray would try for many minutes where nothing listens.
        socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
        _init(address=address, runtime_env=runtime_env)
    except RuntimeEnvSetupError as error:
        raise InputError(
            f"the code that the study names cannot be sent to the cluster: {_reason(error)}."
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"--address '{address}' cannot be reached: {_reason(error)}.") from None


def _brings_code() -> bool:
    """Returns whether this is a submitted job, which has sent its own files to all machines."""
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR) or "{}")
    sent = job.get("runtime_env") or {}
    return bool(sent.get("working_dir") or sent.get("py_modules"))


def _start(lanes: Lanes) -> None:
    """Starts a Ray on this machine; tries again where Ray did not wait for its own processes."""
    # The dashboard would be a dozen processes, too many for a small machine. A runtime_env
    # would start each worker through a helper; here they inherit this process's environment.
    options: dict[str, Any] = {"address": "local", "include_dashboard": False}
    if isinstance(lanes.count, int):
        # As many CPUs as the lanes ask for, so that more lanes than cores share the cores.
        needed = lanes.count * lanes.workers * lanes.cpus_per_worker
        options["num_cpus"] = max(os.cpu_count() or 1, int(needed + 0.5))
    for left in reversed(range(STARTS)):
        try:
            with _on_loopback():
                return _init(**options)
        except Exception as error:  # Ray raises bare ones
            # Errors of other kinds, as for a path that is too long for sockets, would come again.
            if not left or isinstance(error, OSError | ValueError):
                raise InputError(f"Ray cannot start: {_reason(error)}.") from None
            ray.shutdown()


def _init(**options: Any) -> None:
    # Ray sets a handler of SIGTERM as it starts, by which this process would end without a word,
    # and another in C++, which aborts it if it is still there after three seconds.
    try:
        with terminated_as_interrupted():
            ray.init(**options, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    except (KeyboardInterrupt, SystemExit):
        signal.alarm(0)
        raise KeyboardInterrupt from None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Lets Ray listen on the loopback interface alone, as it does where it knows no clusters.

    Processes that Ray starts are told so by the environment; this one has imported Ray before.
    """
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


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

    Ray does not publish which machines an autoscaler may start. Where some have still to come,
    "auto" would be taken for 0 GPUs, and lanes would train on the CPUs of GPU machines.

    Args:
        lanes: As the study asks for them.
        num_runs: Number of runs: more lanes would have nothing to do.
        grows: Whether the cluster may grow until it holds the lanes asked for.

    Raises:
        InputError: the cluster cannot hold one lane and does not grow, or its head no trial more;
            or it has to grow, and whether lanes take GPUs then is not said.
    """
    cluster = ray.cluster_resources()
    on_head = _room_on_head()
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
            f"{cluster.get('CPU', 0):g} and {cluster.get('GPU', 0):g}; reduce cpus_per_worker, "
            f"gpus_per_worker or workers, or set lanes.count and lanes.gpus_per_worker on a "
            f"cluster (--address) that grows."
        )
    count = min(count, num_runs, on_head)
    if isinstance(lanes.gpus_per_worker, str) and not gpus and count > room:
        fewer = f", or lanes.count to at most {room}" if room else ""
        raise InputError(
            f"lanes.gpus_per_worker is auto, and whether the machines that the cluster has still "
            f"to start have GPUs is not known: it has none now, and room for {room} of "
            f"{plural(count, 'lane')}; set lanes.gpus_per_worker to 1, or to 0 for lanes on "
            f"CPUs{fewer}."
        )
    return lanes.model_copy(update={"count": count, "gpus_per_worker": gpus})


def _room_on_head() -> int:
    """Returns how many lanes the head of the cluster has room for, besides those of other studies.

    Raises:
        InputError: not for one.
    """
    free = ray.available_resources().get(HEAD, 0.0)
    # Ray counts in ten thousandths.
    room = int(round((free - COORDINATOR_SHARE - OTHERS_SHARE) / LANE_SHARE, 3))
    if room < 1:
        raise InputError(
            f"the head of the cluster has no room for another study: {1 - free:.0%} of it ({HEAD}) "
            f"is in use; wait until another one ends, or use another cluster."
        )
    return room
