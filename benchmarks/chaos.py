"""Runs studies on a cluster of this machine while processes, nodes and disks of it fail.

    python benchmarks/chaos.py                       # each kind of fault once
    python benchmarks/chaos.py --faults 500 --seed 7

The cluster is a head without CPUs and two worker nodes of one CPU, each a raylet of its own. A
study of 31 stages runs on it once undisturbed, and then again and again with faults, until all of
the schedule have happened: processes of Ray are killed (a lane's worker, its controller, a trial,
the coordinator), a worker node loses its raylet or all of its processes or is frozen for longer
than Ray waits for it, `sweep run` itself is killed or told to end, a worker is stopped for seconds
or for longer than its lease, the disk with OUT is full for a while. Faults come from the first
second on; lost nodes are replaced, a `sweep run` that ended is called again.

Checked of every study: it ends; scores, embeddings and states are those of the undisturbed run, bit
for bit; nothing is counted twice; no finished stage was begun again; every call of `sweep run` that
ended early said why, in a sentence. The exit code is 1 if any of this does not hold.

Printed: per kind, what faults have cost; and what lanes cost on the head. The full disk takes the
right to mount a small one; without it that kind is left out.

On two cores that others used as well (load 10 to 40), 52 faults took 28 minutes, in three studies.
14 of them met a stage at work; it lost 0.3 to 64 s and was at work again after 10 to 154 s, most of
which is the start of processes. A study began 1.13 to 1.2 times as many stages as it has. A lane
is four processes on the head with 0.74 GB of their own.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from faults.checks import (
    Calm,
    RecordWatch,
    attribute,
    differences,
    head_cost,
    read_notes,
    read_records,
    read_scores,
    trained_again,
)
from faults.kinds import KINDS, SIGNALS, Fault, Mischief, Planned, schedule
from faults.machines import Driver, Machines, children, runs, set_environment, title
from faults.tables import cost_table, head_table

LANES = 2
DISK = "160m"
"""Size of the disk that can be full."""
PATIENCE = 600.0
"""Seconds without any progress after which the study is taken to hang: Ray takes a minute for some
things, and this machine may be busy."""
MOST_PROBLEMS = 20
"""Problems after which the benchmark gives up."""


@dataclass
class Failed(Exception):
    """Why the studies cannot go on."""

    reason: str


def write_study(folder: Path, steps: int) -> Path:
    """Writes a study of 31 stages: two methods, all orders of three tasks."""
    notes = str(folder / "notes.jsonl")
    study = {
        "name": "chaos",
        "benchmark": {"name": "world", "tasks": ["shapes", "textures", "letters"], "test": 40},
        "backbones": ["tiny-clip"],
        "methods": {
            "finetune": {"method": "faults.noted:NotedFineTune", "notes": notes},
            "er": {"method": "faults.noted:NotedReplay", "notes": notes, "memory": 60},
        },
        "design": "exhaustive",
        "training": {"steps": steps, "batch_size": 32, "lr": 5e-4, "warmup_steps": 5},
        "lanes": {
            "count": LANES,
            "cpus_per_worker": 1,
            "gpus_per_worker": 0,
            "checkpoint_minutes": 1 / 60,
        },
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return file


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Makes a folder a disk of its own; says whether this machine allows it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Chaos:
    """Studies on a cluster, one after another."""

    def __init__(self, folder: Path, machines: Machines, study: Path, seed: int) -> None:
        self.folder = folder
        self.machines = machines
        self.study = study
        self.notes = folder / "notes.jsonl"
        self.disk = folder / "disk"
        self.mischief = Mischief(machines, self.disk, seed)
        self.faults: list[Fault] = []
        self.problems: list[str] = []
        self.calls: list[str] = []
        """How calls of `sweep run` have ended."""
        self.studies: list[dict[str, float]] = []
        self.head: dict[str, tuple[int, float]] = {}
        self.calm_seconds = self.seconds = 0.0

    def run(self, left: list[Planned]) -> None:
        """Runs studies until all faults that are left have happened."""
        begun = time.time()
        try:
            calm = self.undisturbed()
            self.calm_seconds = calm.seconds
            self._say(f"undisturbed: {calm.seconds:.0f} s")
            while left:
                self.disturbed(len(self.studies) + 1, left, calm)
        except Failed as error:
            self.problems.append(error.reason)
        self.seconds = time.time() - begun

    def found(self) -> dict[str, Any]:
        """Returns all that was found, as JSON can hold it."""
        return {
            "problems": self.problems,
            "faults": [{**asdict(fault), "alive": len(fault.alive)} for fault in self.faults],
            "undisturbed_seconds": self.calm_seconds,
            "seconds": self.seconds,
            "studies": self.studies,
            "calls": self.calls,
            "head": self.head,
        }

    def undisturbed(self) -> Calm:
        """Runs the study without faults."""
        begun, out = time.time(), self.disk / "calm"
        driver, watch = Driver(self.study, out, self.machines.address), RecordWatch(out)
        while (code := driver.process.poll()) is None:
            time.sleep(0.2)
            if not self.head and len(watch.first) > 12:
                self.head = head_cost(driver.process.pid)
            if time.time() - begun > 2 * PATIENCE:
                self.give_up(driver, f"the undisturbed study took more than {2 * PATIENCE:.0f} s")
        watch.end()
        if code:
            raise Failed(f"the undisturbed study ended with {code}: {driver.words()}")
        seconds = time.time() - begun
        noted = read_notes(self.notes, begun)
        self.problems += trained_again(out, watch, noted)
        return Calm(read_records(out), read_scores(out), seconds, len(noted))

    def disturbed(self, number: int, left: list[Planned], calm: Calm) -> None:
        """Runs the study with faults, which are taken from those that are left."""
        begun, before = time.time(), len(self.faults)
        out = self.disk / f"run-{number}"
        driver, watch = Driver(self.study, out, self.machines.address), RecordWatch(out)
        self._started = self._last = self._moved = begun
        self._first, self._noted = 0.0, self._size()
        self._signs: object = None
        while not self._is_finished(driver):
            self._see_progress(driver, watch)
            self.mischief.tend()
            if left and self._is_due(left[0]):
                self._disturb(driver, left)
            time.sleep(0.05)
        watch.end()
        faults, noted = self.faults[before:], read_notes(self.notes, begun)
        found = differences(out, calm) + trained_again(out, watch, noted)
        found += attribute(faults, noted)
        self.problems += [f"study {number}: {problem}" for problem in found]
        self.studies.append(
            {
                "seconds": round(time.time() - begun, 1),
                "faults": len(faults),
                "calls": driver.calls,
                "begun": len(noted) / calm.begun,
                "twice": len(watch.changed),
            }
        )
        self._say(f"study {number}: {self.studies[-1]}")
        if not found:
            driver.clear()

    def _size(self) -> int:
        return self.notes.stat().st_size if self.notes.exists() else 0

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def _is_due(self, fault: Planned) -> bool:
        since = max(self._started, self._last)
        if fault.is_soon:
            return time.time() > since + fault.delay
        return self._first > since and time.time() > self._first + fault.delay

    def _disturb(self, driver: Driver, left: list[Planned]) -> None:
        now, kind = time.time(), left[0].kind
        if self.mischief.is_full or self.mischief.is_ended:  # it is about to end
            return
        alive = {one.pid for one in children(psutil.Process()) if runs(one)}
        fault = Fault(kind, now, alive, now - self._started)
        if driver.process.poll() is None and self.mischief.do(fault, driver):
            self.faults.append(fault)
            self._say(f"{len(self.faults):3d} {kind}, {now - self._started:.1f} s after a start")
            self._last = now
            left.pop(0)

    def _last_of(self, *kinds: str) -> Fault:
        return [fault for fault in self.faults if fault.kind in kinds][-1]

    def _is_finished(self, driver: Driver) -> bool:
        """Returns whether the study is done; calls `sweep run` again where it has ended early."""
        code = driver.process.poll()
        if code is None:
            return False
        said = driver.words()
        sentence = said.strip().splitlines()[-1] if said.strip() else ""
        self.calls.append(f"{code}: {sentence}")
        self._say(f"    sweep run ended with {code}: {sentence}")
        if "Traceback (most recent call last)" in said:
            self.problems.append(f"`sweep run` printed a traceback: {said[-2000:]}")
        was_told, was_full = self.mischief.is_ended, "No space left on device" in said
        self.mischief.free()
        self.mischief.is_ended = False
        if was_told:  # lanes went on until the driver had ended
            self._last_of(*SIGNALS).until = time.time()
        if was_full:
            self._last_of("full disk").until = time.time()
        if code == 0:
            return True
        if not (was_told and code in (130, -2, -9, -15)) and not (was_full and code == 1):
            self.problems.append(f"`sweep run` ended with {code}: {said[-2000:]}")
            if len(self.problems) > MOST_PROBLEMS:
                raise Failed("`sweep run` ends again and again")
        driver.start()
        self._started = self._moved = time.time()
        return False

    def _see_progress(self, driver: Driver, watch: RecordWatch) -> None:
        notes = self._size()
        if notes > self._noted:
            self._noted = notes
            if self._first <= max(self._started, self._last):
                self._first = time.time()
        signs = (notes, len(watch.first), driver.calls)
        if signs != self._signs:
            self._signs, self._moved = signs, time.time()
        if time.time() - self._moved > PATIENCE:
            self.give_up(driver, f"no progress for {PATIENCE:.0f} s")

    def give_up(self, driver: Driver, reason: str) -> None:
        """Writes down where all processes are."""
        spy = Path(sys.executable).with_name("py-spy")
        dump = self.folder / "dump.txt"
        with dump.open("w") as file:
            for process in children(psutil.Process()):
                file.write(f"\n--- {process.pid} {title(process)[:120]}\n")
                file.flush()
                if spy.exists() and title(process).startswith(("ray::", sys.executable)):
                    with suppress(subprocess.TimeoutExpired):
                        command = [str(spy), "dump", "--pid", str(process.pid)]
                        subprocess.run(command, stdout=file, stderr=file, timeout=20, check=False)
        raise Failed(f"{reason}; see {dump}. The driver has said: {driver.words()[-2000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40, help="of a stage")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--json", type=Path, help="a file for all that was found")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))  # short: Ray makes sockets in it
    set_environment(folder / "ray")
    with small_disk(folder / "disk") as has_disk:
        left_out = [] if has_disk else ["full disk"]
        kinds = [kind for kind in options.kinds if kind not in left_out]
        machines = Machines(LANES)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in the place of Ray's handler
        chaos = Chaos(folder, machines, write_study(folder, options.steps), options.seed)
        try:
            chaos.run(schedule(options.faults, options.seed, kinds))
        finally:
            chaos.mischief.mend()
            machines.end()
            if chaos.problems:
                shutil.copytree(folder / "disk", folder / "kept")
    found = chaos.found() | {"left_out": left_out}
    print(cost_table(chaos.faults))
    print(head_table(chaos.head, LANES))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    for problem in chaos.problems:
        print(f"PROBLEM: {problem}")
    if chaos.problems:
        print(f"What is left of it is in {folder}.")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
