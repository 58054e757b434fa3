"""Every method keeps what the contract promises, on a backbone of either family."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from methods import METHODS
from sweep.study.schema import Study
from tests.methods import conformance, pairs
from tests.methods.conformance import BACKBONES, forgetting, same, study_of
from tests.methods.pairs import Report

Alone = dict[str, Report]
Pair = list[Alone]
TRAINED = [name for name, method in METHODS.items() if method.depends_on != "nothing"]
COMBINING = [name for name, method in METHODS.items() if method.combines_over]
SHARING = [name for name, method in METHODS.items() if method.reuses_training_of]
OWN = [name for name in TRAINED if name not in SHARING]
"""Methods with a training of their own; that of the others is held against another's below."""
LONGER = {"steps": 20, "batch_size": 16, "lr": 0.003}
SLOW = pytest.mark.slow
OF_A_KIND = (
    *("finetune", "individual", "ewc", "zscl", "gnsp", "er"),
    *("pam", "diki", "moe_adapters", "rail", "ties"),
)
"""These are checked on a fusion backbone too by the default suite, all others by the slow one."""
STEERING = ("coop", "dualprompt", "diki", "dpw")
"""Prompts can only steer a model that sees something: with random weights the tiny LLaVA hardly
does. That they learn on a fusion backbone is tested in test_prompts.py, with larger weights."""


def _is_default(method: str, backbone: str) -> bool:
    return backbone != "llava" or method in OF_A_KIND


def cases(methods: Iterable[str]) -> pytest.MarkDecorator:
    """Every method on a backbone of either family; what the default suite leaves out is slow."""
    return pytest.mark.parametrize(
        ("method", "backbone"),
        [
            pytest.param(method, backbone, marks=() if _is_default(method, backbone) else SLOW)
            for method in methods
            for backbone in BACKBONES
        ],
    )


@pytest.fixture
def study(models: Path, backbone: str) -> Study:
    return study_of(models, backbone)


@pytest.fixture
def longer(models: Path, backbone: str) -> Study:
    return study_of(models, backbone, training=LONGER)


@cases(OWN)
def test_resume_is_exact(study: Study, method: str, tmp_path: Path) -> None:
    conformance.check_resume_is_exact(study, method, tmp_path)


@cases(OWN)
def test_state_round_trips(study: Study, method: str) -> None:
    conformance.check_state_round_trips(study, method)


@cases(TRAINED)
def test_state_is_all_that_changes(study: Study, method: str) -> None:
    conformance.check_state_is_all_that_changes(study, method)


@cases(OWN)
def test_depends_on_is_true(study: Study, method: str) -> None:
    conformance.check_depends_on_is_true(study, method)


@cases(COMBINING)
def test_combines_is_true(study: Study, method: str) -> None:
    conformance.check_combines_is_true(study, method)


@cases(SHARING)
def test_trainings_are_shared_rightly(study: Study, method: str) -> None:
    conformance.check_trainings_are_those_of(study, method)


@cases(TRAINED)
def test_learns(longer: Study, method: str) -> None:
    if method in STEERING and "llava" in longer.backbones:
        pytest.skip("see STEERING")
    conformance.check_learns(longer, method, gain=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_bad_options_are_named(models: Path, method: str) -> None:
    conformance.check_bad_options_are_named(study_of(models, "clip"), method)


@pytest.fixture(scope="module")
def small(models: Path) -> Study:
    return study_of(models, "clip", benchmark={"name": "toy", "num_tasks": 2})


@pytest.fixture(scope="module")
def pair(small: Study, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return pairs.pair_reports(small, tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def alone(small: Study) -> Alone:
    return {method: pairs.work(small, method) for method in TRAINED}


@pytest.mark.parametrize("method", TRAINED)
def test_two_workers_divide_every_batch(pair: Pair, alone: Alone, method: str) -> None:
    first, second, whole = pair[0][method], pair[1][method], alone[method]
    assert first.parallel == bool(whole.ids)  # without steps there is nothing to divide
    assert not whole.parallel
    for mine, yours, ids in zip(first.ids, second.ids, whole.ids, strict=True):
        assert len(mine) == len(yours)
        assert torch.equal(torch.cat([mine, yours]).sort()[0], ids.sort()[0])


@pytest.mark.parametrize("method", TRAINED)
def test_two_workers_learn_what_one_learns(pair: Pair, alone: Alone, method: str) -> None:
    for key, state in alone[method].states.items():
        assert same(pair[0][method].states[key], pair[1][method].states[key])
        assert conformance.distance(pair[0][method].states[key], state) < 1e-3


@pytest.mark.parametrize("method", TRAINED)
def test_two_workers_score_what_one_scores(pair: Pair, alone: Alone, method: str) -> None:
    """Losses and cosines move with the last bits of the weights; answers do not."""
    assert pair[0][method].scores == pair[1][method].scores
    for mine, whole in zip(pair[0][method].scores, alone[method].scores, strict=True):
        for row, expected in zip(mine, whole, strict=True):
            slack = 5e-3 if row["split"] == "alignment" else 0
            value = pytest.approx(expected["value"], abs=slack, rel=0)
            assert row == expected | {"value": value}


@pytest.mark.parametrize("method", TRAINED)
def test_models_leave_memory_one_by_one(pair: Pair, alone: Alone, method: str) -> None:
    assert alone[method].forgotten
    assert pair[0][method].forgotten


@pytest.mark.parametrize("method", ["er", "der++", "ewc", "online_ewc", "multimodal_ewc"])
def test_forgets_less_than_finetune(models: Path, method: str) -> None:
    orders = [list(order) for order in ("abc", "bca", "cab")]
    study = study_of(models, "clip", training=LONGER, design={"name": "fixed", "orders": orders})
    assert forgetting(study, method) < forgetting(study, "finetune") - 0.05
