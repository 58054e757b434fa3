"""The scheduler: which lane gets which work, and what becomes of failed or unneeded work."""

from itertools import groupby

import pytest

from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.plan.scheduler import MAX_LOSSES, Assignment, Scheduler
from sweep.storage.store import Kept
from tests.sweep.plans import MERGED, READ_OUT, kept, plan_of, study_of

LEASE = 10.0


ABC = [("a", "b", "c"), ("b", "a", "c")]


def key_of(plan: Plan, *prefix: str) -> str:
    return next(key for key, unit in plan.units.items() if unit.prefix == prefix)


def test_failure_spares_what_starts_from_a_state_that_is_there() -> None:
    """Redoing a unit for one child may fail without harm to the descendants of another."""
    plan = plan_of(study_of([("a", "b", "c"), ("a", "c", "b")]))
    start, a, ab, abc = (key_of(plan, *prefix) for prefix in ((), "a", "ab", "abc"))
    scheduler = Scheduler(plan, kept({start: False, a: False, ab: True}), LEASE)
    claims = {assignment.unit.key for assignment in claim_all(scheduler)}
    assert claims == {a, abc}
    scheduler.fail("lane-0", a, "boom", final=True)
    assert abc not in scheduler.failed
    assert set(scheduler.failed) == {a, key_of(plan, "a", "c"), key_of(plan, "a", "c", "b")}


def claim_all(scheduler: Scheduler) -> list[Assignment]:
    """Whatever is ready, each for a lane of its own."""
    claims = (scheduler.claim(f"lane-{i}", (), None, 0.0) for i in range(len(scheduler.todo)))
    return [assignment for assignment in claims if assignment]


def test_a_lane_goes_on_from_the_state_it_holds() -> None:
    plan = plan_of(study_of(ABC))
    start, a, b = (key_of(plan, *prefix) for prefix in ((), "a", "b"))
    scheduler = Scheduler(plan, kept({start: False, a: True, b: True}), LEASE)
    claim = scheduler.claim("lane", [b], None, 0.0)
    assert claim
    assert claim.unit.key == key_of(plan, "b", "a")


def test_a_lane_stays_with_the_method_it_has_loaded() -> None:
    plan = plan_of(study_of(ABC, ["finetune", "lora"]))
    scheduler = Scheduler(plan, kept({key_of(plan): False}), LEASE)
    claims = [scheduler.claim(lane, (), ("clip", "lora"), 0.0) for lane in ("one", "two", "three")]
    assert [claim.unit.method for claim in claims if claim] == ["lora", "lora", "finetune"]


def test_a_method_is_loaded_once_however_much_it_shares_with_others() -> None:
    """The states that one has in memory would do for the other, too."""
    plan = plan_of(study_of(ABC, ["individual", MERGED]))
    scheduler, held, loaded, methods = Scheduler(plan, {}, LEASE), [], None, []
    while not scheduler.is_settled:
        claim = scheduler.claim("lane", held, loaded, 0.0)
        assert claim
        unit = claim.unit
        held, loaded = [*claim.needed, unit.key], (unit.backbone, unit.method)
        methods.append(unit.method)
        scheduler.finish(unit.key)
    assert [method for method, _ in groupby(methods)] == ["", "individual", MERGED]


def test_earlier_replicates_come_first() -> None:
    plan = plan_of(study_of(ABC, replicates=2))
    scheduler = Scheduler(plan, {}, LEASE)
    replicates = []
    while not scheduler.is_settled:
        claim = scheduler.claim("lane", (), None, 0.0)
        assert claim
        replicates.append(claim.unit.replicate)
        scheduler.finish(claim.unit.key)
    assert replicates == sorted(replicates)


def test_a_silent_lane_loses_its_claim_after_its_lease() -> None:
    scheduler = Scheduler(plan_of(study_of(ABC)), {}, LEASE)
    first = scheduler.claim("one", (), None, 0.0)
    assert first
    scheduler.expire(LEASE)
    assert scheduler.claimed == {first.unit.key: "one"}
    scheduler.expire(LEASE + 1)
    assert scheduler.claimed == {}
    again = scheduler.claim("two", (), None, LEASE + 1)
    assert again
    assert again.unit == first.unit


def test_a_forgotten_claim_comes_back_with_a_sign_of_life() -> None:
    plan = plan_of(study_of(ABC))
    claim = Scheduler(plan, {}, LEASE).claim("one", (), None, 0.0)
    assert claim
    restarted = Scheduler(plan, {}, LEASE)
    restarted.alive("one", claim.unit.key, 0.0)
    assert restarted.claimed == {claim.unit.key: "one"}


def test_a_unit_that_kills_its_lanes_is_given_up() -> None:
    plan = plan_of(study_of(ABC))
    scheduler = Scheduler(plan, kept({key_of(plan): False, key_of(plan, "b"): True}), LEASE)
    a = key_of(plan, "a")
    for _ in range(MAX_LOSSES):
        claim = scheduler.claim("one", (), None, 0.0)
        assert claim
        assert claim.unit.key == a
    scheduler.claim("one", (), None, 0.0)
    assert scheduler.failed[a] == "its worker died (out of memory?) 5 times"
    assert "starts from 'finetune: a', which failed" in scheduler.failed[key_of(plan, "a", "b")]


def test_abort_fails_all_that_is_left() -> None:
    plan = plan_of(study_of(ABC))
    scheduler = Scheduler(plan, kept({key_of(plan): False}), LEASE)
    scheduler.claim("one", (), None, 0.0)
    scheduler.abort("no machine")
    assert scheduler.is_settled
    assert set(scheduler.failed) == set(plan.units) - {key_of(plan)}
    assert scheduler.claim("one", (), None, 0.0) is None


def test_a_study_that_has_seen_enough_wants_nothing_more() -> None:
    """Of the replicate that is left out, two units are done, one fails, and others are claimed."""
    plan = plan_of(study_of(ABC, replicates=2))
    first = {key: False for key, unit in plan.units.items() if unit.replicate == 0}
    later = {unit.prefix: key for key, unit in plan.units.items() if unit.replicate == 1}
    scheduler = Scheduler(plan, kept(first), LEASE)
    claimed = {c.unit.prefix for c in claim_all(scheduler)}
    assert claimed == {("a",), ("b",)}
    scheduler.finish(later["a",])
    scheduler.finish(later["b",])
    scheduler.claim("one", (), None, 0.0)
    failing = scheduler.claim("two", (), None, 0.0)
    assert failing
    scheduler.fail("two", failing.unit.key, "boom", final=True)
    assert not scheduler.is_settled
    assert set(scheduler.stop_after(1)) == {later["a",], later["b",]}
    assert scheduler.is_settled
    assert not scheduler.failed
    assert not scheduler.claimed
    assert scheduler.claim("two", (), None, 0.0) is None
    assert scheduler.finish(later["a", "b"]) == [
        later["a", "b"]
    ]  # of the lane that knew of nothing
    assert later["a", "b"] not in scheduler.done


def test_material_that_becomes_a_result_is_done_again() -> None:
    """Fine-tuning joins a study that had only its read-out: now its stages need scores."""
    plan = plan_of(study_of(ABC, [READ_OUT, "finetune"]))
    material = {key for key, unit in plan.units.items() if unit.kind == "train"}
    finished = {key: Kept(has_state=True, has_scores=key not in material) for key in plan.units}
    scheduler = Scheduler(plan, finished, LEASE)
    assert scheduler.todo == material
    assert not scheduler.to_compute
    without = plan_of(study_of(ABC, [READ_OUT]))
    assert not Scheduler(without, finished, LEASE).todo


@pytest.mark.parametrize(("keep", "left"), [("none", set()), ("leaves", {("a", "b", "c")})])
def test_states_left_by_a_coordinator_that_died_are_superfluous(
    keep: str, left: set[Order]
) -> None:
    plan = plan_of(study_of(ABC, keep_states=keep))
    a, ab, abc = plan.runs[0].stages[1:]
    finished = kept({plan.runs[0].stages[0]: False, a: True, ab: True, abc: True})
    spare = {plan.units[key].prefix for key in Scheduler(plan, finished, LEASE).superfluous()}
    assert spare == {("a",), ("a", "b"), ("a", "b", "c")} - left
    still_needed = {key: state for key, state in finished.items() if key != abc}
    spare = {plan.units[key].prefix for key in Scheduler(plan, still_needed, LEASE).superfluous()}
    assert spare == {("a",)}


def test_a_stage_with_a_state_is_only_evaluated() -> None:
    """There is one more thing to evaluate on; the state of `b` was deleted."""
    plan = plan_of(study_of(ABC))
    states = {unit.prefix: unit.prefix != ("b",) for unit in plan.units.values()}
    finished = {
        key: Kept(has_state=states[unit.prefix], has_scores=False)
        for key, unit in plan.units.items()
    }
    scheduler = Scheduler(plan, finished, LEASE)
    assert scheduler.todo == set(plan.units)
    trained = {unit.prefix for key, unit in plan.units.items() if key not in scheduler.to_compute}
    assert trained == {prefix for prefix in states if states[prefix] and prefix}
    claims = {claim.unit.prefix: claim for claim in claim_all(scheduler)}
    assert claims.keys() == states.keys()  # none has to wait for another
    assert {p for p, claim in claims.items() if claim.is_trained} == trained
    assert claims["a", "b"].needed == (key_of(plan, "a", "b"),)
    assert not any(claim.is_state_needed for claim in claims.values())
    assert scheduler.finish(key_of(plan, "a", "b")) == [key_of(plan, "a"), key_of(plan, "a", "b")]


def test_failed_evaluation_spares_what_starts_from_the_state() -> None:
    plan = plan_of(study_of(ABC))
    start, a = key_of(plan), key_of(plan, "a")
    finished = {start: Kept(), a: Kept(has_state=True, has_scores=False)}
    scheduler = Scheduler(plan, finished, LEASE)
    claims = {claim.unit.key for claim in claim_all(scheduler)}
    assert claims == {a, key_of(plan, "b"), key_of(plan, "a", "b")}
    scheduler.fail("lane-0", a, "boom", final=True)
    assert set(scheduler.failed) == {a}


def test_how_many_lanes_may_have_work_at_a_time() -> None:
    plan = plan_of(study_of([("a", "b", "c"), ("a", "c", "b"), ("b", "a", "c")]))
    scheduler = Scheduler(plan, kept({key_of(plan): False}), LEASE)
    assert [scheduler.can_use(lanes) for lanes in (1, 2, 3, 4)] == [True, True, True, False]
    for prefix in ("a", "ab", "abc", "ac"):
        scheduler.finish(key_of(plan, *prefix))
    assert [scheduler.can_use(lanes) for lanes in (2, 3)] == [True, False]  # acb; b, ba, bac
    scheduler.give_up(key_of(plan, "b"), "boom")
    assert [scheduler.can_use(lanes) for lanes in (1, 2)] == [True, False]
    scheduler.finish(key_of(plan, *"acb"))
    assert not scheduler.can_use(1)


def test_experts_that_are_merged_in_the_end_are_trained_side_by_side() -> None:
    plan = plan_of(study_of([("a", "b", "c")], [MERGED]))
    scheduler = Scheduler(plan, kept({key_of(plan): False}), LEASE)
    assert [scheduler.can_use(lanes) for lanes in (3, 4)] == [True, False]


def test_stages_that_are_only_evaluated_are_so_side_by_side() -> None:
    plan = plan_of(study_of([("a", "b", "c")]))
    states = {key: Kept(has_state=True, has_scores=False) for key in plan.units}
    scheduler = Scheduler(plan, states, LEASE)
    assert [scheduler.can_use(lanes) for lanes in (3, 5)] == [True, False]
