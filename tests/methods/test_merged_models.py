"""Merged experts as models: adapters, what is undone, and how few trainings serve how many."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from methods.base import State
from methods.merging.base import Merging
from methods.merging.task_vectors import ADAPTED
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, same, states_in
from sweep.single import matrix, run_single
from sweep.study.evaluation import Evaluation
from sweep.study.schema import Study
from tests.sweep.plans import plan_of
from tests.sweep.plans import study_of as planned

ORDER = ("a", "b", "c")
LORA = {"lora": {"rank": 2, "alpha": 6.0}}


def merged(models: Path, method: str, **options: Any) -> tuple[Merging, list[State]]:
    """A method that has just merged all tasks of the toy, and the states of its trainings."""
    bench = Workbench(toy_study(models, {method: options}), method)
    states = list(states_in(bench.learn(ORDER)).values())
    found = bench.worker.trainer.method
    assert isinstance(found, Merging)
    return found, states


def weights(method: Merging) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in method.state_dict().items()}


def updates(state: State, rank: int, alpha: float) -> dict[str, Tensor]:
    """By adapted weight the update that the adapter of a state makes."""
    return {
        name.removeprefix("weights/").replace(".lora_A.default.weight", ADAPTED): alpha
        / rank
        * (state[name.replace("lora_A", "lora_B")] @ a)
        for name, a in state.items()
        if "lora_A" in name
    }


@pytest.mark.parametrize(
    ("name", "share"), [("average", 1 / 3), ("task_arithmetic", 0.3), ("wise_path", None)]
)
def test_adapters_are_merged_by_their_products(
    models: Path, name: str, share: float | None
) -> None:
    method, states = merged(models, name, **LORA)
    now = weights(method)
    method.reset(0)
    before = weights(method)
    of_experts = [updates(state, 2, 6.0) for state in states]
    shares = [share] * 3 if share else [0, 0, 0.5]
    for weight in of_experts[0]:
        expected = sum(s * update[weight] for s, update in zip(shares, of_experts, strict=True))
        torch.testing.assert_close(now[weight] - before[weight], expected, rtol=1e-3, atol=1e-6)
    assert all(not now[weight].any() for weight in now if "lora_B" in weight)


@pytest.mark.parametrize("name", ["ties", "magmax_seq", "opcm", "condu"])
@pytest.mark.parametrize("lora", [{}, LORA], ids=["full", "lora"])
def test_another_state_undoes_a_merge(models: Path, name: str, lora: dict[str, Any]) -> None:
    method, states = merged(models, name, **lora)
    method.select("b")
    changed = weights(method)
    method.load_state(states[0])
    one = weights(method)
    assert same(method.state(), states[0])
    method.reset(0)
    untouched = weights(method)
    frozen = [name for name in untouched if name not in method.trainable()]
    assert all(torch.equal(one[name], untouched[name]) for name in frozen)
    assert any(not torch.equal(changed[name], untouched[name]) for name in untouched)
    method.load_state(states[0])
    assert same(weights(method), one)


@pytest.mark.parametrize("lora", [{}, LORA], ids=["full", "lora"])
def test_one_expert_alone_predicts_as_it_did(models: Path, lora: dict[str, Any]) -> None:
    """With one task an average is `individual`, whose expert keeps its adapter."""
    study = toy_study(models, {"average": lora, "individual": lora})
    one, other = (Workbench(study, name).accuracy(("b",)) for name in study.methods)
    assert one.loc["b", "b"] == other.loc["b", "b"]
    assert one.loc["b", "b"] > one.loc["untouched", "b"]


def test_path_read_outs_are_made_of_what_finetune_leaves(models: Path) -> None:
    """The whole way is fine-tuning itself."""
    study = toy_study(models, {"wise_path": {"alpha": 1.0}, "finetune": {}})
    one, other = (Workbench(study, name).accuracy(ORDER) for name in study.methods)
    pd.testing.assert_frame_equal(one, other)


EXPERTS = ["individual", "ties", "task_arithmetic", "average", "condu", "condu_once", "opcm"]


def test_five_trainings_serve_120_orders() -> None:
    orders = list(permutations("abcde"))
    plan = plan_of(planned(orders, EXPERTS, replicates=2))
    assert len(plan.runs) == 120 * 2 * len(EXPERTS)
    trained = [unit for unit in plan.units.values() if unit.kind == "train"]
    for replicate in range(2):
        mine = [unit for unit in trained if unit.replicate == replicate]
        assert sorted(unit.prefix for unit in mine) == [(task,) for task in "abcde"]
    combined = {
        method: sum(u.method == method and u.kind == "combine" for u in plan.units.values())
        for method in EXPERTS
    }
    sets, sequences = 2 * 31, 2 * (5 + 20 + 60 + 120 + 120)
    assert combined == {
        method: sequences if method in ("condu", "opcm") else sets for method in EXPERTS
    }


def test_paths_of_finetune_serve_their_read_outs() -> None:
    orders = list(permutations("abc"))
    plan = plan_of(planned(orders, ["finetune", "magmax_seq", "wise_path"]))
    trained = [unit for unit in plan.units.values() if unit.kind == "train"]
    assert len(trained) == 3 + 6 + 6


@pytest.fixture(scope="module")
def study(models: Path) -> Study:
    return toy_study(models, tuple(EXPERTS))


def test_merges_start_from_the_same_experts(study: Study) -> None:
    """Run one order with each: with one task there is one expert, which all of them return."""
    first = {}
    for name in EXPERTS:
        records, state = run_single(study, name, ("c", "a"))
        assert state is None
        assert len(records) == 3
        first[name] = matrix(("c", "a"), records, Evaluation()).loc["c", "c"]
    scaled = first.pop("task_arithmetic"), first.pop("ties")
    assert len(set(first.values())) == 1
    assert all(0 <= accuracy <= 1 for accuracy in scaled)
