"""For whose task samples are taken: what the rows say is what the methods do."""

from pathlib import Path
from typing import Any

import pytest
import torch

from methods.adapters.moe_adapters import MoEAdapters
from methods.merging.condu import ConDU
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.measuring.checking import check_diagnostics
from sweep.stage.diagnostics import routing
from sweep.stage.diagnostics.routing import Routing
from tests.methods.shipped import OPTIONS

ROUTED: dict[str, dict[str, Any]] = {
    "moe_adapters": OPTIONS["moe_adapters"],
    "diki": {"lr": 0.05, "epsilon": 1e-2},
    "dpw": {"lr": 0.05, "epsilon": 1e-2},
    "dualprompt": OPTIONS["dualprompt"],
    "condu": {"task": "inferred", "experts": 1},
}
ORDER = ("b", "a", "c")


def bench_of(models: Path, method: str, options: dict[str, Any]) -> Workbench:
    evaluation = {"diagnostics": ["routing"]}
    return Workbench(toy_study(models, {method: options}, evaluation=evaluation), method)


def routed(scores: Any) -> dict[tuple[str, str], float]:
    rows = [row for row in scores if row["split"] == "routing"]
    assert all(row["n"] > 0 for row in rows)
    return {(row["eval_task"], row["metric"]): row["value"] for row in rows}


@pytest.mark.parametrize("method", ROUTED)
def test_tasks_learnt_take_samples_of_all_tasks_and_suites(models: Path, method: str) -> None:
    bench = bench_of(models, method, ROUTED[method])
    scores = [routed(result.record.scores) for result in bench.learn(ORDER).values()]
    last = scores[-1]
    benchmark = bench.worker.benchmark
    names = {task.name for part in (benchmark.tasks, benchmark.probes) for task in part.values()}
    assert len(names) == 5
    assert set(last) == {(name, task) for name in names for task in ORDER}
    for name in ORDER:
        total = sum(last[name, task] for task in ORDER)
        assert 0 < total <= 1 + 1e-6
        if isinstance(bench.worker.trainer.method, ConDU):
            assert total == pytest.approx(0.5)  # one expert beside the untouched backbone


def test_shares_are_what_answers_are_made_of(models: Path) -> None:
    """A sample with no share of any task is answered as the untouched backbone answers it."""
    bench = bench_of(models, "moe_adapters", ROUTED["moe_adapters"])
    last = routed(list(bench.learn(ORDER[:2]).values())[-1].record.scores)
    method, samples = bench.worker.trainer.method, bench.worker.evaluator.samples
    assert isinstance(method, MoEAdapters)
    method.eval()
    apart = 0
    for name, task in bench.worker.benchmark.tasks.items():
        (batch,) = samples.batches(task)
        with torch.no_grad():
            shares = method.routing(batch)
            given = method.backbone.logits(batch)
            router, method.prompting.router = method.prompting.router, None
            untouched = method.backbone.logits(batch)
            method.prompting.router = router
        for learnt, share in shares.items():
            assert last[name, learnt] == pytest.approx(float(share.mean()), abs=1e-6)
        alone = torch.stack(list(shares.values())).sum(dim=0) == 0
        changed = (given - untouched).abs().amax(dim=1) > 1e-4
        apart += int(changed.sum())
        assert not (changed & alone).any()
    assert apart


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("finetune", {}),
        ("moe_adapters", OPTIONS["moe_adapters"] | {"task": "known"}),
        ("condu", {}),
    ],
)
def test_methods_that_choose_nothing_have_no_rows(
    models: Path, method: str, options: dict[str, Any]
) -> None:
    bench = bench_of(models, method, options)
    for result in bench.learn(ORDER[:2]).values():
        assert not routed(result.record.scores)


@pytest.mark.parametrize("methods", [{"finetune": {}}, {"condu": {}, "zero_shot": {}}])
def test_a_study_without_such_a_method_is_refused(models: Path, methods: dict[str, Any]) -> None:
    study = toy_study(models, methods, evaluation={"diagnostics": ["routing"]})
    with pytest.raises(InputError, match=r"'routing' .* has none; such are .*diki, dpw, moe_adap"):
        check_diagnostics(study)
    check_diagnostics(toy_study(models, methods | ROUTED, evaluation={"diagnostics": ["routing"]}))


def test_two_workers_give_the_shares_of_one(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of(models, "dualprompt", ROUTED["dualprompt"])
    bench.learn(ORDER[:2])
    diagnostic = Routing(bench.worker.evaluator.samples)
    diagnostic.method.eval()
    task = bench.worker.benchmark.tasks["a"]
    whole = diagnostic._of(task)
    assert len(whole) == 2

    batches = list(diagnostic.samples.batches(task))
    mine, yours = (
        [batch.rows(torch.arange(first, len(batch), 2)) for batch in batches] for first in (0, 1)
    )
    told = [(batch.ids, diagnostic.method.routing(batch)) for batch in yours]
    monkeypatch.setattr(diagnostic.samples, "batches", lambda _: mine)
    monkeypatch.setattr(routing, "gather_object", lambda own: [*told, *own])
    assert diagnostic._of(task) == whole
