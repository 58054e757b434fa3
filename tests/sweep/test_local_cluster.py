"""Studies on clusters: code and data that nodes lack, drivers anywhere, several studies at once."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from analysis import load
from methods.testing.toy import TOY, toy_study
from sweep import Study
from sweep.storage.run_folder import dump
from tests.sweep.local_cluster import LocalCluster

pytestmark = [
    pytest.mark.ray,
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.getuid() != 0, reason="nodes without a folder need mounts of their own"),
]
OWN_METHOD = """
from methods.baselines.finetune import FineTune
from own_package.half import HALF

class Halved(FineTune):
    def after_task(self, stage):
        for weight in self.parameters():
            weight.data.mul_(HALF)
"""
OWN_BENCHMARK = """
from sweep.tasks.image_folder import ImageFolder

class Mine(ImageFolder):
    pass
"""
ORDERS = [["day", "night"], ["night", "day"]]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a method, a benchmark and data of one's own, and a study of them."""
    folder = tmp_path / "mine"
    (folder / "own_package").mkdir(parents=True)
    (folder / "own_package/half.py").write_text("HALF = 0.5\n")
    (folder / "own_method.py").write_text(OWN_METHOD)
    (folder / "own_benchmark.py").write_text(OWN_BENCHMARK)
    rng = np.random.default_rng(0)
    for task in ("day", "night"):
        for split, kind in ((split, kind) for split in ("train", "test") for kind in ("ox", "elk")):
            images = folder / "data" / task / split / kind
            images.mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(images / f"{i}.png")
    study = {
        "name": "mine",
        "benchmark": {"name": "own_benchmark:Mine", "path": "data", "template": "a photo of a {}."},
        "backbones": ["tiny-clip-pictures"],
        "methods": {"finetune": None, "half": {"method": "own_method:Halved"}},
        "design": {"name": "fixed", "orders": ORDERS},
        "training": {"steps": 2, "batch_size": 4, "lr": 1e-3},
        "lanes": {"count": 1},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder


def write(study: Study, folder: Path) -> None:
    (folder / "study.yaml").write_text(dump(study))


def results(out: Path) -> list[tuple[object, ...]]:
    """Returns all results of a run, without keys, which depend on where the data lie."""
    columns = ["method", "replicate", "prefix", "split", "eval_task", "metric", "value", "n"]
    stages = load(str(out)).stages
    return sorted(stages[columns].itertuples(index=False, name=None), key=repr)


def test_code_and_data_reach_nodes_that_lack_them(mine: Path, tmp_path: Path) -> None:
    """A job whose driver is on such a node, and then a driver beside the head."""
    with LocalCluster(jobs=True) as cluster:
        cluster.add_node(2, hidden=[mine])
        run = f"ls {mine} | wc -l; sweep run study.yaml --address auto --out {tmp_path}/job"
        submit = f"--address {cluster.jobs_address} --entrypoint-num-cpus 0.1 --working-dir".split()
        submitted = ["ray", "job", "submit", *submit, str(mine), "--", "sh", "-c", run]
        done = cluster.run(*submitted, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\n0\n" in done.stdout  # the driver was on the node, where the folder is empty
        toy = {"name": TOY}
        study = yaml.safe_load((mine / "study.yaml").read_text())
        (mine / "toy.yaml").write_text(yaml.safe_dump(study | {"benchmark": toy}))
        orders = "design={name: fixed, orders: [[a, b, c]]}"
        words = ["toy.yaml", "--set", orders, "--address", cluster.address]
        done = cluster.run("sweep", "run", *words, "--out", str(tmp_path / "direct"), cwd=mine)
        assert done.returncode == 0, done.stdout + done.stderr
    alone = cluster.run("sweep", "run", "study.yaml", "--out", str(tmp_path / "alone"), cwd=mine)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert {row[0] for row in results(tmp_path / "direct")} == {"finetune", "half"}
    assert {row[2] for row in results(tmp_path / "job")} > {("day", "night"), ("night", "day")}
    assert results(tmp_path / "job") == results(tmp_path / "alone")


def test_two_studies_are_at_work_at_once(tmp_path: Path) -> None:
    files = [str(tmp_path / "one.met"), str(tmp_path / "two.met")]
    with LocalCluster() as cluster:
        cluster.add_node(2)
        drivers = []
        for mine, others in (files, files[::-1]):
            name = Path(mine).stem
            folder = tmp_path / name
            folder.mkdir()
            entry = {"method": "tests.faulty:Meets", "mine": mine, "others": others}
            write(toy_study(tmp_path, {"meets": entry}, lanes={"count": 1}), folder)
            words = ["study.yaml", "--address", cluster.address, "--out", "out"]
            drivers.append(cluster.begin("sweep", "run", *words, cwd=folder))
        for driver in drivers:
            said, _ = driver.communicate(timeout=500)
            assert driver.returncode == 0, said
    first, second = (results(tmp_path / name / "out") for name in ("one", "two"))
    assert ("a", "b", "c") in {row[2] for row in first}
    assert first == second


def test_workers_of_a_lane_on_two_nodes(tmp_path: Path) -> None:
    """They give what two workers on one machine give, bit for bit."""
    changes = {"design": {"name": "fixed", "orders": [["a", "b", "c"]]}}
    study = toy_study(tmp_path, ("finetune", "er"), lanes={"count": 1, "workers": 2}, **changes)
    write(study, tmp_path)
    with LocalCluster() as cluster:
        cluster.add_node(1)
        cluster.add_node(1)
        words = ["study.yaml", "--address", cluster.address, "--out", "there"]
        done = cluster.run("sweep", "run", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    here = cluster.run("sweep", "run", "study.yaml", "--out", "here", cwd=tmp_path)
    assert here.returncode == 0, here.stdout + here.stderr
    assert {row[0] for row in results(tmp_path / "there")} == {"finetune", "er"}
    assert results(tmp_path / "there") == results(tmp_path / "here")
