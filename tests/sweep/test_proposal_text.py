"""What `sweep order` says beside an order: where its score lies, and what is known of its worth."""

import re
import shlex
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
import yaml

import methods.testing.toy  # noqa: F401  (registers the benchmark)
from sweep.cli.catalogue import ABOUT, LISTS
from sweep.cli.main import main
from sweep.cli.proposal_text import TESTED, remarks
from sweep.measuring.measure import Proposal, proposed
from sweep.measuring.similarity_matrices import similarities
from sweep.similarity.order_scores import path_cost
from sweep.study.pinned import pin
from sweep.study.schema import Study
from tests.sweep.test_measuring import GOOD

FINDINGS = Path(__file__).parents[2] / "analysis" / "README.md"
ROW = r"^\| ([\w-]+), ([\w ]+?)(?: \(.*?\))? \| `(\w+)` \|.*?\| ([\d.]+) % "
"""Measure, score, method and share of a line of the table in the findings."""
EIGHT = Proposal(tuple("abcdefgh"), True, 1.0, 0.0, 0.99, 2.0, 0.5, 40320, True)


def test_the_order_stands_alone_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    assert main(["order", str(file), "--measure", "centroid", "--best", "path_cost"]) == 0
    said = capsys.readouterr()
    tasks = Study.from_dict(GOOD).benchmark.task_names()
    assert sorted(said.out.strip().split(",")) == sorted(tasks)
    assert len(said.out.splitlines()) == 1
    assert "0.0% have less" in said.err
    assert "76 % of all orders were better than the one so proposed, with finetune." in said.err


def test_where_a_score_lies_is_counted_over_all_orders() -> None:
    study = Study.from_dict(GOOD)
    pinned = pin(study.anew())
    backbone = next(iter(study.backbones))
    S = similarities(study, backbone, pinned, ["centroid"])["centroid"]
    found = proposed(study, "centroid", "path_cost", False, None)
    every = np.array(list(permutations(range(len(pinned.tasks)))))
    costs = path_cost(S, every)
    assert found.is_complete
    assert found.orders == len(every)
    assert found.value == pytest.approx(costs.max())
    assert found.higher == 0
    assert found.lower == np.mean(costs < costs.max() - 1e-9)
    assert found.mean == pytest.approx(costs.mean())
    assert found.sd == pytest.approx(costs.std())


def test_the_check_that_is_proposed_is_a_study_that_loads() -> None:
    for found, design in ((EIGHT, "random"), (EIGHT._replace(order=tuple("abc")), "exhaustive")):
        *_, check = remarks(found, "names", "lagged", "quickstart", ["seed=9"])
        words = shlex.split(check)
        changes = tuple(b for a, b in pairwise(words) if a == "--set")
        study = Study.load(words[2], changes)
        assert study.design.name == design
        assert study.seed == 9
        assert study.similarity is not None
        assert study.similarity.measures == ("names",)


def test_only_a_proposal_of_the_best_order_quotes_how_such_proposals_did() -> None:
    for is_best in (True, False):
        said = " ".join(remarks(EIGHT._replace(is_best=is_best), "logme", "lagged", "t3", None))
        assert ("3.3 % of all orders were better" in said) == is_best
        assert "none of 64 proposals" in said


def test_figures_of_t3_are_those_of_the_findings() -> None:
    text = FINDINGS.read_text("utf-8")
    rows = re.findall(
        r"^\| ([\w-]+), ([\w ]+?)(?: \(.*?\))? \| `(\w+)` \|.*?\| ([\d.]+) % ", text, re.M
    )
    found: dict[tuple[str, str], dict[str, float]] = {}
    for measure, score, method, better in rows:
        key = (measure.lower().replace("-", "_"), score.replace(" ", "_"))
        found.setdefault(key, {})[method] = float(better)
    assert found == TESTED


def test_list_alone_shows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(ABOUT) == set(LISTS)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(ABOUT)
    assert lines[-1].endswith("sweep list KIND")
