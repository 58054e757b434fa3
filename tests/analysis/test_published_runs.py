"""Published orders in run folders, and studies that do not measure the same thing."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis import from_matrices, load, metrics, write_report
from analysis.data.comparability import told_apart
from analysis.data.final_scores import order_scores_of, published_in
from analysis.data.locations import distinct_names
from analysis.data.published_orders import NAMED
from analysis.data.study_settings import differing_settings
from analysis.orders.published import place
from analysis.report import studies_in
from analysis.report.panels.compared_studies import pairing
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.sentences import findings
from tests.analysis.synthetic import METHODS, Trainer, World, random_orders, write_study

TASKS = ("a", "b", "c")
EVERY = list(permutations(TASKS))
THREE = {"er": METHODS["replay"], "lwf": METHODS["ewc"], "zero_shot": METHODS["zero_shot"]}


def study_of(out: Path, config: dict | None = None, **fields: object) -> StudyStatistics:
    write_study(out, [EVERY, EVERY], World(tasks=TASKS), THREE)
    (out / "study.yaml").write_text(yaml.safe_dump(config or {}))
    return StudyStatistics(load(str(out)), **fields)  # type: ignore[arg-type]


def test_an_order_that_is_called_published_is_held_against_the_others(tmp_path: Path) -> None:
    study = study_of(tmp_path / "x", published=("b>a>c",))
    scores = study.order_scores
    assert scores.published == ["b>a>c"]
    assert scores.methods == ["er", "lwf"]  # no order moves zero_shot
    runs = metrics(study.results)
    mean = runs[runs["method"] == "er"].groupby("order")["average_accuracy"].mean()
    right = place(mean["b", "a", "c"], mean.drop([("b", "a", "c")]).to_numpy(), 2)
    path = Path(write_report(str(tmp_path / "x"), published=["b>a>c"]))
    found = pd.read_parquet(path.parent / "tables" / "published_orders.parquet")
    er = found.set_index("method").loc["er"]
    assert er["value"] == pytest.approx(mean["b", "a", "c"])
    assert er["orders"] == 5
    assert (er["mean"], er["p"]) == pytest.approx((right.mean, right.p))
    assert "Is the published order an outlier?" in path.read_text()


def test_a_study_without_published_orders_says_nothing_of_them(tmp_path: Path) -> None:
    study = study_of(tmp_path / "x")
    assert study.order_scores.rows.empty
    assert "an outlier?" not in Path(write_report(str(tmp_path / "x"))).read_text()


def test_orders_that_the_design_names_are_published_ones(tmp_path: Path) -> None:
    orders = [["a", "b", "c"], "apd-x", *map(list, EVERY[2:])]
    study = study_of(tmp_path / "x", {"design": {"name": "fixed", "orders": orders}})
    assert published_in(study.results) == {"apd-x": EVERY[1]}
    assert published_in(study.results, ["apd-x"]) == {"apd-x": EVERY[1]}
    assert published_in(study.results, ["c,b,a"]) == {"apd-x": EVERY[1], "c,b,a": EVERY[5]}
    with pytest.raises(ValueError, match="no order 'a>b' among these"):
        published_in(study.results, ["a>b"])


def test_published_orders_are_known_by_their_tasks() -> None:
    order = NAMED["ucit"]
    R = [[0.5] * 6] * 6
    results = from_matrices([R, R], [order, order[::-1]])
    assert published_in(results) == {"ucit": order}


def test_replicates_without_the_published_order_do_not_count() -> None:
    rows = [
        ("er", r, order, value)
        for r, order, value in (
            (0, ("a", "b"), 0.9),
            (0, ("b", "a"), 0.5),
            (1, ("b", "a"), 0.1),
            (0, ("a",), 0.2),
        )
    ]
    runs = pd.DataFrame(rows, columns=["method", "replicate", "order", "x"]).assign(backbone="v")
    found = order_scores_of(runs, {"I": ("a", "b")}, "x", "x").means
    assert found.set_index("order")["value"].to_dict() == {"I": 0.9, "b>a": 0.5}


def two(home: Path, world: World, other: dict | None = None, **changes: object) -> StudyStatistics:
    """Study a/x and study b/x, whose er differs, the second one of another world."""
    config: dict = {"name": "x", "training": {"steps": 25}, "seed": 4}
    orders = random_orders(TASKS, 4, 3)
    for name, mine, memory in (("a", World(tasks=TASKS), 0.09), ("b", world, 0.15)):
        chosen = orders if mine.tasks == TASKS else random_orders(mine.tasks, 4, 3)
        write_study(home / name / "x", chosen, mine, {"er": Trainer(0.92, memory)})
        content = config | (changes if name == "b" else {})
        (home / name / "x" / "study.yaml").write_text(yaml.safe_dump(content))
    results, out, configs, _, apart = studies_in(str(home / "a/x"), [str(home / "b/x")])
    assert out == str(home / "a" / "a-x+b-x")
    return StudyStatistics(results, configs=configs, apart=apart)


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    study = two(tmp_path, World(tasks=TASKS), seed=5)
    assert study.methods == ["er (a/x)", "er (b/x)"]
    assert differing_settings(study.configs).to_dict("records") == [
        {"key": "seed", "a/x": "4", "b/x": "5"}
    ]
    assert pairing(study) == (
        "Paired are runs of the same backbone, replicate and order, up to 12 pairs per method."
    )
    text = Path(write_report(str(tmp_path / "a/x"), str(tmp_path / "b/x"))).read_text()
    places = [text.index(f"<h3>{title}") for title in ("What differs", "Between studies")]
    assert places == sorted(places)
    assert places[1] < text.index('<div id="findings"')


def test_the_same_run_under_two_names_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_study(tmp_path / name, [EVERY], World(tasks=TASKS), {"er": METHODS["replay"]})
    results, _, configs, *_ = studies_in(str(tmp_path / "a"), [str(tmp_path / "b")])
    said = pairing(StudyStatistics(results, configs=configs))
    assert said.startswith("Methods of the same name have the same results in all studies")
    write_study(tmp_path / "c", [EVERY], World(tasks=TASKS), {"lwf": METHODS["ewc"]})
    results, _, configs, *_ = studies_in(str(tmp_path / "a"), [str(tmp_path / "c")])
    assert pairing(StudyStatistics(results)) == "The studies have no method in common."


def test_names_are_as_long_as_need_be(tmp_path: Path) -> None:
    (tmp_path / "er.csv").touch()
    (tmp_path / "er.json").touch()
    (tmp_path / "v1.5").mkdir()
    inside = [str(tmp_path / name) for name in ("er.csv", "v1.5")]
    assert distinct_names(inside) == ["er", "v1.5"]
    both = [str(tmp_path / name) for name in ("er.csv", "er.json")]
    assert distinct_names(both) == ["er.csv", "er.json"]
    assert distinct_names(["p/a/x", "q/a/x"]) == ["p/a/x", "q/a/x"]
    with pytest.raises(ValueError, match="is given twice"):
        distinct_names(["runs/x", "runs/../runs/x/"])


def test_studies_of_other_tasks_have_no_pairs(tmp_path: Path) -> None:
    study = two(tmp_path, World(tasks=(*TASKS, "d")))  # one task more
    assert study.apart == ()  # of the tasks in common the starts are the same
    assert pairing(study) == (
        "The studies learn different tasks, so no run of one has a partner in the other."
    )


def test_other_data_are_found_by_what_the_untouched_backbone_scores(tmp_path: Path) -> None:
    two(tmp_path, World(tasks=TASKS))
    A, B = (load(str(tmp_path / name / "x")) for name in "ab")
    start = (B.stages["stage"] == 0) & (B.stages["eval_task"] == "b")
    for change, said in (
        ({"value": B.stages["value"] + 0.02 * start}, "on b in A and"),
        ({"n": B.stages["n"].where(~start, 400)}, "is tested on 500 samples of b in A and 400"),
    ):
        other = replace(B, stages=B.stages.assign(**change))
        found, apart = told_apart({"A": A, "B": other, "C": A})
        assert said in apart[0]
        assert apart[0].endswith("runs of A and B are not paired.")
        assert set(found["A"].runs["backbone"]) == {"tiny-clip (A, C)"}
        assert set(found["B"].runs["backbone"]) == {"tiny-clip (B)"}
        assert set(found["B"].costs["backbone"]) == {"tiny-clip (B)"}
    near = replace(B, stages=B.stages.assign(value=B.stages["value"] + 0.004 * start))
    assert told_apart({"A": A, "B": near})[1] == ()


def test_other_seeds_are_said(tmp_path: Path) -> None:
    two(tmp_path, World(tasks=TASKS))
    part = tmp_path / "b/x/results/part-0.parquet"
    rows = pd.read_parquet(part)
    rows.assign(seed=rows["seed"] + 1).to_parquet(part)
    results, _, configs, *_ = studies_in(str(tmp_path / "a/x"), [str(tmp_path / "b/x")])
    assert pairing(StudyStatistics(results, configs=configs)).endswith(
        "Their seeds differ: they have the order in common, not the weights they start from."
    )


def test_what_is_not_paired_is_among_the_findings(tmp_path: Path) -> None:
    two(tmp_path, World(tasks=TASKS))
    part = tmp_path / "b/x/results/part-0.parquet"
    rows = pd.read_parquet(part)
    rows.loc[rows["stage"] == 0, "value"] += 0.03
    rows.to_parquet(part)
    results, *_, apart = studies_in(str(tmp_path / "a/x"), [str(tmp_path / "b/x")])
    assert any("are not paired" in said for said in findings(StudyStatistics(results, apart=apart)))
    assert StudyStatistics(results).between["runs"].sum() == 0


def test_scores_of_orders_are_not_compared_as_studies(tmp_path: Path) -> None:
    for name in ("er", "lwf"):
        (tmp_path / f"{name}.csv").write_text("order,acc\nI,1\nII,2\n")
    with pytest.raises(ValueError, match="put them into one file, with a column 'method'"):
        write_report(str(tmp_path / "er.csv"), str(tmp_path / "lwf.csv"))


def test_files_of_matrices_are_compared_under_their_names(tmp_path: Path) -> None:
    for name, low in (("er", 0.7), ("lwf", 0.6)):
        (tmp_path / f"{name}.csv").write_text(f"cars,pets\n0.9,0.2\n{low},0.8\n")
    results, out, *_ = studies_in(str(tmp_path / "er.csv"), [str(tmp_path / "lwf.csv")])
    assert out == str(tmp_path / "er+lwf")
    assert sorted(set(results.stages["method"])) == ["er", "lwf"]
