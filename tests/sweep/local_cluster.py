"""A cluster of several Ray nodes on this machine, whose nodes may lack folders that others have."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HEAD_ID = "f" * 51 + "00000"
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"


class LocalCluster:
    """A head without CPUs, and nodes. All of its processes end when the context does.

    `ray.cluster_utils` has such clusters too: the one that grows cannot be started from Ray's
    wheel, and ends every Ray of this machine when it stops.
    """

    def __init__(self, jobs: bool = False, grows_to: int = 0) -> None:
        """Says what the cluster can do.

        Args:
            jobs: Whether jobs can be submitted to it, which takes Ray's dashboard.
            grows_to: Most nodes of one CPU that it starts by itself, as a cloud's machines.
        """
        self._jobs, self._grows_to = jobs, grows_to
        # Paths of sockets must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        self.port, self._dashboard = _free_port(), _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.jobs_address = f"http://127.0.0.1:{self._dashboard}"
        # Not the settings and the token of whoever runs the tests.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = kept | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_worker_niceness": "0",
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "5",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
        }
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._begun: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "LocalCluster":
        growing = self._growing() if self._grows_to else []
        try:
            self._start(
                f"--head --port={self.port} --num-cpus=0 --temp-dir={self.folder}/r "
                f"--include-dashboard={self._jobs} --dashboard-port={self._dashboard} "
                f"--ray-client-server-port={_free_port()}".split()
                + growing,
                self._as_head() if self._grows_to else {},
            )
            self._wait_for(1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._begun:
            process.kill()
            process.communicate()
        for process in self._processes():
            with suppress(psutil.Error):
                process.kill()
        for node in self._nodes:
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_node(self, cpus: int = 1, hidden: Sequence[Path] = (), **more: str) -> None:
        """Starts a node on which some folders are empty, with more environment variables."""
        mounts = " && ".join(f"mount -t tmpfs none '{folder}'" for folder in hidden)
        before = ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"] if hidden else []
        options = [f"--address={self.address}", f"--num-cpus={cpus}"]
        self._start(options, more, before)
        self._wait_for(len(self._nodes))

    def run(self, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Runs a command of this environment, such as `sweep` or `ray`, until it ends."""
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    def begin(self, *words: str, cwd: Path) -> "subprocess.Popen[str]":
        """Starts a command of this environment, which ends with the cluster at the latest."""
        process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._begun.append(process)
        return process

    def nodes(self) -> list[dict[str, Any]]:
        """Returns the nodes that are alive, the head among them; as Ray describes them."""
        code = "import json, ray; ray.init(log_to_driver=False); print(json.dumps(ray.nodes()))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment | {"RAY_ADDRESS": self.address},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            return []
        found = json.loads(done.stdout.splitlines()[-1])
        return [node for node in found if node["Alive"]]

    def raylets(self) -> list[psutil.Process]:
        """Returns the processes of nodes other than the head that are alive."""
        found = []
        for process in self._processes():
            with suppress(psutil.Error):
                command = process.cmdline()
                if command and command[0].endswith("raylet/raylet") and "--head" not in command:
                    found.append(process)
        return found

    def _wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.nodes()) < count:
            if time.monotonic() > deadline or self._nodes[-1].poll() is not None:
                raise RuntimeError("a node of the local cluster does not start")
            time.sleep(0.5)

    def _start(
        self, options: Sequence[str], more: Mapping[str, str], before: Sequence[str] = ()
    ) -> None:
        own = ["--object-store-memory=200000000", "--disable-usage-stats", "--block"]
        agent = [f"--dashboard-agent-listen-port={_free_port()}"]
        self._nodes.append(
            subprocess.Popen(
                [*before, str(BIN / "ray"), "start", *options, *agent, *own],
                cwd=self.folder,
                env=self.environment | more,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def _processes(self) -> list[psutil.Process]:
        """Returns all processes that carry the folder of this cluster, with their children."""
        found = {}
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                with suppress(psutil.Error):
                    found |= {one.pid: one for one in process.children(recursive=True)}
                    found[process.pid] = process
        for node in self._nodes:
            with suppress(psutil.Error):
                process = psutil.Process(node.pid)
                found |= {one.pid: one for one in process.children(recursive=True)}
                found[process.pid] = process
        return list(found.values())

    def _growing(self) -> list[str]:
        provider = {
            "type": "external",  # the type of its own needs a file that is not in Ray's wheel
            "module": PROVIDER,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": self.address,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
        }
        types = {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": 1, "object_store_memory": 200_000_000},
                "node_config": {},
                "min_workers": 0,
                "max_workers": self._grows_to,
            },
        }
        config = {
            "cluster_name": "local",
            "max_workers": self._grows_to,
            "provider": provider,
            "available_node_types": types,
            "head_node_type": "ray.head.default",
            "auth": {},
            "docker": {},
            "upscaling_speed": 1.0,
            "idle_timeout_minutes": 0.2,
        }
        config |= {key: {} for key in ("file_mounts",)}
        config |= {
            f"{key}_commands": []
            for key in ("initialization", "setup", "head_setup", "worker_setup",
                        "head_start_ray", "worker_start_ray")
        }  # fmt: skip
        config |= {key: [] for key in ("cluster_synced_files", "rsync_exclude", "rsync_filter")}
        file = self.folder / "growing.json"
        file.write_text(json.dumps(config | {"file_mounts_sync_continuously": False}))
        return [f"--autoscaling-config={file}"]

    def _as_head(self) -> dict[str, str]:
        return {
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
