"""Properties of independent experts."""

from pathlib import Path

import pandas as pd
import pytest

from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from tests.methods.shipped import study_of


@pytest.fixture(scope="module", params=list(BACKBONES))
def accuracies(request: pytest.FixtureRequest, models: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The matrix of the experts, and what finetuning the backbone on each task alone gives."""
    study = study_of(models, request.param)
    order = study.benchmark.task_names()
    plain = Workbench(study, "finetune")
    turns = [(task, *(other for other in order if other != task)) for task in order]
    alone = pd.Series({turn[0]: plain.accuracy(turn).loc[turn[0], turn[0]] for turn in turns})
    return Workbench(study, "individual").accuracy(order), alone


def test_a_task_that_was_learnt_is_answered_by_its_own_expert(
    accuracies: tuple[pd.DataFrame, pd.Series],
) -> None:
    matrix, alone = accuracies
    for k, task in enumerate(matrix.columns, start=1):
        assert set(matrix[task].iloc[k:]) == {alone[task]}


def test_a_task_that_was_not_learnt_is_answered_by_the_untouched_backbone(
    accuracies: tuple[pd.DataFrame, pd.Series],
) -> None:
    matrix, _ = accuracies
    for k, task in enumerate(matrix.columns, start=1):
        assert set(matrix[task].iloc[:k]) == {matrix.loc["untouched", task]}


def test_data_of_no_task_is_answered_by_the_untouched_backbone(models: Path) -> None:
    bench = Workbench(study_of(models, "clip"), "individual")
    last = list(bench.learn(("a", "b", "c")).values())[-1]
    (untouched,) = bench.untouched.values()
    probes, before = (
        [row for row in result.record.scores if row["split"] in ("probe", "retrieval")]
        for result in (last, untouched)
    )
    assert {row["split"] for row in probes} == {"probe", "retrieval"}
    assert probes == before
