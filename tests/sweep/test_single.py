"""One order trained by itself; and with sharing, every order gets exactly the same result."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from methods import METHODS
from methods.base import State
from methods.testing.toy import TOY
from methods.testing.workbench import same
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.orders.order import Order
from sweep.plan.scheduler import Assignment, Scheduler
from sweep.single import matrix, plan_single, run_single
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker
from sweep.storage.store import Record, Store
from sweep.study.evaluation import Evaluation
from sweep.study.schema import Study
from tests.methods.shipped import OF_A_KIND, study_of
from tests.sweep.plans import tries

Single = Callable[[str, Order], tuple[list[Record], State | None]]
TRAINING = {"steps": 3, "batch_size": 8, "lr": 0.003}
NO_SHRINKING = (Phase.explicit, Phase.generate)
"""Every example trains for seconds; the first that fails says enough."""


@dataclass
class Lane:
    """A lane without Ray: the same steps, one at a time."""

    name: str
    worker: Worker
    states: dict[str, State] = field(default_factory=dict)
    assignment: Assignment | None = None

    def step(self, scheduler: Scheduler, store: Store) -> None:
        """Claim something, or do what was claimed."""
        if self.assignment is None:
            self.assignment = scheduler.claim(self.name, self.states, self.worker.loaded, 0.0)
            return
        unit, needed = self.assignment.unit, self.assignment.needed
        self.states = {key: state for key, state in self.states.items() if key in needed}
        is_trained = self.assignment.is_trained
        result = self.worker.compute(
            unit, lambda key: self.states.get(key) or store.state(key), is_trained
        )
        if result.state is not None:
            self.states[unit.key] = result.state
        kept = result.state if self.assignment.is_state_needed else None
        former = store.training(unit.key) if is_trained else None
        store.save(result.record, kept, result.embeddings, former)
        for key in scheduler.finish(unit.key):
            store.drop_state(key)
        self.assignment = None


def study_for(models: Path, orders: list[Order], methods: list[str], **changes: Any) -> Study:
    study = study_of(
        models,
        "clip",
        training=TRAINING,
        benchmark={"name": TOY, "num_tasks": len(orders[0])},
        design={"name": "fixed", "orders": orders},
        **changes,
    )
    return study.model_copy(update={"methods": {name: study.methods[name] for name in methods}})


@pytest.fixture(scope="module")
def single(models: Path) -> Single:
    """Returns what a single order gets; each is computed once."""
    return cache(lambda name, order: run_single(study_for(models, [order], [name]), name, order))


def check_sharing(
    models: Path, single: Single, data: st.DataObject, names: list[str], most_tasks: int
) -> None:
    """Lanes that share a trie, interleaved in any way, against every order trained by itself."""
    orders = data.draw(tries(most_tasks))
    study = study_for(models, orders, names, keep_states="leaves")
    plan, store = make_plan(study), Store("mock:///out")
    scheduler = Scheduler(plan, {}, lease=float("inf"))
    lanes = [
        Lane(name, Worker(study, plan.pinned, join_lane(study), models / "cache"))
        for name in ("one", "two")
    ]
    turns = data.draw(st.randoms(use_true_random=False))
    while not scheduler.is_settled:
        turns.choice(lanes).step(scheduler, store)
    for run in plan.runs:
        records, state = single(run.method, run.order)
        assert [store.record(key).scores for key in run.stages] == [r.scores for r in records]
        if state is not None:
            assert same(store.state(run.stages[-1]), state)


some_methods = st.lists(st.sampled_from(list(METHODS)), min_size=1, max_size=2, unique=True)


@settings(max_examples=5, phases=NO_SHRINKING)
@given(data=st.data())
def test_sharing_is_exact(models: Path, single: Single, data: st.DataObject) -> None:
    check_sharing(models, single, data, data.draw(some_methods), most_tasks=3)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.slow if name in OF_A_KIND else pytest.mark.long)
        for name in METHODS
    ],
)
@settings(max_examples=2, phases=NO_SHRINKING)
@given(data=st.data())
def test_sharing_is_exact_on_larger_tries(
    models: Path, single: Single, method: str, data: st.DataObject
) -> None:
    check_sharing(models, single, data, [method], most_tasks=4)


ABC = ("a", "b", "c")


@pytest.fixture(scope="module")
def study(models: Path) -> Study:
    return study_for(models, [ABC, ABC[::-1]], ["finetune", "individual"], replicates=2)


class TestOneOrder:
    @pytest.mark.parametrize("method", ["finetune", "individual"])
    def test_has_the_keys_that_it_has_in_the_study(self, study: Study, method: str) -> None:
        planned = [
            run for run in make_plan(study).runs if run.method == method and run.replicate == 1
        ]
        for run in planned:
            one = plan_single(study, method, run.order, 1, None)
            assert one.runs == [run]
            assert set(one.units) == {
                key for stage in run.stages for key in (stage, *one.units[stage].parents)
            }

    def test_may_be_any_order(self, study: Study) -> None:
        assert plan_single(study, "finetune", ("b", "a", "c"), 0, None).runs[0].order == tuple(
            "bac"
        )

    @pytest.mark.parametrize(
        ("given_", "message"),
        [
            ({"method": "finetun"}, "Unknown method of this study 'finetun'; .*'finetune'"),
            ({"backbone": "clap"}, "Unknown backbone of this study 'clap'; .*'clip'"),
            ({"replicate": 2}, "replicate 2: the study has replicates 0 to 1"),
            ({"replicate": -1}, "replicate -1: the study has replicates 0 to 1"),
            ({"order": ("a", "x", "c")}, "'x'; allowed: a, b, c"),
            ({"order": ("a", "a")}, "must name one or more tasks, each once"),
        ],
    )
    def test_bad_input_is_named(self, study: Study, given_: dict[str, Any], message: str) -> None:
        good = {"method": "finetune", "order": ABC, "replicate": 0, "backbone": None}
        with pytest.raises(InputError, match=message):
            plan_single(study, **good | given_)

    def test_writes_what_the_engine_writes(self, study: Study, tmp_path: Path) -> None:
        out = tmp_path / "out"
        records, _ = run_single(study, "individual", ABC, replicate=1, out=str(out))
        rows = [r for f in (out / "results").iterdir() for r in pq.read_table(f).to_pylist()]
        assert {(r["replicate"], tuple(r["prefix"])) for r in rows} == {
            (1, ABC[:k]) for k in range(4)
        }
        written = {(r["stage"], r["eval_task"], r["metric"], r["value"]) for r in rows}
        assert written == {
            (stage, row["eval_task"], row["metric"], row["value"])
            for stage, record in enumerate(records)
            for row in record.scores
        }
        plan = json.loads((out / "plan.json").read_text())
        assert (plan["runs"], plan["orders"], plan["trained"]) == (1, 1, 3)

    def test_matrix_has_stages_by_tasks(self) -> None:
        records = [
            Record(
                key=str(stage),
                scores=tuple(
                    {
                        "split": split,
                        "eval_task": task,
                        "metric": "accuracy",
                        "value": stage + i,
                        "n": 1,
                    }
                    for split, tasks in (("task", "ab"), ("probe", "s"))
                    for i, task in enumerate(tasks)
                ),
            )
            for stage in range(3)
        ]
        table = matrix(("b", "a"), records, Evaluation())
        assert list(table.index) == ["untouched", "b", "a"]
        assert list(table.columns) == ["b", "a"]
        assert table.loc["b", "a"] == 1
        assert table.loc["a", "b"] == 3
