"""Plans: runs, the distinct units they are made of, and the keys of units."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.testing.toy import TOY, ToyGenerator
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.plan.units import Unit
from sweep.study.schema import Study
from tests.sweep.plans import MERGED, METHODS, READ_OUT, plan_of, study_of, tries

ABC = [("a", "b", "c"), ("b", "a", "c")]


def prefixes(orders: list[Order]) -> list[Order]:
    """All prefixes but the empty one."""
    return [order[:k] for order in orders for k in range(1, len(order) + 1)]


DISTINCT: dict[str, Callable[[list[Order]], int]] = {
    "zero_shot": lambda orders: 0,
    "finetune": lambda orders: len(set(prefixes(orders))),
    "joint": lambda orders: len({frozenset(prefix) for prefix in prefixes(orders)}),
    "individual": lambda orders: len({task for order in orders for task in order}),
}
"""Trainings that a replicate of some orders takes, counted without a plan."""


@given(tries(5), st.sets(st.sampled_from(list(DISTINCT)), min_size=1), st.integers(1, 3))
def test_trainings_are_the_distinct_ones(
    orders: list[Order], methods: set[str], replicates: int
) -> None:
    plan = plan_of(study_of(orders, sorted(methods), replicates=replicates))
    trained = [unit.method for unit in plan.units.values() if unit.kind == "train"]
    for method in methods:
        assert trained.count(method) == DISTINCT[method](orders) * replicates
    assert [unit.kind for unit in plan.units.values()].count("start") == 1
    trains = len(methods - {"zero_shot"})
    counts, alone = plan.counts(), replicates * sum(map(len, orders))
    assert counts["trainings_unshared"] == trains * alone
    assert counts["stages"] == counts["untouched"] + counts["trained"] + counts["combined"]


@given(tries())
def test_experts_are_combined_once_per_set(orders: list[Order]) -> None:
    plan = plan_of(study_of(orders, "individual"))
    combined = {unit.prefix: unit for unit in plan.units.values() if unit.kind == "combine"}
    assert combined.keys() == {tuple(sorted(prefix)) for prefix in prefixes(orders)}
    for tasks, unit in combined.items():
        assert tuple(plan.units[parent].prefix for parent in unit.parents) == tuple(
            (task,) for task in tasks
        )


@given(tries())
def test_combinations_of_a_sequence_have_parents_in_its_order(orders: list[Order]) -> None:
    plan = plan_of(study_of(orders, [MERGED, READ_OUT]))
    for run in plan.runs:
        for key, prefix in zip(run.stages[1:], run.prefixes[1:], strict=True):
            unit = plan.units[key]
            assert (unit.kind, unit.prefix) == ("combine", prefix)
            trained = [plan.units[parent].prefix for parent in unit.parents]
            alone = [(task,) for task in prefix]
            assert trained == (alone if run.method == MERGED else run.prefixes[1 : len(prefix) + 1])


@given(tries(), st.permutations(["individual", MERGED, "finetune", READ_OUT]), st.integers(1, 4))
def test_methods_that_train_alike_share_their_trainings(
    orders: list[Order], methods: list[str], count: int
) -> None:
    chosen = methods[:count]
    plan = plan_of(study_of(orders, chosen))
    trained = [unit for unit in plan.units.values() if unit.kind == "train"]
    experts = DISTINCT["individual"](orders) if {"individual", MERGED} & set(chosen) else 0
    path = DISTINCT["finetune"](orders) if {"finetune", READ_OUT} & set(chosen) else 0
    assert len(trained) == experts + path
    needed = {"individual": experts, MERGED: experts, "finetune": path, READ_OUT: path}
    for method in chosen:
        assert len(plan.trainings(method)) == needed[method]
    assert plan.counts()["trained"] == experts + path
    for unit in trained:
        assert unit.is_evaluated == (unit.method in ("finetune", READ_OUT) and "finetune" in chosen)


def test_a_method_is_the_same_however_it_is_called() -> None:
    entries = {"one": {"method": "lora"}, "two": {"method": "methods.adapters.lora:Lora"}}
    one, two = (
        [run.stages for run in plan_of(study_of(ABC, {label: entry})).runs]
        for label, entry in entries.items()
    )
    assert one == two


def test_trainings_are_shared_only_with_equal_options() -> None:
    methods = {
        "experts": {"method": "individual", "lr": 0.5},
        "same": {"method": MERGED, "lr": 0.5, "scale": 0.3},
        "other": {"method": MERGED, "lr": 0.4},
    }
    plan = plan_of(study_of(ABC, methods))
    experts, same, other = (plan.trainings(label) for label in methods)
    assert experts == same
    assert not experts & other


@given(tries(), st.sets(st.sampled_from(list(METHODS.values())), min_size=1))
def test_parents_come_first(orders: list[Order], methods: set[str]) -> None:
    plan = plan_of(study_of(orders, sorted(methods), replicates=2))
    met: set[str] = set()
    for key, unit in plan.units.items():
        assert met.issuperset(unit.parents)
        met.add(key)


@given(tries(), st.sampled_from(list(METHODS.values())))
def test_stages_of_a_run_are_what_its_prefixes_stand_for(orders: list[Order], method: str) -> None:
    plan = plan_of(study_of(orders, method))
    assert [run.order for run in plan.runs] == sorted(orders)
    for run in plan.runs:
        for key, prefix in zip(run.stages, run.prefixes, strict=True):
            unit = plan.units[key]
            learnt = prefix if method == "finetune" else tuple(sorted(prefix))
            assert unit.prefix == (() if method == "zero_shot" else learnt)
            assert unit.is_evaluated


@given(tries())
def test_a_stage_starts_from_the_one_before(orders: list[Order]) -> None:
    plan = plan_of(study_of(orders))
    for run in plan.runs:
        for before, after in zip(run.stages[1:], run.stages[2:], strict=False):
            assert plan.units[after].parents == (before,)
            assert after in plan.children[before]
        assert plan.units[run.stages[1]].parents == ()
    assert plan.leaves == {run.stages[-1] for run in plan.runs}


def test_replicates_share_only_the_untouched_backbone() -> None:
    plan = plan_of(study_of(ABC, list(METHODS.values()), replicates=2))
    first, second = (
        {key for run in plan.runs if run.replicate == replicate for key in run.stages}
        for replicate in range(2)
    )
    assert {plan.units[key].kind for key in first & second} == {"start"}


def test_equal_methods_with_two_labels_share_everything() -> None:
    plan = plan_of(study_of(ABC, {"one": {"method": "lora"}, "two": {"method": "lora"}}))
    one, two = (
        [run.stages for run in plan.runs if run.method == label] for label in ("one", "two")
    )
    assert one == two


def test_steps_of_a_set_add_up() -> None:
    training = {"steps": 10, "per_task": {"b": {"steps": 3}}}
    methods = ["joint", "finetune", "individual", "rail"]
    plan = plan_of(study_of(ABC, methods, training=training))
    steps = {(unit.method, unit.kind, unit.prefix): plan.steps(unit) for unit in units(plan)}
    assert steps["joint", "train", ("a", "b", "c")] == 23
    assert steps["finetune", "train", ("a", "b")] == 3
    assert steps["individual", "train", ("a",)] == 10
    assert steps["individual", "combine", ("a", "b")] == 0
    assert steps["rail", "train", ("b",)] == 0
    assert steps["", "start", ()] == 0


def units(plan: Plan) -> list[Unit]:
    return list(plan.units.values())


ALL = ["finetune", "joint", "individual"]


def keys(study: Study, weights: str = "weights") -> dict[tuple[str, str, Order], str]:
    """The keys of the first replicate of the order a, b, c by what they are keys of."""
    plan = plan_of(study, {"clip": weights})
    return {
        (unit.method, unit.kind, unit.prefix): unit.key
        for unit in units(plan)
        if unit.replicate == 0
    }


def differing(changes: dict[str, Any], weights: str = "weights") -> set[tuple[str, str, Order]]:
    before = keys(study_of(ABC, ALL))
    after = keys(study_of(ABC, **{"methods": ALL} | changes), weights)
    return {name for name, key in before.items() if after.get(name) != key}


def everything() -> set[tuple[str, str, Order]]:
    return set(keys(study_of(ABC, ALL)))


START = ("", "start", ())


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"training": {"lr": 0.5}},
        {"training": {"steps": 7}},
        {"training": {"batch_size": 7}},
        {"training": {"warmup_steps": 7}},
        {"training": {"weight_decay": 0.5}},
        {"training": {"clip_norm": 0.5}},
        {"training": {"precision": "bf16"}},
    ],
    ids=str,
)
def test_training_is_part_of_all_keys_but_stage_0(changes: dict[str, Any]) -> None:
    assert differing(changes) == everything() - {START}


def test_weights_are_part_of_all_keys_and_training_data_of_all_but_stage_0() -> None:
    assert differing({}, weights="others") == everything()
    asking = {"benchmark": {"name": TOY, "num_tasks": 3, "questions": True}}
    assert differing(asking) == everything() - {START}


def repinned(**changes: Any) -> Plan:
    """The same study, with other pinned versions."""
    plan = plan_of(study_of(ABC, ALL))
    return Plan(plan.study, replace(plan.pinned, **changes))


@pytest.mark.parametrize("task", ["a", "b", "c"])
def test_a_training_depends_on_its_own_tasks(task: str) -> None:
    plan = plan_of(study_of(ABC, ALL))
    known = dict(plan.pinned.fingerprints)
    known[task] = replace(known[task], train="other")
    other = repinned(fingerprints=known)
    gone = {unit.prefix for key, unit in plan.units.items() if key not in other.units}
    assert gone == {unit.prefix for unit in units(plan) if task in unit.prefix}
    assert other.evaluations == plan.evaluations


def test_what_is_evaluated_on_changes_no_training() -> None:
    plan = plan_of(study_of(ABC, ALL))
    known = dict(plan.pinned.fingerprints)
    known["b"] = replace(known["b"], test="other")
    answering = {"clip": {"path": "some/clip", "answer": "generate"}}
    measuring = {"diagnostics": ["cka"]}
    others = [
        repinned(fingerprints=known),
        plan_of(study_of(ABC, ALL, backbones=answering)),
        plan_of(study_of(ABC, ALL, evaluation=measuring)),
    ]
    for other in others:
        assert list(other.units) == list(plan.units)
        assert other.evaluations.keys() != plan.evaluations.keys()
    (before,), (after,) = plan.evaluations.values(), others[-1].evaluations.values()
    assert before.items() < after.items()
    batches = plan_of(study_of(ABC, ALL, evaluation={"batch_size": 7}))
    assert batches.evaluations == plan.evaluations


def test_the_code_of_a_method_is_part_of_its_keys() -> None:
    plan = plan_of(study_of(ABC, ALL))
    other = repinned(code=plan.pinned.code | {"finetune": {"module": "edited"}})
    gone = {unit.method for key, unit in plan.units.items() if key not in other.units}
    assert gone == {"finetune"}


@pytest.mark.parametrize("special", [{"lr": 0.5}, {"steps": 3}])
def test_training_of_a_task_is_part_of_the_keys_that_meet_it(special: dict[str, Any]) -> None:
    changed = differing({"training": {"per_task": {"b": special}}})
    assert changed == {name for name in everything() if "b" in name[2]}


def test_options_are_part_of_their_methods_keys() -> None:
    methods = {"finetune": {"lr": 0.5}, "joint": None, "individual": None}
    changed = differing({"methods": methods})
    assert changed == {name for name in everything() if name[0] == "finetune"}


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({"reference": "captions"}, {"zscl", "gift"}),
        ({"generator": ToyGenerator(images=5)}, {"gift"}),
    ],
    ids=["reference", "generator"],
)
def test_reference_and_generator_are_part_of_the_keys_that_need_them(
    changes: dict[str, Any], concerned: set[str]
) -> None:
    methods = ["finetune", "joint", "zscl", "gift"]
    before, after = keys(study_of(ABC, methods)), keys(study_of(ABC, methods, **changes))
    changed = {name for name, key in before.items() if after[name] != key}
    assert changed == {name for name in before if name[0] in concerned}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "renamed"},
        {"lanes": {"count": 3, "workers": 2, "cpus_per_worker": 2, "retries": 0}},
        {"keep_states": "all"},
        {"replicates": 3},
        {"design": "exhaustive"},
        {"evaluation": {"batch_size": 3}},
        {"methods": [*ALL[::-1], "lora"]},
        {"backbones": {"clip": {"path": "moved/clip"}}},
        {"reference": "captions", "generator": ToyGenerator(images=5)},
    ],
    ids=str,
)
def test_everything_else_is_part_of_no_key(changes: dict[str, Any]) -> None:
    assert differing(changes) == set()


@given(tries())
def test_a_run_has_its_keys_whether_planned_or_not(orders: list[Order]) -> None:
    study = study_of(orders)
    run = plan_of(study).runs[-1]
    other = plan_of(study_of([sorted(run.order)])).run("clip", "finetune", 0, run.order)
    assert other.stages == run.stages
