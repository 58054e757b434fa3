"""What the cluster files do on a machine that has nothing but a Python and uv, for real."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.deployed import AWS, ROOT, commands, load

PASSED_ON = ("UV_", "PIP_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy")
"""Beginnings of variables that say how to reach an index of packages."""
LANGUAGES = ("python3.12", "python3.11", "python3.13")


def in_shell_of_ray(line: str, environment: dict[str, str]) -> str:
    """Runs a line as Ray's launcher does, in an interactive login shell; returns what it prints."""
    shell = ["bash", "--login", "-c", "-i", f"source ~/.bashrc; true && ({line})"]
    done = subprocess.run(shell, env=environment, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_head_and_a_worker_are_set_up_from_nothing(tmp_path: Path) -> None:
    """It installs torch for CUDA, gigabytes; for CPUs with UV_TORCH_BACKEND=cpu."""
    uv = shutil.which("uv")
    python = next(filter(None, map(shutil.which, LANGUAGES)), None)
    if uv is None or python is None:
        pytest.skip("there is no uv or no Python to begin with")
    home, config = tmp_path / "home", load(AWS)
    # A login shell forgets PATH; this is where the script looks.
    programs = home / ".local" / "bin"
    programs.mkdir(parents=True)
    for program in (uv, python):
        (programs / Path(program).name).symlink_to(program)
    gpu = programs / "nvidia-smi"
    gpu.write_text("#!/bin/sh\n")
    gpu.chmod(0o755)
    for target, source in config["file_mounts"].items():
        sent = home / target.removeprefix("~/")
        sent.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, sent, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, sent)
    environment = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
    environment |= {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "dumb"}

    frozen = {}
    for role in ("head", "worker"):
        shutil.rmtree(home / "venv", ignore_errors=True)
        for line in config[f"{role}_setup_commands"]:
            in_shell_of_ray(line, environment)
        printed = in_shell_of_ray(f"{programs}/uv pip freeze --exclude-editable", environment)
        frozen[role] = printed.split()
        # Ray's own commands, each as far as it goes without starting anything.
        for line in config[f"{role}_start_ray_commands"]:
            for command in commands(line):
                if command[:2] == ["ray", "start"]:
                    assert "--address" in in_shell_of_ray("ray start --help", environment)
        assert in_shell_of_ray("echo $RAY_AUTH_MODE", environment).strip() == "disabled"
        assert "quickstart" in in_shell_of_ray("sweep list studies", environment)
        script = home / "task-order-sweep" / "deploy" / "watch_spot.py"
        assert "--server" in in_shell_of_ray(f"python {script} --help", environment)
        loaded = "from ray.autoscaler._private.aws import config, node_provider"
        in_shell_of_ray(f"python -c '{loaded}'", environment)
    assert frozen["head"] == frozen["worker"]
    assert any(re.fullmatch(r"ray==2\.\d+\.\d+", line) for line in frozen["head"])
