"""Every part in examples/ does what it says, in the studies that name it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from analysis import from_matrices, load, metrics
from examples.own_metric import MINIMUM_ACCURACY
from methods.base import State
from methods.testing.tiny_models import save_clip
from sweep.cli.report import report
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.preview.precision_forecast import precision_forecast
from sweep.single import run_single
from sweep.storage.changes import conflict
from sweep.storage.folder import Folder
from sweep.study.reporting import own_metrics, parts_of_report
from sweep.study.schema import Study

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SMALL = ("benchmark.train=32", "benchmark.test=16", "training.steps=3", "training.batch_size=8")
ORDER = ("colors", "shapes", "counting")
TABLE = "price"
"""Of the panel in own_panel.py."""


@pytest.fixture(scope="module")
def parts() -> Study:
    return Study.load(EXAMPLES / "own_parts.yaml", SMALL)


@pytest.fixture(scope="module")
def ran(parts: Study, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State, State]:
    """A run folder with a report, and the states after its first and its last task."""
    out = tmp_path_factory.mktemp("runs") / "own-parts"
    _, state = run_single(parts, "bitfit", ORDER, out=str(out))
    _, first = run_single(parts, "bitfit", ORDER[:1])
    assert state
    assert first
    report(str(out))
    return out, first, state


def test_a_method(ran: tuple[Path, State, State]) -> None:
    _, first, last = ran
    assert all(name.endswith(".bias") for name in last)
    assert any(not torch.equal(first[name], last[name]) for name in last)


def test_a_design(parts: Study) -> None:
    plan = make_plan(parts.model_copy(update={"similarity": None}))
    for block in plan.blocks:
        assert block[:2] == [ORDER, ORDER[::-1]]
        assert len(set(block)) == len(block) == 4
    assert plan.blocks[0][2:] != plan.blocks[1][2:]
    with pytest.raises(InputError, match="easiest_first must name"):
        make_plan(Study.load(EXAMPLES / "own_parts.yaml", ("design.easiest_first=[colors]",)))


def test_a_measure(ran: tuple[Path, State, State]) -> None:
    out, _, _ = ran
    (file,) = (out / "similarity").glob("tasks.parquet")
    rows = pd.read_parquet(file)
    own = rows[rows["measure"] == "examples.own_measure:MMD"]
    apart = own[own["task"] != own["other"]]
    assert len(apart) == 6
    assert (apart["similarity"] < 0).all()


def test_a_diagnostic(ran: tuple[Path, State, State]) -> None:
    """A flip in either direction is the change of accuracy; of the untouched backbone none is."""
    out, _, _ = ran
    rows = pd.concat(map(pd.read_parquet, (out / "results").glob("*.parquet")))
    flips = rows[rows["split"] == "flips"].set_index(["stage", "eval_task", "metric"])["value"]
    plain = rows[(rows["split"] == "task") & (rows["metric"] == "accuracy")]
    accuracy = plain.set_index(["stage", "eval_task"])["value"]
    assert len(flips) == 4 * 3 * 2
    assert (flips[0] == 0).all()
    assert (flips > 0).any()
    for stage in (1, 2, 3):
        for task in ORDER:
            change = accuracy[stage, task] - accuracy[0, task]
            assert flips[stage, task, "positive"] - flips[stage, task, "negative"] == pytest.approx(
                change
            )


def test_a_metric(ran: tuple[Path, State, State]) -> None:
    out, _, _ = ran
    results = from_matrices(
        [[[0.1, 0.1, 0.1], [0.9, 0.2, 0.2], [0.4, 0.8, 0.2], [0.6, 0.7, 0.9]]], [("a", "b", "c")]
    )
    assert metrics(results, extra=[MINIMUM_ACCURACY])["minimum_accuracy"][0] == pytest.approx(0.55)
    shown = pd.read_parquet(out / "tables" / "summary.parquet")
    assert "minimum_accuracy" in set(shown["metric"])
    assert "Minimum accuracy" in (out / "report.html").read_text("utf-8")


def test_a_panel(ran: tuple[Path, State, State]) -> None:
    out, _, _ = ran
    page = (out / "report.html").read_text("utf-8")
    assert "What does accuracy cost?" in page
    table = pd.read_parquet(out / "tables" / f"{TABLE}.parquet")
    assert list(table["method"]) == ["bitfit"]
    assert (table["train_seconds"] > 0).all()


# --- the sections that name metrics and panels ---------------------------------------------------


def test_what_the_report_shows_may_change(parts: Study) -> None:
    bare = Study.load(EXAMPLES / "own_parts.yaml", (*SMALL, "report={}"))
    assert bare.report.panels == ()
    assert conflict(parts, bare) == ""


@pytest.mark.parametrize("kind", ["metrics", "panels"])
def test_what_a_report_cannot_show(kind: str) -> None:
    with pytest.raises(InputError, match=rf"report\.{kind}: Unknown {kind[:-1]} 'acuracy'"):
        Study.load(EXAMPLES / "own_parts.yaml", (f"report.{kind}=[acuracy]",))


def test_runs_are_compared_with_the_parts_of_all() -> None:
    metric, panel = "examples.own_metric:MINIMUM_ACCURACY", "examples.own_panel:AccuracyPerSecond"
    studies: list[dict[str, Any]] = [
        {"report": {"metrics": [metric], "panels": []}},
        {"report": {"metrics": [metric], "panels": [panel]}},
        {"report": None, "stopping": {"of": metric}},
        {},
    ]
    panels, shown = parts_of_report(studies)
    assert [panel.key for panel in panels] == ["price"]
    assert shown == [MINIMUM_ACCURACY]
    assert parts_of_report(studies[2:]) == ([], [MINIMUM_ACCURACY])
    assert parts_of_report(studies[3:]) == ([], [])


def test_a_report_does_without_parts_of_another_machine() -> None:
    with pytest.warns(UserWarning, match="The report lacks a panel: Panel 'elsewhere:Panel'"):
        panels, _ = parts_of_report([{"report": {"panels": ["elsewhere:Panel"]}}])
    assert panels == []


def test_what_is_installed_is_always_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from sweep import registry

    part = registry.Part("lowest", "examples.own_metric:MINIMUM_ACCURACY", "some-package")
    monkeypatch.setattr(registry, "_installed", lambda kind: [part] if kind == "metrics" else [])
    assert own_metrics() == [MINIMUM_ACCURACY]
    assert own_metrics(["lowest", part.path, "average_accuracy"]) == [MINIMUM_ACCURACY]


def test_a_study_stops_by_a_metric_of_ones_own(
    parts: Study, ran: tuple[Path, State, State]
) -> None:
    out, _, _ = ran
    of = "stopping.of=examples.own_metric:MINIMUM_ACCURACY"
    rule = ("stopping.half_width=0.5", "stopping.method=bitfit", of)
    stopping = Study.load(EXAMPLES / "own_parts.yaml", (*SMALL, *rule)).stopping
    assert stopping
    assert stopping.contrast == "minimum accuracy of bitfit"
    forecast = precision_forecast(
        parts.model_copy(update={"stopping": stopping}), Folder(str(out)), lane_seconds=1.0
    )
    assert forecast.known == 1
    runs = stopping.runs(load(str(out)))
    assert stopping.means(runs, 1).notna().all(axis=None)
    many = pd.concat([runs.assign(replicate=r, minimum_accuracy=0.5 + r / 1000) for r in range(6)])
    stop = stopping.look(many, 6, 20)
    assert stop
    assert "minimum accuracy of bitfit is 0.50" in stop.reason


@pytest.mark.ray
@pytest.mark.slow
def test_lanes_find_parts_where_sweep_is_called(tmp_path: Path) -> None:
    """The engine's processes, too; nothing but the study says what the report shows."""
    shutil.copytree(EXAMPLES, tmp_path / "here" / "examples")
    (tmp_path / "tree").mkdir()
    for package in ("sweep", "methods", "analysis"):
        (tmp_path / "tree" / package).symlink_to(ROOT / package)
    command = [sys.executable, "-m", "sweep.cli.main", "run", "examples/own_parts.yaml"]
    for change in (*SMALL, "replicates=1", "training.warmup_steps=0", "lanes.count=1"):
        command += ["--set", change]
    done = subprocess.run(
        [*command, "--out", "out"],
        cwd=tmp_path / "here",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "tree")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "here" / "out"
    assert list(pd.read_parquet(out / "tables" / f"{TABLE}.parquet")["method"]) == [
        "bitfit",
        "finetune",
    ]
    orders = pd.read_parquet(out / "orders.parquet")["order"].map(tuple)
    assert {ORDER, ORDER[::-1]} < set(orders)


# --- data -----------------------------------------------------------------------------------------

WORDS = ("red", "green", "blue", "a", "photo", "of", ".")
CLASSES = {"red": (255, 0, 0), "green": (0, 255, 0)}


def picture(file: Path, color: tuple[int, int, int]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 32), color).save(file)
    return str(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A folder with what own_data.yaml and clip_folder.yaml name, and changes that name it."""
    folder = tmp_path_factory.mktemp("data")
    save_clip(folder / "clip", WORDS)
    rows = []
    for task in ("one", "two"):
        for split, count in (("train", 6), ("test", 2)):
            for label, color in CLASSES.items():
                for i in range(count):
                    name = f"{task}/{split}/{label}/{i}.png"
                    picture(folder / "mine" / name, color)
                    rows.append([task, split, f"mine/{name}", label])
        for label, color in CLASSES.items():
            picture(folder / "generated" / task / label / "0.png", color)
    table = pd.DataFrame(rows, columns=["task", "split", "image", "label"])
    table.to_csv(folder / "tasks.csv", index=False)
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(12)]
    for row in images:
        picture(folder / "coco" / str(row["file_name"]), (0, 0, 20 * int(row["id"])))
    captions = [
        {"image_id": i, "caption": text}
        for i in range(10)
        for text in (f" a photo of {i}", "a second one")
    ]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    changes = (f"backbones={{clip: {{path: {folder / 'clip'}}}}}", "training.precision=fp32")
    changes += ("training.steps=2", "training.batch_size=4", "training.warmup_steps=0")
    return folder, changes


@pytest.fixture(scope="module")
def own(data: tuple[Path, tuple[str, ...]]) -> Study:
    folder, changes = data
    where = (
        f"benchmark.path={folder / 'tasks.csv'}",
        f"reference.annotations={folder / 'captions.json'}",
        f"reference.images={folder / 'coco'}",
        "reference.size=8",
        f"generator.path={folder / 'generated'}",
        "generator.images=8",
    )
    return Study.load(EXAMPLES / "own_data.yaml", (*changes, *where))


def test_a_benchmark(own: Study) -> None:
    assert own.benchmark.task_names() == ("one", "two")
    tasks = own.benchmark.load().tasks
    assert tasks["one"].choices == ("green", "red")
    assert tasks["one"].train.labels.tolist() == [0] * 6 + [1] * 6
    (last,) = tasks["two"].test.images(np.array([3]))
    assert np.asarray(last)[0, 0].tolist() == [255, 0, 0]


def test_a_benchmark_is_another_when_an_image_changes(own: Study, tmp_path: Path) -> None:
    before = own.benchmark.fingerprint()
    picture(tmp_path / "x.png", (1, 2, 3))
    (tmp_path / "t.csv").write_text("task,split,image,label\na,train,x.png,red\n")
    other = Study.load(
        EXAMPLES / "own_data.yaml", (f"benchmark.path={tmp_path / 't.csv'}",)
    ).benchmark
    one = other.fingerprint()
    picture(tmp_path / "x.png", (3, 2, 1))
    assert len({before, one, other.fingerprint()}) == 3
    with pytest.raises(InputError, match="task 'a': a label has no images in split 'test'"):
        other.load()


def test_a_reference(own: Study) -> None:
    assert own.reference
    images, captions = own.reference.load()
    assert len(images) == len(captions) == 8
    assert all(caption.startswith("a photo of ") for caption in captions)
    for image, caption in zip(images, captions, strict=True):
        assert np.asarray(image)[0, 0].tolist() == [0, 0, 20 * int(caption.split()[-1])]


def test_a_generator(own: Study) -> None:
    assert own.generator
    task = own.benchmark.load().tasks["one"]
    drawn = own.generator.load(own.benchmark)(task, np.array([1, 0]), [3, 4])
    assert [np.asarray(image)[0, 0].tolist() for image in drawn] == [[255, 0, 0], [0, 255, 0]]


@pytest.mark.parametrize("method", ["zscl", "gift"])
def test_methods_learn_from_them(own: Study, method: str) -> None:
    records, state = run_single(own, method, ("one", "two"))
    assert len(records) == 3
    assert state
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_a_real_clip_on_folders(data: tuple[Path, tuple[str, ...]]) -> None:
    assert next(iter(Study.load(EXAMPLES / "clip_folder.yaml").backbones)).startswith("openai/clip")
    folder, changes = data
    study = Study.load(
        EXAMPLES / "clip_folder.yaml", (*changes, f"benchmark.path={folder / 'mine'}")
    )
    plan = make_plan(study)
    assert plan.counts()["orders"] == 2 * 8
    assert sorted(plan.blocks[0]) == [("one", "two"), ("two", "one")]


def test_data_that_are_missing() -> None:
    """One sentence says which; and they are looked for in one place by every process."""
    study = Study.load(EXAMPLES / "own_data.yaml")
    assert study.reference
    assert study.generator
    with pytest.raises(InputError, match=r"path: '/.*tasks\.csv' is not a file"):
        study.benchmark.task_names()
    with pytest.raises(InputError, match=r"reference: '/.*captions_val2017\.json' is not a file"):
        study.reference.fingerprint()
    with pytest.raises(InputError, match=r"no images \(\*\.png\) in '/.*generated'"):
        study.generator.fingerprint()


# --- a package of parts --------------------------------------------------------------------------


def test_a_package_that_is_installed(tmp_path: Path) -> None:
    """Its design is listed with where it comes from, and a study names it without a path."""
    site = tmp_path / "site"
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(site)]
    source = tmp_path / "plugin"
    source.mkdir()
    for file in (EXAMPLES / "plugin").iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", *options, str(source)]
    subprocess.run(pip, check=True, capture_output=True, timeout=300)
    code = f"""
import sys
sys.path[:0] = [{str(site)!r}, {str(ROOT)!r}]
from sweep.cli.main import main
main(["list", "designs"])
from sweep.measuring.measure import make_plan
from sweep.study.schema import Study
plan = make_plan(Study.load("quickstart", ("design=rotations", "replicates=1")))
print([[order.index(task) for task in plan.blocks[0][0]] for order in plan.blocks[0]])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed, orders = done.stdout.strip().rsplit("\n", 1)
    line = next(line for line in listed.splitlines() if line.startswith("rotations"))
    assert line.endswith("(order-rotations)")
    assert orders == str([[(i - shift) % 5 for i in range(5)] for shift in range(5)])
