"""deploy/set_up_node.sh with stand-ins for uv, curl and nvidia-smi."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.deployed import DEPLOY

SCRIPT = (DEPLOY / "set_up_node.sh").read_text("utf-8")
STAND_INS = {
    "uv": """#!/bin/bash
echo "uv $*" >> "$NOTES"
case $1-$2 in
    venv-*) mkdir -p "${@: -1}/bin" && touch "${@: -1}/bin/activate" ;;
    pip-freeze) echo ray==2.60.0 ;;
esac
""",
    # Puts uv where the installer does.
    "curl": """#!/bin/bash
echo "curl $*" >> "$NOTES"
echo 'mkdir -p ~/.local/bin; cp "$UV" ~/.local/bin/uv'
""",
    "nvidia-smi": """#!/bin/bash
echo nvidia-smi >> "$NOTES"
[ "$(grep -c nvidia-smi "$NOTES")" -gt 2 ]
""",
    "sleep": "#!/bin/bash\n",
}


class Node:
    """A machine with the files that Ray has sent, and nothing in HOME."""

    def __init__(self, folder: Path, script: str, has_uv: bool = True) -> None:
        self.home, self.programs = folder / "home", folder / "bin"
        self.deploy = self.home / "task-order-sweep" / "deploy"
        self.deploy.mkdir(parents=True)
        self.programs.mkdir()
        for name, text in STAND_INS.items():
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "NOTES": str(folder / "notes"),
            "UV": str(folder / "uv"),
        }
        shutil.copy(self.programs / "uv", folder / "uv")
        if not has_uv:
            (self.programs / "uv").unlink()
        (self.deploy / "set_up_node.sh").write_text(script)

    def set_up(self, *arguments: str) -> int:
        command = ["bash", str(self.deploy / "set_up_node.sh"), *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd="/", capture_output=True, check=False, timeout=60
        )
        return done.returncode

    def noted(self) -> list[str]:
        return Path(self.environment["NOTES"]).read_text().splitlines()


def check(script: str, folder: Path) -> None:
    """Sets up a head, then a worker that has got the head's files, each of them twice."""
    node = Node(folder, script)
    for role in ("head", "head", "worker", "worker"):
        assert node.set_up(role, "aws") == 0
    package, versions = f"{node.deploy.parent}[aws]", node.deploy / "versions.txt"
    assert versions.read_text() == "ray==2.60.0\n"
    installed = [line for line in node.noted() if line.startswith("uv pip install")]
    first, _, *later = installed
    assert first.endswith(f"--editable {package}")
    assert "--constraint" not in first
    assert len(later) == 2
    assert all(f"--constraint {versions} --editable {package}" in line for line in later)
    made = [line for line in node.noted() if line.startswith("uv venv")]
    assert all("--python 3.12" in line and "--allow-existing" in line for line in made)
    assert node.noted().count("nvidia-smi") == 4, "the driver is not waited for"
    # Ray's commands run in a shell that reads this.
    shell = ["bash", "-c", f". {node.home}/.bashrc; echo $RAY_AUTH_MODE"]
    told = subprocess.run(shell, env=node.environment, capture_output=True, text=True, check=True)
    assert told.stdout == "disabled\n"
    assert len((node.home / ".bashrc").read_text().splitlines()) == 1, "read twice"


def test_a_head_and_a_worker_get_the_same_versions(tmp_path: Path) -> None:
    check(SCRIPT, tmp_path)


def test_uv_is_installed_where_it_is_missing(tmp_path: Path) -> None:
    node = Node(tmp_path, SCRIPT, has_uv=False)
    assert node.set_up("head", "gcp") == 0
    assert sum(line.startswith("curl ") for line in node.noted()) == 1
    assert os.access(node.home / ".local/bin/uv", os.X_OK)


def test_a_role_that_is_none_is_refused(tmp_path: Path) -> None:
    assert Node(tmp_path, SCRIPT).set_up("workers", "aws") == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('--constraint "$versions" ', ""),
        ('> "$versions"', "> /dev/null"),
        ("--allow-existing ", ""),
        ("until nvidia-smi", "while nvidia-smi"),
        ('grep -qxF "$line" ~/.bashrc 2> /dev/null || ', ""),
        ("$root[$extra]", "$root"),
        ("    worker)", "    workers)"),
    ],
)
def test_an_error_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in SCRIPT
    with pytest.raises((AssertionError, FileNotFoundError)):
        check(SCRIPT.replace(right, wrong), tmp_path)
