"""Studies that stop when they have seen enough: the rule, the engine, and what is left behind."""

import asyncio
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sweep
from analysis import anytime_interval, load, metrics, summary, t_factor
from analysis.inference.confidence_sequences import FIRST_LOOK
from methods.base import State
from methods.testing.toy import TOY, toy_study
from sweep.engine.coordinator import Coordinator
from sweep.engine.outcomes import Progress
from sweep.errors import InputError
from sweep.preview.preview import make_preview
from sweep.preview.status import status
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker
from sweep.storage.changes import conflict
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Store
from sweep.study.schema import Study
from sweep.study.stopping import Stop, StoppingRule
from tests.analysis.invented_runs import runs_of
from tests.sweep.plans import plan_of, study_of

ABC = [("a", "b", "c"), ("b", "a", "c")]
METHODS = ["finetune", "lora"]


@pytest.mark.parametrize(
    ("stopping", "message"),
    [
        ({"half_width": 0.01}, "either between"),
        ({"half_width": 0.01, "method": "lora", "between": METHODS}, "either between"),
        ({"half_width": 0.01, "between": ["lora", "lora"]}, "'lora' twice"),
        ({"half_width": 0.01, "method": "loro"}, "Did you mean 'lora'"),
        ({"half_width": 0.01, "method": "lora", "of": "acuracy"}, "Unknown metric"),
        ({"half_width": 0, "method": "lora"}, "greater than 0"),
        ({"method": "lora"}, "'half_width' is missing"),
        ({"half_width": 0.01, "methd": "lora"}, "Did you mean 'method'"),
    ],
)
def test_rules_that_cannot_be_used(stopping: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        study_of(ABC, METHODS, stopping=stopping)


def test_a_rule_may_change_when_a_study_goes_on() -> None:
    """A confidence sequence holds at all looks together, so no reason to stop or go on harms."""
    stopping = {"half_width": 0.01, "between": METHODS}
    assert conflict(study_of(ABC, METHODS), study_of(ABC, METHODS, stopping=stopping)) == ""


def test_a_replicate_is_whole_when_nothing_of_it_is_left() -> None:
    plan = plan_of(study_of(ABC, METHODS, replicates=3))
    units = list(plan.units.values())
    assert plan.complete_replicates(set(), 3) == 0
    first = {unit.key for unit in units if unit.replicate == 0}
    assert plan.complete_replicates(first, 3) == 1
    last = next(unit.key for unit in units if unit.replicate == 0 and unit.method == "lora")
    assert plan.complete_replicates(set(plan.units) - {last}, 3) == 0
    assert plan.complete_replicates(plan.units, 3) == 3


def test_a_difference_is_looked_at_pair_by_pair() -> None:
    """What replicates and orders do to both methods is no uncertainty of their difference."""
    rng = np.random.default_rng(0)
    base = rng.random((6, 3))
    gain = 0.05 + 0.001 * rng.standard_normal((6, 3))
    runs = runs_of({"b": base, "a": base + gain, "c": rng.random((6, 3))})
    assert StoppingRule(half_width=0.01, method="a").look(runs, 6, 9) is None
    stop = StoppingRule(half_width=0.01, between=("a", "b")).look(runs, 6, 9)
    assert stop
    assert stop.replicates == FIRST_LOOK
    known = anytime_interval(gain[:FIRST_LOOK].mean(axis=1))
    assert stop.reason.startswith(
        f"stopped after {FIRST_LOOK} of 9 replicates: average accuracy of a minus b is "
        f"{known.mean:.4f} [{known.low:.4f}, {known.high:.4f}]"
    )
    assert StoppingRule(half_width=0.01, between=("a", "b")).look(runs, FIRST_LOOK - 1, 9) is None
    assert StoppingRule(half_width=0.01, between=("a", "absent")).look(runs, 6, 9) is None


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return toy_study(
        tmp_path_factory.mktemp("models"),
        ("finetune",),
        benchmark={"name": TOY, "num_tasks": 2},
        replicates=FIRST_LOOK + 20,  # more than a lane gets done between two looks
        stopping={"half_width": 0.9, "method": "finetune"},
        lanes={"count": 1, "cpus_per_worker": 1},
    )


async def one_lane(run_folder: RunFolder, ahead: int) -> Progress:
    """Work as a lane does, with a driver that looks only after every `ahead` units."""
    plan = run_folder.plan
    worker = Worker(plan.study, plan.pinned, join_lane(plan.study), Path(run_folder.folder.uri))
    coordinator, states = Coordinator(run_folder.folder.uri, 1), dict[str, State]()
    for turn in itertools.count():
        progress = coordinator.progress()
        stop = run_folder.look(progress.done, progress.failed) if turn % ahead == 0 else None
        if stop and not progress.stopped:
            await coordinator.stop_after(stop.replicates, stop.reason)
        given = await coordinator.next("lane", list(states), worker.loaded)
        if not isinstance(given, list):
            break
        (work,) = given
        result = worker.compute(work.unit, states.__getitem__)
        if result.state is not None:
            states[work.unit.key] = result.state
        state = result.state if work.is_state_needed else None
        await coordinator.finish(run_folder.store.save(result.record, state, result.embeddings))
    for run in plan.runs:
        outcome = await coordinator.outcome(run, len(run.order))
        late = run.replicate >= FIRST_LOOK
        assert outcome
        assert outcome.status == ("skipped" if late else "ok")
    return coordinator.progress()


@pytest.fixture(scope="module")
def stopped(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of many replicates that was run and has stopped after four."""
    out = tmp_path_factory.mktemp("out") / "toy"
    run_folder = RunFolder(str(out), sweep.make_plan(study))
    run_folder.prepare()
    progress = asyncio.run(one_lane(run_folder, ahead=3))
    assert progress.stopped.startswith(f"stopped after {FIRST_LOOK} of {study.replicates} repl")
    assert progress.is_settled
    assert progress.units == len(progress.done)
    run_folder.flush(progress.done, progress.failed)
    run_folder.write_manifest(1)
    assert json.loads((out / "manifest.json").read_text())["stopped"] == progress.stopped
    return out


def replicates_of(out: Path, study: Study) -> set[int]:
    """Replicates that have a finished stage beyond stage 0."""
    units = sweep.make_plan(study).units
    return {u.replicate for key in Store(str(out)).finished() if (u := units[key]).kind == "train"}


def test_later_replicates_are_at_most_begun(study: Study, stopped: Path) -> None:
    assert set(range(FIRST_LOOK)) <= replicates_of(stopped, study) <= set(range(FIRST_LOOK + 1))
    assert not list(stopped.glob("stages/*/state.safetensors"))


def test_nothing_is_missing_in_a_study_that_stopped(stopped: Path) -> None:
    results = load(str(stopped))
    assert set(results.orders["replicate"]) == set(range(FIRST_LOOK))
    assert (results.runs["missing"] == 0).all()
    assert set(metrics(results)["replicate"]) == set(range(FIRST_LOOK))


def test_the_decision_is_found_again(study: Study, stopped: Path) -> None:
    reason = json.loads((stopped / "manifest.json").read_text())["stopped"]
    assert reason in status(str(stopped))
    shown = make_preview(study, str(stopped))
    assert shown.stop == Stop(FIRST_LOOK, reason)
    assert reason in shown.sentence()
    assert not shown.todo
    (contrast,) = shown.precision_forecast.contrasts
    assert contrast.known == FIRST_LOOK
    assert contrast.needs == {0.9: FIRST_LOOK}
    assert json.loads(json.dumps(shown.as_dict(), allow_nan=False))["stopped"] == reason


def test_what_a_budget_buys_cannot_be_said_before_anything_is_known(
    study: Study, tmp_path: Path
) -> None:
    shown = make_preview(study, str(tmp_path / "new"))
    assert shown.stop is None
    assert "once the half-width of average accuracy of finetune is below 0.9" in shown.sentence()
    assert shown.as_dict()["precision"]["known_replicates"] == 0
    (sentence,) = shown.precision_forecast.sentences()
    assert "needs two complete replicates in --out; there are none." in sentence


def test_budgets_are_those_of_the_intervals(study: Study, stopped: Path) -> None:
    """Without a rule: the t interval over the replicates there are, and what a size costs."""
    shown = make_preview(study.model_copy(update={"stopping": None}), str(stopped))
    (mean,) = shown.precision_forecast.contrasts
    found = summary(metrics(load(str(stopped)))).set_index("metric").loc["average_accuracy"]
    now = shown.precision_forecast.sizes.index(FIRST_LOOK)
    assert mean.half_widths[now] == pytest.approx(found["high"] - found["mean"])
    for target, n in mean.needs.items():
        assert n
        assert mean.sd * t_factor(n) < target <= mean.sd * t_factor(n - 1)


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
def test_the_engine_stops_what_it_goes_on_with(study: Study, stopped: Path, tmp_path: Path) -> None:
    """One replicate is lost; it is trained again, and then the same is decided."""
    out = tmp_path / "out"
    shutil.copytree(stopped, out)
    units = sweep.make_plan(study).units
    before = set(Store(str(out)).finished())
    lost = {key for key in before if units[key].replicate == FIRST_LOOK - 1}
    for key in lost:
        shutil.rmtree(out / "stages" / key)
    finished = sweep.run(study, str(out))
    assert finished.stopped == json.loads((stopped / "manifest.json").read_text())["stopped"]
    assert finished.is_settled
    assert not finished.failed
    assert set(Store(str(out)).finished()) >= before
    assert set(load(finished.out).orders["replicate"]) == set(range(FIRST_LOOK))
    assert len(finished.grid) == len(sweep.make_plan(study).runs)
    seen = {(r.config["run"]["replicate"], r.metrics["status"]) for r in finished.grid}
    assert {status for replicate, status in seen if replicate < FIRST_LOOK} == {"ok"}
    assert (study.replicates - 1, "skipped") in seen
