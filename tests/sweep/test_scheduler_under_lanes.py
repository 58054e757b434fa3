"""The scheduler: however lanes behave or die, the study ends and nothing is done twice."""

from collections import Counter
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

from sweep.orders.order import Order
from sweep.plan.scheduler import MAX_LOSSES, Assignment, Scheduler
from tests.sweep.plans import METHODS, kept, plan_of, study_of, tries

LEASE = 10.0


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
        self.scheduler = Scheduler(self.plan, kept(self.store), LEASE)
        self.attempts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.given_up: dict[str, set[str]] = {}
        self.redone = {key for key in self.scheduler.todo if key in self.store}
        # A coordinator that died between the record and the clean-up leaves states behind.
        self.surplus = {key for key in self.store if self.store[key] and not self.needs(key)}
        if self.stopped:
            self.stop()

    def is_late(self, key: str) -> bool:
        """Whether the study stopped before it."""
        return self.stopped and self.plan.units[key].replicate > 0

    def stop(self) -> None:
        self.stopped = True
        for dropped in self.scheduler.stop_after(1):
            assert not self.needs(dropped)
            self.store[dropped] = False
        for keys in self.given_up.values():
            keys -= {key for key in keys if self.is_late(key)}

    @rule()
    def has_seen_enough(self) -> None:
        self.stop()
        assert not any(
            self.is_late(key) for key in (*self.scheduler.claimed, *self.scheduler.failed)
        )

    def needs(self, key: str) -> bool:
        """Whether the state of a finished unit has to stay."""
        if self.plan.units[key].kind != "train":
            return False
        keep = self.plan.study.keep_states
        kept = keep == "all" or (keep == "leaves" and key in self.plan.leaves)
        return kept or self.is_waited_for(key)

    def is_waited_for(self, key: str) -> bool:
        children = (child for child in self.plan.children[key] if not self.is_late(child))
        return any(child not in self.scheduler.done for child in children)

    def pending_descendants(self, key: str) -> set[str]:
        children = {child for child in self.plan.children[key] if child in self.scheduler.todo}
        return children.union(*(self.pending_descendants(child) for child in children))

    def gives_up(self, key: str) -> None:
        self.given_up[key] = {key} | self.pending_descendants(key)

    def lose(self, lane: str) -> None:
        """The scheduler learns that a lane does not do what it was given."""
        key = next((key for key, holder in self.scheduler.claimed.items() if holder == lane), None)
        if key:
            self.losses[key] += 1
            if self.losses[key] == MAX_LOSSES:
                self.gives_up(key)

    lanes = st.sampled_from(["one", "two", "three"])

    @rule(lane=lanes)
    def asks(self, lane: str) -> None:
        self.lose(lane)
        before = set(self.scheduler.claimed.values()) - {lane}
        assignment = self.scheduler.claim(lane, (), None, self.now)
        self.silent.discard(lane)
        self.work.pop(lane, None)
        assert set(self.scheduler.claimed.values()) - {lane} == before
        if assignment is None:
            return
        unit = assignment.unit
        assert unit.key not in self.scheduler.done
        assert unit.key not in self.scheduler.failed
        assert not self.is_late(unit.key)
        assert all(self.store[parent] for parent in unit.parents)
        assert assignment.is_state_needed == self.needs(unit.key)
        assert set(unit.parents) <= set(assignment.needed)
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
        self.store[key] = assignment.is_state_needed or self.store.get(key, False)
        for dropped in self.scheduler.finish(key):
            assert not self.needs(dropped)
            self.store[dropped] = False
        self.finished[key] += 1

    @precondition(lambda self: self.work)
    @rule(data=st.data(), final=st.booleans())
    def fails(self, data: st.DataObject, final: bool) -> None:
        lane = data.draw(st.sampled_from(sorted(self.work)))
        key = self.work.pop(lane).unit.key
        if self.scheduler.claimed.get(key) == lane:
            self.attempts[key] += 1
            if final or self.attempts[key] > self.plan.study.lanes.retries:
                self.gives_up(key)
        self.scheduler.fail(lane, key, "boom", final)

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
            self.scheduler.alive(lane, self.work[lane].unit.key, self.now)
        claimed = dict(self.scheduler.claimed)
        self.scheduler.expire(self.now)
        lost = set(claimed) - set(self.scheduler.claimed)
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
        scheduler = self.scheduler
        assert not set(scheduler.done) & set(scheduler.failed)
        assert not set(scheduler.claimed) & (set(scheduler.done) | set(scheduler.failed))
        assert len(set(scheduler.claimed.values())) == len(scheduler.claimed)
        assert set(scheduler.done) <= set(self.store)

    @invariant()
    def failures_take_their_descendants_and_no_others(self) -> None:
        expected = set().union(*self.given_up.values()) - set(self.scheduler.done)
        assert set(self.scheduler.failed) == expected

    @invariant()
    def states_stay_as_long_as_they_are_needed(self) -> None:
        there = {key for key, stored in self.store.items() if stored}
        needed = {key for key in self.scheduler.done if self.needs(key)}
        waited_for = {key for key in needed if self.is_waited_for(key)}
        assert needed - self.lost <= there
        assert waited_for <= there
        # What lanes finish in vain is kept as well where the study keeps everything.
        assert all(map(self.needs, there - self.surplus - self.scheduler.todo))

    def teardown(self) -> None:
        """Whatever happened, one lane that works brings the study to its end."""
        if not hasattr(self, "scheduler"):
            return
        for _ in range(len(self.plan.units) + 1):
            if self.scheduler.is_settled:
                break
            self.now += LEASE + 1
            self.scheduler.expire(self.now)
            self.asks("last")
            if "last" in self.work:
                assignment = self.work.pop("last")
                self.store[assignment.unit.key] = assignment.is_state_needed
                self.scheduler.finish(assignment.unit.key)
        assert self.scheduler.is_settled


@pytest.mark.parametrize(
    "examples",
    [
        40,
        pytest.param(400, marks=pytest.mark.slow),
        pytest.param(2000, marks=pytest.mark.long),
    ],
    ids=["few", "some", "many"],
)
def test_lanes_and_scheduler(examples: int) -> None:
    run_state_machine_as_test(
        Lanes,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )
