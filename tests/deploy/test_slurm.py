"""deploy/slurm.sh on two stand-in machines: what it starts, how it stops, when it goes on."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.deploy.deployed import DEPLOY, check_program

SCRIPT = (DEPLOY / "slurm.sh").read_text("utf-8")
JOB = 123456
SECONDS = 120.0
"""How long a run may take that has nothing to wait for but a loaded machine."""
SBATCH = {
    "job-name": r"[\w-]+",
    "nodes": r"\d+",
    "gpus-per-node": r"(\w+:)?\d+",
    "cpus-per-task": r"\d+",
    "ntasks-per-node": "1",
    "time": r"\d+:\d\d:\d\d",
    "signal": r"B:TERM@\d+",
    "requeue": "",
    "open-mode": "append|truncate",
    "output": r"\S+",
}
"""Options of sbatch that the script may use, by its manual page."""
STAND_INS = {
    # Runs the command once for each task, as on other machines; passes signals on, as srun does.
    "srun": """#!/bin/bash
echo "srun $*" >> "$NOTES"
for option; do
    case $option in
        --relative=[01]|--nodes=[12]|--ntasks=[12]|--cpus-per-task=8) shift ;;
        --*) echo "srun: unrecognized option '$option'" >&2; exit 1 ;;
        *) break ;;
    esac
done
exec "$@"
""",
    "ray": """#!/bin/bash
[ "$1 ${2%%=*}" != "start --address" ] || read -rt 1 < <(sleep 2)  # another machine is slower
[ "$1" != start ] || trap 'sleep 0.5; echo "ray stopped" >> "$NOTES"; exit 143' TERM
echo "ray $*" >> "$NOTES"
case $1 in
    start)
        touch "$NOTES.ray-$RAY_AUTH_MODE-$RAY_AUTH_TOKEN"
        while :; do read -rt 0.1 < <(sleep 1); done ;;
    health-check) ls "$NOTES".ray-token-* > /dev/null 2>&1 ;;
esac
""",
    "sweep": """#!/bin/bash
echo "sweep $*" >> "$NOTES"
[ "$STUDY" = long ] || exit "$STUDY"
trap 'echo "sweep stopped" >> "$NOTES"; exit 130' TERM
touch "$NOTES.running"
while :; do read -rt 0.1 < <(sleep 1); done
""",
    # Asks Ray for its machines.
    "python": """#!/bin/bash
[ $# = 3 ] || exec $PYTHON "$@"
$PYTHON -c 'import ast, sys; ast.parse(sys.argv[1])' "$2" && grep -c "^ray start" "$NOTES"
""",
    "scontrol": """#!/bin/bash
echo "scontrol $*" >> "$NOTES"
exit "$REQUEUE"
""",
    "squeue": """#!/bin/bash
[ "$*" = "--noheader --jobs=$SLURM_JOB_ID --format=%T" ] && echo "$STATE"
""",
}
"""Programs of the machines, in place of what would be there."""


class Job:
    """The script as SLURM runs it."""

    def __init__(
        self, script: str, folder: Path, study: str, state: str = "RUNNING", requeue: int = 0
    ) -> None:
        self.notes = folder / "notes"
        programs = folder / "bin"
        programs.mkdir()
        for name, text in STAND_INS.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        file = folder / "slurm.sh"
        file.write_text(re.sub(r"\bsleep 2\b", "sleep 0.2", script))  # nothing is slow to wait for
        python = Path(sys.executable).parent
        environment = {
            "PATH": f"{programs}:{python}:{os.environ['PATH']}",
            "HOME": str(folder),
            "NOTES": str(self.notes),
            "PYTHON": sys.executable,
            "STUDY": study,
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_CPUS_PER_TASK": "8",
            "SLURM_GPUS_ON_NODE": "4",
            "STATE": state,
            "REQUEUE": str(requeue),
        }
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["bash", str(file), "study.yaml", "/shared/study"],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def tell_to_stop(self) -> None:
        """Sends what `--signal=B:TERM` sends to the script alone, once the study runs."""
        until = time.monotonic() + SECONDS
        while not (self.notes.parent / "notes.running").exists():
            assert self.process.poll() is None, "the job ended before the study ran"
            assert time.monotonic() < until
            time.sleep(0.02)
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves nothing of the job."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def check(script: str, folder: Path) -> None:
    """Checks options, what is started where, and that nothing of Ray is left at the end."""
    check_options(script)
    with Job(script, folder, "0") as job:
        assert job.process.wait(SECONDS) == 0
    noted = job.noted()
    for line in noted:
        if line.startswith(("ray start", "ray health-check", "sweep ")):
            check_program(line.split())
    head, worker = (line for line in noted if line.startswith("ray start"))
    (port,) = re.findall(r"--port=(\d+)", head)
    assert "--head" in head, "a worker starts before the head"
    (sweep,) = (line for line in noted if line.startswith("sweep"))
    assert noted.index(worker) < noted.index(sweep), "the study counts too few machines"
    assert 20000 <= int(port) < 24000
    assert f":{port} " in worker, "the machines do not meet"
    for line in (head, worker):
        assert {"--num-cpus=8", "--num-gpus=4"} <= set(line.split())
        (temporary,) = re.findall(r"--temp-dir=(\S+)", line)
        # Ray's sockets: session_2026-11-30_00-00-00_000000_1234567/sockets/plasma_store.1
        assert len(temporary) + 75 <= 107, "sockets have too long names"
        assert str(JOB) in temporary, "two jobs share a folder"
    assert sweep.split()[1:3] == ["run", "study.yaml"]
    assert f":{port} --out /shared/study" in sweep
    assert noted.count("ray stopped") == 2, "Ray is left"
    removed = noted.index(f"srun --nodes=2 --ntasks=2 rm -rf /tmp/ray-{JOB}")
    assert "ray stopped" not in noted[removed:], "what Ray needs is removed"
    assert not [line for line in noted if line.startswith("scontrol")]
    (token,) = {path.name.split("-")[-1] for path in folder.glob("notes.ray-token-*")}
    assert re.fullmatch("[0-9a-f]{64}", token)


def check_options(script: str) -> None:
    """Checks the options of sbatch in a script."""
    lines = re.findall(r"^#SBATCH --(\S+)$", script, re.MULTILINE)
    assert len(lines) == len(re.findall(r"^#SBATCH", script, re.MULTILINE))
    given = dict((line.partition("=")[0], line.partition("=")[2]) for line in lines)
    for name, value in given.items():
        assert name in SBATCH, f"sbatch has no option --{name}"
        assert re.fullmatch(SBATCH[name], value), f"--{name}={value}"
    assert {"signal", "requeue", "open-mode"} <= given.keys()


def check_stop(
    script: str, folder: Path, state: str = "RUNNING", requeue: int = 0, patience: float = SECONDS
) -> str:
    """Tells a job to stop: the study stops before Ray does, and comes back if its time was up.

    Args:
        script: The script.
        folder: An empty folder.
        state: What SLURM says of the job then.
        requeue: Exit code of `scontrol requeue`.
        patience: Seconds that it may take.

    Returns:
        What the job has said.
    """
    with Job(script, folder, "long", state, requeue) as job:
        job.tell_to_stop()
        assert job.process.wait(patience) == 130
    noted = job.noted()
    assert noted.index("sweep stopped") < noted.index("ray stopped"), "not in order"
    requeued = [line for line in noted if line.startswith("scontrol")]
    assert requeued == ([f"scontrol requeue {JOB}"] if state == "RUNNING" else []), "requeued"
    return job.log.read_text()


def test_it_runs_a_study_on_all_machines(tmp_path: Path) -> None:
    check(SCRIPT, tmp_path)


def test_it_goes_back_into_the_queue_when_its_time_is_up(tmp_path: Path) -> None:
    check_stop(SCRIPT, tmp_path)


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", ""])
def test_it_does_not_come_back_when_it_is_cancelled(tmp_path: Path, state: str) -> None:
    """Whatever time is left: scancel sends the signal that the end of the time sends."""
    check_stop(SCRIPT, tmp_path, state)


def test_it_says_so_if_slurm_does_not_take_it_back(tmp_path: Path) -> None:
    assert "submit it again, and the study goes on" in check_stop(SCRIPT, tmp_path, requeue=1)


def test_its_exit_code_is_that_of_the_study(tmp_path: Path) -> None:
    with Job(SCRIPT, tmp_path, "1") as job:
        assert job.process.wait(SECONDS) == 1
    assert job.noted().count("ray stopped") == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("--gpus-per-node=4", "--gpu-per-node=4"),
        ("--signal=B:TERM@120", "--signal=TERM@120"),
        ("--num-gpus=", "--num-gpu="),
        ("--relative=1", "--relativ=1"),
        ('--address="$address" "${ray', '--address="$host" "${ray'),
        ("temporary=/tmp/ray-", "temporary=/scratch/of/the/whole/group/temporary/ray-"),
        ("fi\n\n# Stages", "done\n\n# Stages"),
        ('until [ "$(python', 'until true || [ "$(python'),
        ("trap finish EXIT", ""),
        ("    wait\n    srun", "    srun"),
        ('rm -rf "$temporary"', "true"),
        ("sweep run", "sweep runs"),
    ],
)
def test_an_error_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in SCRIPT
    with pytest.raises((AssertionError, ValueError)):
        check(SCRIPT.replace(right, wrong), tmp_path)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('kill -TERM "$driver" 2>', "true 2>"),
        ("    stopped=yes\n", ""),
        ('wait "$driver" || again=$?', "again=127"),
        ("--format=%T", "--format=%t"),
    ],
)
def test_an_error_in_how_it_stops_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in SCRIPT
    with pytest.raises((AssertionError, ValueError, subprocess.TimeoutExpired)):
        check_stop(SCRIPT.replace(right, wrong), tmp_path, patience=5)


def test_a_cancelled_job_that_came_back_would_be_found(tmp_path: Path) -> None:
    wrong = SCRIPT.replace('[ "$state" = RUNNING ]', "true")
    assert wrong != SCRIPT
    with pytest.raises(AssertionError, match="requeued"):
        check_stop(wrong, tmp_path, "COMPLETING")
