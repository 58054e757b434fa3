"""Cost estimates: wall times and disk of small studies, worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Kept
from sweep.preview.cost import (
    LANE_START_SECONDS,
    Cost,
    _line,
    estimate_cost,
    measure_costs,
    recorded,
)
from sweep.storage.store import Record, Store
from tests.methods.shipped import study_of as real_study_of
from tests.sweep.plans import plan_of, study_of

TRAINING = {"steps": 10, "per_task": {"c": {"steps": 20}}}
COST = Cost(seconds_per_step=1.0, seconds_per_evaluation=5.0, state_bytes=100)


def seconds(plan: Plan, lanes: int, finished: dict[str, Kept] | None = None) -> float:
    costs = {("clip", method): COST for method in plan.study.methods}
    return estimate_cost(plan, finished or {}, costs, lanes).seconds


@pytest.mark.parametrize(("lanes", "expected"), [(1, 5 + 55), (2, 55), (9, 55)])
def test_a_chain(lanes: int, expected: float) -> None:
    """Stage 0 takes 5 s; a, b and c 15, 15 and 25 s, one after another whatever the lanes."""
    plan = plan_of(study_of([("a", "b", "c")], training=TRAINING))
    assert seconds(plan, lanes) == LANE_START_SECONDS + expected


@pytest.mark.parametrize(("lanes", "expected"), [(1, 10 + 10 + 20), (2, 10 + 20), (3, 20), (9, 20)])
def test_a_star(lanes: int, expected: float) -> None:
    """Three experts of 10, 10 and 20 s that wait for nothing; all else is done."""
    plan = plan_of(study_of([("a", "b", "c")], "individual", training=TRAINING))
    done = {key: Kept() for key, unit in plan.units.items() if unit.kind != "train"}
    assert seconds(plan, lanes, done) == LANE_START_SECONDS + expected


@given(st.floats(0, 100), st.floats(0, 10))
def test_what_a_stage_has_once_is_told_from_its_steps(once: float, per_step: float) -> None:
    line = _line((2, 10), [once + steps * per_step for steps in (2, 10)])
    assert line == pytest.approx((once, per_step), abs=1e-9)


@given(st.floats(0, 100), st.floats(0, 100))
def test_noise_makes_no_cost_negative(short: float, long: float) -> None:
    once, per_step = _line((2, 10), [short, long])
    assert min(once, per_step) >= 0
    assert once + 10 * per_step == pytest.approx(long)


def test_what_a_stage_has_once_counts_once() -> None:
    plan = plan_of(study_of([("a", "b")], training={"steps": 10}))
    last = plan.units[plan.runs[0].stages[-1]]
    assert replace(COST, seconds_per_training=7.0).seconds(plan, last) == 7 + 10 + 5


def test_nothing_left_takes_no_time() -> None:
    plan = plan_of(study_of([("a", "b", "c")]))
    done = dict.fromkeys(plan.units, Kept(has_state=True))
    result = estimate_cost(plan, done, {("clip", "finetune"): COST}, 2)
    assert (result.units, result.seconds, result.peak_state_bytes) == (0, 0.0, 0)


@pytest.mark.parametrize(("keep", "states"), [("none", 2), ("leaves", 3), ("all", 5)])
def test_peak_of_states(keep: str, states: int) -> None:
    """One lane on a trie of two leaves: a > b > c and a > c > b."""
    plan = plan_of(study_of([("a", "b", "c"), ("a", "c", "b")], keep_states=keep))
    result = estimate_cost(plan, {}, {("clip", "finetune"): COST}, lanes=1)
    assert result.peak_state_bytes == states * COST.state_bytes


def test_measured_costs_are_of_every_method(models: Path) -> None:
    one_of_a_kind = ["zero_shot", "lora", "finetune", "joint", "individual", "magmax_seq", "rail"]
    study = real_study_of(models, "clip")
    methods = {label: study.methods[label] for label in one_of_a_kind}
    plan = make_plan(study.model_copy(update={"methods": methods}))
    said: list[str] = []
    costs = measure_costs(plan, said.append)
    assert costs.keys() == {("clip", method) for method in plan.study.methods}
    assert said[:2] == [
        "Timing stages of zero_shot on clip (1 of 7)",
        "Timing stages of lora on clip (2 of 7)",
    ]
    assert len(said) == 7
    bytes_of = {method: cost.state_bytes for (_, method), cost in costs.items()}
    assert 0 == bytes_of["zero_shot"] < bytes_of["lora"] < bytes_of["finetune"]
    plain = costs["clip", "finetune"]
    assert plain.seconds_per_step + plain.seconds_per_training > 0
    assert costs["clip", "rail"].seconds_per_training > 0
    assert costs["clip", "magmax_seq"].seconds_per_combination > 0


def test_recorded_costs_are_means_of_what_was_run(tmp_path: Path) -> None:
    plan = plan_of(study_of([("a", "b", "c")], ["finetune", "individual"], training=TRAINING))
    store = Store(str(tmp_path))
    for key, unit in plan.units.items():
        spent = {"load": 1.0, "evaluate": 3.0 if unit.is_evaluated else 0.0}
        if unit.kind == "train":
            spent |= {"train": plan.steps(unit) * 2.0}
        if unit.kind == "combine":
            spent |= {"combine": 0.5}
        store.save(Record(key=key, evaluation=unit.evaluation, seconds=spent), None)
    costs = recorded(plan, store, store.finished(plan.units))
    assert costs["clip", "finetune"] == Cost(2.0, 3.0, 0)
    assert costs["clip", "individual"] == Cost(2.0, 3.0, 0, seconds_per_combination=0.5)
