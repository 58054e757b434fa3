"""The ledger: whatever lanes do and however they die, the study ends and nothing is done twice."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sweep.ledger import MAX_LOSSES, Assignment, Ledger
from sweep.plan import Plan
from sweep.store import Kept
from sweep.work import Order
from tests.sweep.plans import METHODS, READ_OUT, plan_of, study_of, tries

LEASE = 10.0


def kept(states: Mapping[str, bool]) -> dict[str, Kept]:
    """Finished units, and whether their state is there."""
    return {key: Kept(state=state) for key, state in states.items()}


ABC = [("a", "b", "c"), ("b", "a", "c")]


class Lanes(RuleBasedStateMachine):
    """Lanes that work, fail, fall silent and come back, and a coordinator that is restarted."""

    @initialize(
        orders=tries(3),
        methods=st.sets(st.sampled_from(list(METHODS.values())), min_size=1),
        keep=st.sampled_from(["all", "leaves", "none"]),
        retries=st.integers(0, 2),
    )
    def start(self, orders: list[Order], methods: set[str], keep: str, retries: int) -> None:
        changes: dict[str, Any] = {"keep_states": keep, "lanes": {"retries": retries}}
        changes |= {"replicates": 2}
        self.plan = plan_of(study_of(orders, sorted(methods), **changes))
        self.store: dict[str, bool] = {}
        self.work: dict[str, Assignment] = {}
        self.silent: set[str] = set()
        self.lost: set[str] = set()
        self.now = 0.0
        self.finished: Counter[str] = Counter()
        self.stopped = False
        self.restart()

    def restart(self) -> None:
        self.ledger = Ledger(self.plan, kept(self.store), LEASE)
        self.attempts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.given_up: dict[str, set[str]] = {}
        self.redone = {key for key in self.ledger.todo if key in self.store}
        # A coordinator that died between the record and the clean-up leaves states behind.
        self.surplus = {key for key in self.store if self.store[key] and not self.needs(key)}
        if self.stopped:
            self.stop()

    def is_late(self, key: str) -> bool:
        """Whether the study stopped before it."""
        return self.stopped and self.plan.units[key].replicate > 0

    def stop(self) -> None:
        self.stopped = True
        for dropped in self.ledger.stop_after(1):
            assert not self.needs(dropped)
            self.store[dropped] = False
        for keys in self.given_up.values():
            keys -= {key for key in keys if self.is_late(key)}

    @rule()
    def has_seen_enough(self) -> None:
        self.stop()
        assert not any(self.is_late(key) for key in (*self.ledger.claimed, *self.ledger.failed))

    def needs(self, key: str) -> bool:
        """Whether the state of a finished unit has to stay."""
        if self.plan.units[key].kind != "train":
            return False
        keep = self.plan.study.keep_states
        kept = keep == "all" or (keep == "leaves" and key in self.plan.leaves)
        return kept or self.is_waited_for(key)

    def is_waited_for(self, key: str) -> bool:
        children = (child for child in self.plan.children[key] if not self.is_late(child))
        return any(child not in self.ledger.done for child in children)

    def pending_descendants(self, key: str) -> set[str]:
        children = {child for child in self.plan.children[key] if child in self.ledger.todo}
        return children.union(*(self.pending_descendants(child) for child in children))

    def gives_up(self, key: str) -> None:
        self.given_up[key] = {key} | self.pending_descendants(key)

    def lose(self, lane: str) -> None:
        """The ledger learns that a lane does not do what it was given."""
        key = next((key for key, holder in self.ledger.claimed.items() if holder == lane), None)
        if key:
            self.losses[key] += 1
            if self.losses[key] == MAX_LOSSES:
                self.gives_up(key)

    lanes = st.sampled_from(["one", "two", "three"])

    @rule(lane=lanes)
    def asks(self, lane: str) -> None:
        self.lose(lane)
        before = set(self.ledger.claimed.values()) - {lane}
        assignment = self.ledger.claim(lane, (), None, self.now)
        self.silent.discard(lane)
        self.work.pop(lane, None)
        assert set(self.ledger.claimed.values()) - {lane} == before
        if assignment is None:
            return
        unit = assignment.unit
        assert unit.key not in self.ledger.done
        assert unit.key not in self.ledger.failed
        assert not self.is_late(unit.key)
        assert all(self.store[parent] for parent in unit.parents)
        assert assignment.keep_state == self.needs(unit.key)
        assert set(unit.parents) <= set(assignment.ancestors)
        self.work[lane] = assignment

    @rule(lane=lanes, units=st.integers(1, 9))
    def works(self, lane: str, units: int) -> None:
        for _ in range(units):
            self.asks(lane)
            if lane in self.work:
                self.finish(lane)

    @precondition(lambda self: self.work)
    @rule(data=st.data())
    def finishes(self, data: st.DataObject) -> None:
        """In time, or long after its work was given to another lane."""
        self.finish(data.draw(st.sampled_from(sorted(self.work))))

    def finish(self, lane: str) -> None:
        assignment = self.work.pop(lane)
        key = assignment.unit.key
        self.store[key] = assignment.keep_state or self.store.get(key, False)
        for dropped in self.ledger.finish(key):
            assert not self.needs(dropped)
            self.store[dropped] = False
        self.finished[key] += 1

    @precondition(lambda self: self.work)
    @rule(data=st.data(), final=st.booleans())
    def fails(self, data: st.DataObject, final: bool) -> None:
        lane = data.draw(st.sampled_from(sorted(self.work)))
        key = self.work.pop(lane).unit.key
        if self.ledger.claimed.get(key) == lane:
            self.attempts[key] += 1
            if final or self.attempts[key] > self.plan.study.lanes.retries:
                self.gives_up(key)
        self.ledger.fail(lane, key, "boom", final)

    @precondition(lambda self: set(self.work) - self.silent)
    @rule(data=st.data())
    def falls_silent(self, data: st.DataObject) -> None:
        """Its work is given to others after a while; it may wake up and finish it all the same."""
        self.silent.add(data.draw(st.sampled_from(sorted(set(self.work) - self.silent))))

    @precondition(lambda self: self.silent)
    @rule(data=st.data())
    def wakes(self, data: st.DataObject) -> None:
        self.silent.discard(data.draw(st.sampled_from(sorted(self.silent))))

    @rule(seconds=st.sampled_from([LEASE / 2, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for lane in sorted(set(self.work) - self.silent):
            self.ledger.alive(lane, self.work[lane].unit.key, self.now)
        claimed = dict(self.ledger.claimed)
        self.ledger.expire(self.now)
        lost = set(claimed) - set(self.ledger.claimed)
        for key in lost:
            assert claimed[key] in self.silent
            self.losses[key] += 1
            if self.losses[key] == MAX_LOSSES:
                self.gives_up(key)

    @rule(data=st.data(), run_again=st.booleans())
    def coordinator_dies(self, data: st.DataObject, run_again: bool) -> None:
        """Its lanes go on; or the study is run again after some files were lost."""
        if run_again:
            lost = st.sets(st.sampled_from(["", *self.store]), max_size=3)
            states, stages = data.draw(lost), data.draw(lost)
            self.store = {
                key: stored and key not in states
                for key, stored in self.store.items()
                if key not in stages
            }
            self.lost |= states
            self.work.clear()
        self.restart()

    @invariant()
    def books_agree(self) -> None:
        ledger = self.ledger
        assert not set(ledger.done) & set(ledger.failed)
        assert not set(ledger.claimed) & (set(ledger.done) | set(ledger.failed))
        assert len(set(ledger.claimed.values())) == len(ledger.claimed)
        assert set(ledger.done) <= set(self.store)

    @invariant()
    def failures_take_their_descendants_and_no_others(self) -> None:
        expected = set().union(*self.given_up.values()) - set(self.ledger.done)
        assert set(self.ledger.failed) == expected

    @invariant()
    def states_stay_as_long_as_they_are_needed(self) -> None:
        there = {key for key, stored in self.store.items() if stored}
        needed = {key for key in self.ledger.done if self.needs(key)}
        waited_for = {key for key in needed if self.is_waited_for(key)}
        assert needed - self.lost <= there
        assert waited_for <= there
        assert there - needed <= self.surplus | self.ledger.todo

    def teardown(self) -> None:
        """Whatever happened, one lane that works brings the study to its end."""
        if not hasattr(self, "ledger"):
            return
        for _ in range(len(self.plan.units) + 1):
            if self.ledger.settled:
                break
            self.now += LEASE + 1
            self.ledger.expire(self.now)
            self.asks("last")
            if "last" in self.work:
                assignment = self.work.pop("last")
                self.store[assignment.unit.key] = assignment.keep_state
                self.ledger.finish(assignment.unit.key)
        assert self.ledger.settled


@pytest.mark.parametrize(
    "examples", [40, pytest.param(2000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_lanes_and_ledger(examples: int) -> None:
    run_state_machine_as_test(
        Lanes,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )


def key_of(plan: Plan, *prefix: str) -> str:
    return next(key for key, unit in plan.units.items() if unit.prefix == prefix)


def test_failure_spares_what_starts_from_a_state_that_is_there() -> None:
    """Redoing a unit for one child may fail without harm to the descendants of another."""
    plan = plan_of(study_of([("a", "b", "c"), ("a", "c", "b")]))
    start, a, ab, abc = (key_of(plan, *prefix) for prefix in ((), "a", "ab", "abc"))
    ledger = Ledger(plan, kept({start: False, a: False, ab: True}), LEASE)
    claims = {assignment.unit.key for assignment in claim_all(ledger)}
    assert claims == {a, abc}
    ledger.fail("lane-0", a, "boom", final=True)
    assert abc not in ledger.failed
    assert set(ledger.failed) == {a, key_of(plan, "a", "c"), key_of(plan, "a", "c", "b")}


def claim_all(ledger: Ledger) -> list[Assignment]:
    """Whatever is ready, each for a lane of its own."""
    claims = (ledger.claim(f"lane-{i}", (), None, 0.0) for i in range(len(ledger.todo)))
    return [assignment for assignment in claims if assignment]


def test_a_lane_goes_on_from_the_state_it_holds() -> None:
    plan = plan_of(study_of(ABC))
    start, a, b = (key_of(plan, *prefix) for prefix in ((), "a", "b"))
    ledger = Ledger(plan, kept({start: False, a: True, b: True}), LEASE)
    claim = ledger.claim("lane", [b], None, 0.0)
    assert claim
    assert claim.unit.key == key_of(plan, "b", "a")


def test_a_lane_stays_with_the_method_it_has_loaded() -> None:
    plan = plan_of(study_of(ABC, ["finetune", "lora"]))
    ledger = Ledger(plan, kept({key_of(plan): False}), LEASE)
    claims = [ledger.claim(lane, (), ("clip", "lora"), 0.0) for lane in ("one", "two", "three")]
    assert [claim.unit.method for claim in claims if claim] == ["lora", "lora", "finetune"]


def test_earlier_replicates_come_first() -> None:
    plan = plan_of(study_of(ABC, replicates=2))
    ledger = Ledger(plan, {}, LEASE)
    replicates = []
    while not ledger.settled:
        claim = ledger.claim("lane", (), None, 0.0)
        assert claim
        replicates.append(claim.unit.replicate)
        ledger.finish(claim.unit.key)
    assert replicates == sorted(replicates)


def test_a_silent_lane_loses_its_claim_after_its_lease() -> None:
    ledger = Ledger(plan_of(study_of(ABC)), {}, LEASE)
    first = ledger.claim("one", (), None, 0.0)
    assert first
    ledger.expire(LEASE)
    assert ledger.claimed == {first.unit.key: "one"}
    ledger.expire(LEASE + 1)
    assert ledger.claimed == {}
    again = ledger.claim("two", (), None, LEASE + 1)
    assert again
    assert again.unit == first.unit


def test_a_forgotten_claim_comes_back_with_a_sign_of_life() -> None:
    plan = plan_of(study_of(ABC))
    claim = Ledger(plan, {}, LEASE).claim("one", (), None, 0.0)
    assert claim
    restarted = Ledger(plan, {}, LEASE)
    restarted.alive("one", claim.unit.key, 0.0)
    assert restarted.claimed == {claim.unit.key: "one"}


def test_a_unit_that_kills_its_lanes_is_given_up() -> None:
    plan = plan_of(study_of(ABC))
    ledger = Ledger(plan, kept({key_of(plan): False, key_of(plan, "b"): True}), LEASE)
    a = key_of(plan, "a")
    for _ in range(MAX_LOSSES):
        claim = ledger.claim("one", (), None, 0.0)
        assert claim
        assert claim.unit.key == a
    ledger.claim("one", (), None, 0.0)
    assert "died 5 times" in ledger.failed[a]
    assert "starts from 'finetune: a', which failed" in ledger.failed[key_of(plan, "a", "b")]


def test_abort_fails_all_that_is_left() -> None:
    plan = plan_of(study_of(ABC))
    ledger = Ledger(plan, kept({key_of(plan): False}), LEASE)
    ledger.claim("one", (), None, 0.0)
    ledger.abort("no machine")
    assert ledger.settled
    assert set(ledger.failed) == set(plan.units) - {key_of(plan)}
    assert ledger.claim("one", (), None, 0.0) is None


def test_a_study_that_has_seen_enough_wants_nothing_more() -> None:
    """Of the replicate that is left out, two units are done, one fails, and others are claimed."""
    plan = plan_of(study_of(ABC, replicates=2))
    first = {key: False for key, unit in plan.units.items() if unit.replicate == 0}
    later = {unit.prefix: key for key, unit in plan.units.items() if unit.replicate == 1}
    ledger = Ledger(plan, kept(first), LEASE)
    claimed = {c.unit.prefix for c in claim_all(ledger)}
    assert claimed == {("a",), ("b",)}
    ledger.finish(later["a",])
    ledger.finish(later["b",])
    ledger.claim("one", (), None, 0.0)
    failing = ledger.claim("two", (), None, 0.0)
    assert failing
    ledger.fail("two", failing.unit.key, "boom", final=True)
    assert not ledger.settled
    assert set(ledger.stop_after(1)) == {later["a",], later["b",]}
    assert ledger.settled
    assert not ledger.failed
    assert not ledger.claimed
    assert ledger.claim("two", (), None, 0.0) is None
    assert ledger.finish(later["a", "b"]) == [later["a", "b"]]  # of the lane that knew of nothing
    assert later["a", "b"] not in ledger.done


def test_material_that_becomes_a_result_is_done_again() -> None:
    """Fine-tuning joins a study that had only its read-out: now its stages need scores."""
    plan = plan_of(study_of(ABC, [READ_OUT, "finetune"]))
    material = {key for key, unit in plan.units.items() if unit.kind == "train"}
    finished = {key: Kept(state=True, scores=key not in material) for key in plan.units}
    assert Ledger(plan, finished, LEASE).todo == material
    without = plan_of(study_of(ABC, [READ_OUT]))
    assert not Ledger(without, finished, LEASE).todo


@pytest.mark.parametrize(("keep", "left"), [("none", set()), ("leaves", {("a", "b", "c")})])
def test_states_left_by_a_coordinator_that_died_are_superfluous(
    keep: str, left: set[Order]
) -> None:
    plan = plan_of(study_of(ABC, keep_states=keep))
    a, ab, abc = plan.runs[0].stages[1:]
    finished = kept({plan.runs[0].stages[0]: False, a: True, ab: True, abc: True})
    spare = {plan.units[key].prefix for key in Ledger(plan, finished, LEASE).superfluous()}
    assert spare == {("a",), ("a", "b"), ("a", "b", "c")} - left
    still_needed = {key: state for key, state in finished.items() if key != abc}
    spare = {plan.units[key].prefix for key in Ledger(plan, still_needed, LEASE).superfluous()}
    assert spare == {("a",)}
