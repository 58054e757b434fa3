"""Processes killed at random moments: nothing finished is lost, nothing is trained twice."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from analysis import load
from sweep.storage.folder import Folder

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

KEYS = ["method", "prefix", "eval_task", "metric"]
VICTIMS = {
    "worker": ("ray::RayTrainWorker",),
    "controller": ("ray::TrainController",),
    # By its class while it waits for a task, by the task's while it does one.
    "trial": ("ray::ResourceTrainable", "ray::OrderTrial"),
    "coordinator": ("ray::Coordinator",),
}


class Driver:
    """`sweep run` in a process of its own."""

    def __init__(
        self, models: Path, out: Path | str, lanes: int = 2, workers: int = 1, tasks: int = 4
    ) -> None:
        arguments = [str(models), str(out), str(lanes), str(workers), str(tasks)]
        command = [sys.executable, "-m", "tests.sweep.drive", *arguments]
        self.out = out
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def finished(self) -> dict[str, int]:
        files = Folder(str(self.out)).list("stages", recursive=True)
        return {
            file.path: file.mtime_ns
            for file in files
            if file.base_name.startswith("stage.") and file.extension == "json"
        }

    def finished_after(self, before: dict[str, int]) -> dict[str, int]:
        """What is finished now; what was finished before is as it was."""
        now = self.finished()
        assert {file: now[file] for file in before} == before
        return now

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 240
        while len(self.finished()) < count:
            assert self.process.poll() is None, "the driver ended too early"
            assert time.monotonic() < deadline, "no stages"
            time.sleep(0.05)
        time.sleep(random.uniform(0, 1))  # any moment of a stage, or between two

    def descendants(self, victim: str) -> list[psutil.Process]:
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [process for process in family if _command(process).startswith(VICTIMS[victim])]

    def new(self, victim: str, besides: set[int]) -> psutil.Process:
        """Waits for a process to appear."""
        deadline = time.monotonic() + 240
        while not (found := [p for p in self.descendants(victim) if p.pid not in besides]):
            assert self.process.poll() is None, "the driver ended too early"
            assert time.monotonic() < deadline, f"no {victim} appears"
            time.sleep(0.05)
        return found[0]

    def end(self) -> None:
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        # Ray's own processes follow their driver; its agents are slow to notice.
        _, alive = psutil.wait_procs(family, timeout=20)
        for process in alive:
            process.kill()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def scores(out: Path | str) -> pd.DataFrame:
    stages = load(str(out)).stages
    return stages[[*KEYS, "value", "n"]].sort_values(KEYS).reset_index(drop=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def undisturbed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    driver = Driver(models, tmp_path_factory.mktemp("calm") / "out")
    assert driver.process.wait(400) == 0
    return scores(driver.out)


@pytest.fixture
def driver(models: Path, tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(models, tmp_path / "out")
    yield driver
    driver.end()


def check_killing(driver: Driver, undisturbed: pd.DataFrame, *victims: str) -> None:
    """Kill one process after the other, each time when a few more stages are finished."""
    before: dict[str, int] = {}
    for victim in victims:
        driver.wait_for(len(before) + 6)
        before = driver.finished_after(before)
        found = driver.descendants(victim)
        assert found, f"no {victim} to kill"
        found[0].kill()
    assert driver.process.wait(400) == 0
    driver.finished_after(before)
    pd.testing.assert_frame_equal(scores(driver.out), undisturbed)


@pytest.mark.slow
def test_killed_processes_cost_at_most_their_stages(
    driver: Driver, undisturbed: pd.DataFrame
) -> None:
    check_killing(driver, undisturbed, *VICTIMS)


@pytest.mark.long
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_process_costs_at_most_its_stage(
    driver: Driver, undisturbed: pd.DataFrame, victim: str
) -> None:
    check_killing(driver, undisturbed, victim)


@pytest.mark.long
@pytest.mark.parametrize("victim", ["controller", "trial"])
def test_killed_lanes_leave_room_for_new_ones(
    driver: Driver, undisturbed: pd.DataFrame, victim: str
) -> None:
    """All at once, so that whatever they held is needed again."""
    driver.wait_for(8)
    victims = driver.descendants(victim)
    assert len(victims) == 2
    for process in victims:
        process.kill()
    assert driver.process.wait(400) == 0
    pd.testing.assert_frame_equal(scores(driver.out), undisturbed)


@pytest.mark.slow
def test_lanes_killed_while_they_start_leave_room_for_new_ones(
    models: Path, tmp_path: Path
) -> None:
    """Nobody has heard of the only lane's workers yet, and the coordinator has just restarted."""
    driver = Driver(models, tmp_path / "out", lanes=1, tasks=2)
    started: set[int] = set()
    try:
        for victims in (["trial"], ["controller"], ["coordinator", "controller"], ["worker"]):
            started.add(driver.new("worker", started).pid)
            time.sleep(random.uniform(0, 1))
            for victim in victims:
                for process in driver.descendants(victim):
                    process.kill()
            assert not driver.finished()
        assert driver.process.wait(400) == 0
    finally:
        driver.end()
    assert len(driver.finished()) == 5


@pytest.mark.slow
def test_killed_worker_of_two_costs_at_most_the_stage(models: Path, tmp_path: Path) -> None:
    """The other one waits for it in vain, and both start anew."""
    calm = Driver(models, tmp_path / "calm", lanes=1, workers=2, tasks=3)
    assert calm.process.wait(400) == 0
    driver = Driver(models, tmp_path / "out", lanes=1, workers=2, tasks=3)
    try:
        driver.wait_for(4)
        before, victims = driver.finished(), driver.descendants("worker")
        assert len(victims) == 2
        random.choice(victims).kill()
        assert driver.process.wait(400) == 0
    finally:
        driver.end()
    driver.finished_after(before)
    pd.testing.assert_frame_equal(scores(driver.out), scores(calm.out))


@pytest.mark.slow
def test_stopped_driver_goes_on_where_it_was(
    driver: Driver, models: Path, undisturbed: pd.DataFrame
) -> None:
    """It is interrupted, and the one that goes on is killed."""
    driver.wait_for(6)
    family = psutil.Process(driver.process.pid).children(recursive=True)
    driver.process.send_signal(signal.SIGINT)
    assert driver.process.wait(60) == 1
    assert not psutil.wait_procs(family, timeout=30)[1]
    interrupted = driver.finished()
    assert 6 <= len(interrupted) < 40
    second = Driver(models, driver.out)
    try:
        second.wait_for(len(interrupted) + 4)
    finally:
        second.end()
    killed = second.finished_after(interrupted)
    assert len(killed) < 65
    third = Driver(models, driver.out)
    try:
        assert third.process.wait(400) == 0
    finally:
        third.end()
    assert len(third.finished_after(killed)) == 65
    pd.testing.assert_frame_equal(scores(driver.out), undisturbed)
