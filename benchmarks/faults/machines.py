"""A cluster on this machine: a head and worker nodes, each a raylet with its own processes."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parents[1]
STARTS = 3
"""How often a node is started."""
OBJECT_STORE = 80_000_000
"""Bytes; the least that Ray takes is 75 MB."""


def set_environment(folder: Path) -> None:
    """Sets what Ray and all of its processes read; comes before Ray is imported."""
    inherited = os.environ.get("PYTHONPATH")
    os.environ |= {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE), *filter(None, [inherited])]),
        "RAY_TMPDIR": str(folder),
        # Of this cluster alone: without it Ray would write one into the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_raylet_start_wait_time_s": "180",  # 30 by default: too few where others use the cores
        "RAY_worker_niceness": "0",  # as in a Ray of `sweep run`'s own
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all of Ray listens on the loopback interface
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


class Machines:
    """The head, which has no CPUs, and worker nodes of one CPU."""

    def __init__(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster  # reads the environment when it is imported

        self.cluster: Any = Cluster(
            initialize_head=True,
            head_node_args=self._arguments(num_cpus=0, include_dashboard=False),
        )
        self.address = str(self.cluster.address)
        for _ in range(nodes):
            self.add()

    @staticmethod
    def _arguments(**own: Any) -> dict[str, Any]:
        return {"node_ip_address": "127.0.0.1", "object_store_memory": OBJECT_STORE} | own

    def add(self) -> None:
        """Adds a worker node; does not wait until the head knows it."""
        _tried(lambda: self.cluster.add_node(wait=False, **self._arguments(num_cpus=1)))

    def workers(self) -> list[Any]:
        """Returns the worker nodes, the oldest first."""
        return sorted(self.cluster.worker_nodes, key=raylet_of)

    def remove(self, node: Any) -> None:
        """Ends all that is left of a worker node, at once."""
        left = processes(node)
        send(left, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)
        psutil.wait_procs(left, timeout=10)

    def end(self) -> None:
        """Ends all nodes."""
        family = psutil.Process().children(recursive=True)
        self.cluster.shutdown()
        _, left = psutil.wait_procs(family, timeout=10)
        send(left, signal.SIGKILL)


def _tried(start: Callable[[], object]) -> None:
    """Starts a node, again if some of its processes took longer than Ray waits for them."""
    for left in reversed(range(STARTS)):
        before = set(children(psutil.Process()))
        try:
            start()
        except Exception:  # Ray raises bare ones
            send(set(children(psutil.Process())) - before, signal.SIGKILL)
            if not left:
                raise
        else:
            return


def raylet_of(node: Any) -> int:
    """Returns the number of the process that manages a node, or did so until it died."""
    return int(node.all_processes["raylet"][0].process.pid)


def processes(node: Any) -> list[psutil.Process]:
    """Returns what runs on a node: Ray's own processes, and those that its raylet has started."""
    found: dict[int, psutil.Process] = {}
    for kind in list(node.all_processes):
        for one in _started(node, kind):
            found |= {process.pid: process for process in (one, *children(one))}
    return list(found.values())


def _started(node: Any, kind: str) -> Iterator[psutil.Process]:
    for info in node.all_processes.get(kind, ()):
        if psutil.pid_exists(info.process.pid):
            yield psutil.Process(info.process.pid)


def children(process: psutil.Process) -> list[psutil.Process]:
    """Returns all descendants of a process; none if it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def send(to: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Sends a signal to those processes that are still there."""
    for process in to:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def runs(process: psutil.Process) -> bool:
    """Returns whether a process is there and was not stopped."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


def title(process: psutil.Process) -> str:
    """Returns what a process calls itself: "ray::RayTrainWorker"; "" if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class Driver:
    """`sweep run` in a process of its own, started again and again with one file for its output."""

    def __init__(self, study: Path, out: Path, address: str) -> None:
        self.out = out
        self.said = study.with_name(
            f"{out.name}.txt"
        )  # not on the disk of `out`, which may be full
        arguments = ["run", str(study), "--out", str(out), "--address", address]
        self._command = [sys.executable, "-m", "sweep.cli.main", *arguments]
        self.calls = 0
        self.start()

    def start(self) -> None:
        """Runs the command, again."""
        self.calls += 1
        with self.said.open("ab") as said:
            self._begun = said.tell()
            self.process = subprocess.Popen(
                self._command,
                cwd=self.out.parent,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def words(self) -> str:
        """Returns what the last call has said so far."""
        with self.said.open("rb") as said:
            said.seek(self._begun)
            return said.read().decode(errors="replace")

    def clear(self) -> None:
        """Removes the run."""
        shutil.rmtree(self.out)
