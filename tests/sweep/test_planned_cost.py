"""What GPUs would cost: worked out by hand, and against lanes that work through the study."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planned_cost import replay
from sweep.cli.main import main
from sweep.errors import InputError
from sweep.measuring.measure import make_plan
from sweep.plan.plan import Plan
from sweep.preview.cost import LANE_START_SECONDS, Cost, Costs, estimate_cost
from sweep.preview.gpu_cost import GpuCost, gpu_cost, lanes_on
from sweep.preview.preview import Preview, make_preview
from sweep.preview.prices import check_gpus
from sweep.storage.run_folder import RunFolder
from sweep.storage.store import Record, Store
from sweep.study.schema import Lanes, Study
from tests.sweep.plans import plan_of, study_of

COST = Cost(seconds_per_step=1.0, seconds_per_evaluation=5.0, state_bytes=100)
WITHIN = 0.2
"""How far a plan may be from the finished study, by the issue that asked for it."""


@pytest.fixture(scope="module")
def quickstart() -> Plan:
    return make_plan(Study.load("quickstart"))


def costs_of(plan: Plan) -> Costs:
    """Methods of different cost; those without training cost what an evaluation does."""
    rising = enumerate(plan.study.methods)
    return {
        (backbone, method): replace(COST, seconds_per_step=0.5 + 0.5 * i)
        for backbone in plan.study.backbones
        for i, method in rising
    }


def shown(plan: Plan, out: Path, gpus: int, price: float | None = 2.5) -> Preview:
    return make_preview(plan, str(out), costs_of(plan), gpus=gpus, price=price)


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_costs_what_the_finished_study_does(
    quickstart: Plan, tmp_path: Path, seed: int
) -> None:
    """Eight lanes replay it with stages that take now less, now more, than was planned."""
    planned = shown(quickstart, tmp_path / "out", 8).gpu_cost
    costs, rng = costs_of(quickstart), np.random.default_rng(seed)
    spent = {
        key: (costs[unit.backbone, unit.method].seconds(quickstart, unit) if unit.method else 5.0)
        * float(rng.lognormal(-0.045, 0.3))
        for key, unit in quickstart.units.items()
    }
    finished = replay(quickstart, spent, rng.uniform(8, 25, 8).tolist())
    assert planned
    assert planned.lanes == 8
    assert planned.cost == pytest.approx(2.5 * finished.gpu_hours(8), rel=WITHIN)
    assert planned.busy_cost == pytest.approx(2.5 * finished.busy_gpu_hours, rel=WITHIN)
    assert planned.busy_cost < planned.cost


def test_fewer_gpus_take_longer_and_cost_less(quickstart: Plan, tmp_path: Path) -> None:
    found = [shown(quickstart, tmp_path / "out", gpus).gpu_cost for gpus in (1, 2, 8, 24)]
    assert [cost.lanes for cost in found if cost] == [1, 2, 8, 24]
    seconds = [cost.seconds for cost in found if cost]
    assert seconds == sorted(seconds, reverse=True)
    hours = [cost.gpu_hours for cost in found if cost]
    assert hours == sorted(hours)


def test_a_chain_by_hand() -> None:
    """Three stages of 15 s, one after another, and 5 s for the untouched backbone beside them:
    four lanes start, and two are enough."""
    plan = plan_of(study_of([("a", "b", "c")], training={"steps": 10}))
    expected = estimate_cost(plan, {}, {("clip", "finetune"): COST}, 4)
    found = gpu_cost(4, 2.0, Lanes(), 4, expected, is_recorded=False)
    seconds, busy = LANE_START_SECONDS + 3 * 15, 4 * LANE_START_SECONDS + 5 + 3 * 15
    assert found.seconds == seconds
    assert found.gpu_hours == pytest.approx(4 * seconds / 3600)
    assert found.busy_gpu_hours == pytest.approx(busy / 3600)
    assert found.cost == pytest.approx(2 * 4 * seconds / 3600)
    assert found.busy_cost == pytest.approx(2 * busy / 3600)


def test_lanes_of_several_gpus_are_paid_for() -> None:
    plan = plan_of(study_of([("a", "b", "c")], training={"steps": 10}))
    expected = estimate_cost(plan, {}, {("clip", "finetune"): COST}, 2)
    found = gpu_cost(8, None, Lanes(workers=4), 2, expected, is_recorded=False)
    busy = 2 * LANE_START_SECONDS + 5 + 3 * 15
    assert found.gpu_hours == pytest.approx(8 * expected.seconds / 3600)
    assert found.busy_gpu_hours == pytest.approx(4 * busy / 3600)
    assert found.cost is None
    assert found.busy_cost is None


@pytest.mark.parametrize(
    ("gpus", "lanes", "expected"),
    [
        (8, {}, 8),
        (8, {"workers": 3}, 2),
        (8, {"gpus_per_worker": 2}, 4),
        (8, {"gpus_per_worker": 0.1}, 80),
        (8, {"gpus_per_worker": 0.6}, 8),
        (3, {"gpus_per_worker": 0.5, "workers": 4}, 1),
        (8, {"count": 3}, 3),
        (8, {"count": 30}, 8),
        (200, {}, 100),
    ],
    ids=str,
)
def test_lanes_that_gpus_hold(gpus: int, lanes: dict[str, float], expected: int) -> None:
    assert lanes_on(gpus, Lanes(**lanes), runs=100) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpus", "lanes", "said"),
    [
        (1, {"workers": 2}, "--gpus 1 holds no lane: a lane of this study takes 2 GPUs"),
        (3, {"workers": 2, "gpus_per_worker": 2}, "takes 4 GPUs"),
        (3, {"gpus_per_worker": 0}, "lanes.gpus_per_worker is 0 in this study"),
    ],
)
def test_gpus_that_hold_no_lane(gpus: int, lanes: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        lanes_on(gpus, Lanes(**lanes), runs=9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpus", "price"),
    [(0, None), (-3, None), (8, 0.0), (8, -1.0), (8, math.inf), (8, math.nan), (None, 2.5)],
)
def test_what_cannot_be_reckoned_with(gpus: int | None, price: float | None) -> None:
    with pytest.raises(InputError, match=r"--price|--gpus"):
        check_gpus(gpus, price)


@pytest.mark.parametrize(
    "given",
    [
        ["--gpus", "0"],
        ["--gpus", "-1"],
        ["--gpus", "8", "--price", "-2"],
        ["--price", "2.5"],
        ["--gpus", "1", "--set", "lanes.workers=2"],
    ],
    ids=" ".join,
)
def test_the_command_says_in_a_sentence_what_is_wrong(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "quickstart", *given]) == 2
    said = capsys.readouterr()
    assert len(said.err.strip().splitlines()) == 1
    assert not said.out


def test_the_command_says_what_it_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.preview.preview.measure_costs", lambda plan, say: costs_of(plan))
    monkeypatch.setenv("COLUMNS", "400")
    given = ["plan", "quickstart", "--out", str(tmp_path / "out"), "--gpus", "8", "--price", "2.5"]
    assert main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    line = next(one for one in lines if one.startswith("On 8 GPUs (8 lanes)"))
    assert "at 2.5 per GPU-hour" in line
    assert "plan on a machine of their kind, or with the --out of a run" in line
    assert main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["gpu_cost"]
    assert f"{found['gpu_hours']:.3g} GPU-hours ({found['cost']:,.2f})" in line
    assert f"{found['busy_gpu_hours']:.3g} GPU-hours ({found['busy_cost']:,.2f})" in line
    assert main([*given[:-2], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["gpu_cost"]
    assert (found["price"], found["cost"], found["busy_cost"]) == (None, None, None)


def test_times_of_finished_stages_replace_those_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU of another kind they take ten times as long, as one stage of the method says."""
    monkeypatch.setattr("sweep.preview.preview.check_inputs", lambda plan: None)
    plan = plan_of(study_of([("a", "b", "c")], training={"steps": 10}))
    RunFolder(str(tmp_path), plan).prepare()

    def planned() -> GpuCost:
        costs = {("clip", "finetune"): COST}
        found = make_preview(plan, str(tmp_path), costs, gpus=2, price=1.0).gpu_cost
        assert found
        return found

    assert not planned().is_recorded
    store = Store(str(tmp_path), plan.evaluations)
    for key in plan.runs[0].stages[:2]:
        spent = {"train": 100.0, "evaluate": 50.0}
        store.save(Record(key=key, evaluation=plan.units[key].evaluation, seconds=spent), {})
    after = planned()
    assert after.is_recorded
    assert "the times of stages that this run has finished" in after.sentence()
    assert after.seconds == LANE_START_SECONDS + 2 * 150
