"""A study on a cluster that starts and ends nodes by itself, as those of clouds do."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from methods.testing.toy import toy_study
from tests.sweep.local_cluster import LocalCluster
from tests.sweep.test_local_cluster import results, write


def wait_for(happened: Callable[[], bool], driver: "subprocess.Popen[str]", what: str) -> None:
    deadline = time.monotonic() + 400
    while not happened():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_lanes_make_a_cluster_grow_and_let_it_shrink(tmp_path: Path) -> None:
    """Two methods wait in their first stage until the test lets each of them go on."""
    begun, goes = ([tmp_path / f"{name}-{i}" for i in range(2)] for name in ("begun", "goes"))
    methods = {
        f"meets-{i}": {"method": "tests.faulty:Meets", "mine": str(mine), "others": str(others)}
        for i, (mine, others) in enumerate(zip(begun, goes, strict=True))
    }
    orders = {"name": "fixed", "orders": [["a", "b", "c"]]}
    lanes = {"count": 2, "gpus_per_worker": 0}
    write(toy_study(tmp_path, methods, design=orders, lanes=lanes), tmp_path)
    with LocalCluster(grows_to=2) as cluster:
        assert not cluster.raylets()
        words = ["sweep", "run", "study.yaml", "--address", cluster.address, "--out", "there"]
        unsaid = cluster.run(*words, "--set", "lanes.gpus_per_worker=auto", cwd=tmp_path)
        assert unsaid.returncode == 2
        assert "room for 0 of 2 lanes" in unsaid.stderr
        assert not (tmp_path / "there").exists()
        driver = cluster.begin(*words, cwd=tmp_path)
        wait_for(lambda: all(file.exists() for file in begun), driver, "the cluster does not grow")
        first = {raylet.pid for raylet in cluster.raylets()}
        assert len(first) == 2
        for file in begun:
            file.unlink()
        lost = cluster.raylets()[0]
        lost.kill()
        wait_for(lambda: any(file.exists() for file in begun), driver, "no node is replaced")
        assert {raylet.pid for raylet in cluster.raylets()} - first
        goes[0].touch()
        # Its chain ends, and nothing else is left that the lane could do.
        wait_for(lambda: len(cluster.raylets()) == 1, driver, "the idle lane holds its node")
        assert driver.poll() is None
        goes[1].touch()
        said, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
        deadline = time.monotonic() + 120
        while cluster.raylets() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not cluster.raylets()
    here = cluster.run("sweep", "run", "study.yaml", "--out", "here", cwd=tmp_path)
    assert here.returncode == 0, here.stdout + here.stderr
    assert {row[0] for row in results(tmp_path / "there")} == {"meets-0", "meets-1"}
    assert results(tmp_path / "there") == results(tmp_path / "here")
