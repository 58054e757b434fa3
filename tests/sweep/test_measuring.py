"""Studies whose orders depend on the similarity of their tasks."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from sweep.cli.main import main
from sweep.errors import InputError
from sweep.measuring import similarity_matrices as tables
from sweep.measuring.measure import make_plan, proposed, save
from sweep.orders.by_similarity import Similarity
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.similarity import MEASURES, OF_EMBEDDINGS
from sweep.similarity.bands import NullLaw
from sweep.similarity.order_scores import SCORES, adjacent
from sweep.single import plan_single
from sweep.storage.changes import conflict
from sweep.storage.run_folder import RunFolder, dump
from sweep.study.schema import Study

GOOD: dict[str, Any] = {
    "name": "similar",
    "benchmark": {"name": "dial", "num_tasks": 4, "train": 24, "test": 8},
    "backbones": ["tiny-clip"],
    "methods": ["finetune"],
    "design": {"name": "similarity", "num_orders": 2, "bands": [[0, 0.3], [0.7, 1], "highest"]},
    "replicates": 2,
    "similarity": {"images": 20},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CACHE", cache)


def numbers(plan: Plan, replicate: int) -> np.ndarray:
    place = {task: i for i, task in enumerate(plan.study.benchmark.task_names())}
    return np.array([[place[task] for task in order] for order in plan.blocks[replicate]])


def blocks_of(raw: dict[str, Any]) -> list[list[Order]]:
    """The orders of all replicates of a study that knows its similarities."""
    study = Study.from_dict(raw)
    return study.blocks(study.benchmark.task_names())


def test_a_plan_measures_what_its_design_lacks() -> None:
    study = Study.from_dict(GOOD)
    assert not study.design.is_resolved
    plan = make_plan(study)
    assert isinstance(plan.study.design, Similarity)
    S = np.array(plan.study.design.matrix)
    assert S.shape == (4, 4)
    law = NullLaw(S)
    for replicate in (0, 1):
        values = adjacent(S, numbers(plan, replicate))
        assert (values[:2] <= law.bounds((0, 0.3))[1]).all()
        assert (values[2:4] >= law.bounds((0.7, 1))[0]).all()
        assert values.max() == law.values.max()


def test_the_matrix_is_part_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(Study.from_dict(GOOD))
    held = Study.from_dict(yaml.safe_load(dump(plan.study)))
    assert held == plan.study
    monkeypatch.setattr(tables, "sample", None)  # nothing needs to be measured any more
    assert make_plan(held).blocks == plan.blocks
    assert conflict(held, make_plan(Study.from_dict(GOOD)).study) == ""
    other = Study.from_dict(GOOD | {"design": GOOD["design"] | {"measure": "names"}})
    with pytest.raises(TypeError):  # other images: another recipe, measured anew
        make_plan(other.model_copy(update={"similarity": None}))


def test_the_best_order_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    ways = [["--best", "path_cost"], ["--worst", "path_cost"], ["--best", "typicality_gradient"]]
    printed = []
    for way in ways:
        assert main(["order", str(file), "--measure", "centroid", *way]) == 0
        printed.append(tuple(capsys.readouterr().out.strip().split(",")))
    study = Study.from_dict(GOOD)
    for order, way in zip(printed, ways, strict=True):
        best = way[0] == "--best"
        assert order == proposed(study, "centroid", way[1], best, None).order
        assert sorted(order) == sorted(study.benchmark.task_names())
    assert printed[0] != printed[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --best SCORE or --worst SCORE"),
        (["--best", "lagged", "--worst", "lagged"], "either --best SCORE or --worst SCORE"),
        (["--best", "cost"], "Unknown score 'cost'"),
        (["--best", "lagged", "--measure", "x"], "Unknown measure 'x'"),
        (["--best", "lagged", "--backbone", "x"], "Unknown backbone 'x'"),
    ],
)
def test_orders_that_cannot_be_printed(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    assert main(["order", str(file), *options]) == 2
    assert message in capsys.readouterr().err


def test_one_order_alone_needs_no_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.measuring.measure.similarities", None)
    study = Study.from_dict(GOOD | {"similarity": None})
    order = study.benchmark.task_names()[:2]
    assert plan_single(study, "finetune", order, 0, None).runs[0].order == order


def test_a_run_keeps_tables_and_recipe(tmp_path: Path) -> None:
    plan = make_plan(Study.from_dict(GOOD | {"design": "exhaustive"}))
    run_folder = RunFolder(str(tmp_path / "out"), plan)
    save(plan, run_folder.folder)
    folder = tmp_path / "out" / "similarity"
    pairs = pq.read_table(folder / "tasks.parquet").to_pandas()
    assert len(pairs) == len(OF_EMBEDDINGS) * 4 * 4
    orders = pq.read_table(folder / "orders.parquet").to_pandas()
    assert len(orders) == len(OF_EMBEDDINGS) * 24
    assert set(orders.columns) == {"backbone", "measure", "order", *SCORES}
    similar = pairs[pairs["measure"] == "image_text"].set_index(["task", "other"])["similarity"]
    for row in orders[orders["measure"] == "image_text"].itertuples():
        steps = zip(row.order[:-1], row.order[1:], strict=True)
        assert row.path_cost == pytest.approx(sum(similar[pair] for pair in steps))
    recipe = json.loads((folder / "recipe.json").read_text())["tiny-clip"]
    assert recipe["images"] == 20
    assert recipe["data"] == plan.study.benchmark.fingerprint()


def test_other_studies_measure_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.measuring.measure.similarities", None)
    plan = make_plan(Study.from_dict(GOOD | {"design": "williams", "similarity": None}))
    save(plan, RunFolder(str(tmp_path / "out"), plan).folder)
    assert not (tmp_path / "out" / "similarity").exists()


def test_rows_of_orders_of_any_length() -> None:
    S = {"names": np.array([[1.0, 0.2, 0.4], [0.2, 1.0, 0.6], [0.4, 0.6, 1.0]])}
    found = tables.order_rows("clip", S, "abc", [("a", "b"), ("c",), ("c", "b", "a")])
    assert found["order"].to_pylist() == [["a", "b"], ["c", "b", "a"]]
    assert found["adjacent"].to_pylist() == pytest.approx([0.2, 0.4])
    pq.write_table(found, io.BytesIO())
    assert tables.order_rows("clip", S, "abc", [("a",)]).num_rows == 0


MATRIX = [[1.0, 0.1, 0.2, 0.3], [0.1, 1.0, 0.4, 0.5], [0.2, 0.4, 1.0, 0.6], [0.3, 0.5, 0.6, 1.0]]


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"measure": "colour"}, "Unknown measure 'colour'; allowed: centroid, cka"),
        ({"bands": [[0.5, 0.2]]}, r"got the band \[0.5, 0.2\]; its levels must rise"),
        ({"bands": [[0.5, 1.2]]}, "between 0 and 1"),
        ({"bands": ["middle"]}, "design: bands.0"),
        ({"matrix": MATRIX[:3]}, "matrix must have 4 rows of 4 numbers, one for each of dial1"),
        ({"matrix": MATRIX, "held": ["dial9"]}, "similarity' 'dial9'; allowed: dial1"),
        ({"matrix": MATRIX, "size": 5}, "size 5 does not fit, there are only 4 tasks"),
        ({"matrix": MATRIX, "bands": [[0, 0.1]], "num_orders": 20}, "orders of 4 tasks were found"),
    ],
)
def test_bad_designs_are_named(design: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        blocks_of(GOOD | {"design": {"name": "similarity", "num_orders": 2} | design})


def test_a_backbone_of_the_study_measures() -> None:
    study = Study.from_dict(GOOD | {"design": GOOD["design"] | {"backbone": "tiny"}})
    with pytest.raises(InputError, match="'tiny'; allowed: tiny-clip"):
        make_plan(study)


def test_orders_are_stable() -> None:
    design = Similarity(num_orders=3, matrix=tuple(map(tuple, MATRIX)))
    orders = design.orders("abcd", np.random.default_rng(7))
    assert " ".join("".join(order) for order in orders) == (
        "cabd dabc cbad cdab abcd dcba adcb bcda acdb"
    )


def test_measures_that_do_not_exist_are_named() -> None:
    with pytest.raises(InputError, match=r"Unknown measure 'task_2vec'.* Did you mean 'task2vec'"):
        Study.from_dict(GOOD | {"similarity": {"measures": ["names", "task_2vec"]}})


def test_the_measure_of_the_design_is_kept_first() -> None:
    """The report draws the first one."""
    chosen = {"design": GOOD["design"] | {"measure": "cka"}}
    plan = make_plan(Study.from_dict(GOOD | chosen | {"similarity": {"measures": ["names"]}}))
    assert plan.study.similarity is not None
    assert plan.study.similarity.measures == ("cka", "names")


def test_the_study_of_bands_is_affordable_and_its_ends_are_balanced() -> None:
    plan = make_plan(Study.load("similarity", ("similarity.images=100",)))
    assert sum(len(plan.trainings(method)) for method in plan.study.methods) <= 1200
    for block in plan.blocks:
        low, middle, high = (block[start : start + 6] for start in (0, 6, 12))
        assert all(len({order[end] for order in middle}) == 6 for end in (0, -1))
        # Not every task can be at the end of an order whose neighbours are all alike, or unlike.
        assert all(
            len({order[end] for order in band}) >= 3 for band in (low, high) for end in (0, -1)
        )


def test_the_study_of_predictions_holds_all_orders_and_measures() -> None:
    study = Study.load("t3")
    assert [len(block) for block in study.blocks(study.benchmark.task_names())] == [
        120
    ] * study.replicates
    assert study.similarity is not None
    assert set(study.similarity.measures) == set(MEASURES)
