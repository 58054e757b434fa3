"""What benchmarks/method_sizes.py computes is what states of tiny models take."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.method_sizes import CLASSES, SAME, state_bytes, trained, vit_b16
from methods.adapters.inflora import InfLora
from methods.adapters.lora import Lora
from methods.backbones.loading import load_backbone
from methods.baselines.finetune import FineTune
from methods.testing.tiny_models import WORDS
from methods.testing.workbench import state_in
from methods.without_content import without_content
from sweep.registry import resolve
from tests.methods.opened import bench_of
from tests.methods.shipped import OPTIONS

METHODS: dict[str, dict[str, Any]] = {
    "finetune": {},
    "individual": {},
    "lora": {"rank": 4, "after_task": "merge"},
    **{name: OPTIONS.get(name, {}) for name in ("o_lora", "inflora", "osf", "pam", "adapter")},
    **{name: {} for name in ("ewc", "online_ewc", "mas", "multimodal_ewc", "gnsp")},
    **{name: OPTIONS[name] for name in ("er", "der++", "dualprompt", "diki")},
}
"""Most that keep more than what they train, and some that do not."""


@pytest.mark.parametrize("name", METHODS)
def test_states_are_as_large_as_computed(models: Path, name: str) -> None:
    bench = bench_of(models, "clip", name, **METHODS[name])
    training = bench.plan.study.training.model_copy(update={"steps": 1})
    study = bench.plan.study.model_copy(update={"training": training})
    bench = type(bench)(study, name)
    for order in (("a",), ("a", "b")):
        results = bench.learn(order)
        units = [unit for unit in bench.units(order) if unit.kind == "train"]
        states = [state_in(results[unit.key]) for unit in units]
        method = bench.worker.trainer.method
        kept = states if method.combines_over else states[-1:]
        found = sum(tensor.nbytes for state in kept for tensor in state.values())
        method.reset(0)
        computed = state_bytes(method, len(order), len(WORDS))
        if isinstance(method, InfLora):  # how much its subspaces take depends on the data
            basis = sum(
                part.nbytes for n, part in kept[0].items() if "/space/" in n or "/rest/" in n
            )
            assert found - basis < computed
            assert found <= computed
        else:
            assert found == computed


def test_counts_are_those_of_the_architecture() -> None:
    with without_content():
        backbone = vit_b16()
        whole = FineTune(backbone, FineTune.Config())
        assert trained(whole) == 149_620_736  # all but the temperature
        assert state_bytes(whole, 10, CLASSES) == 4 * 149_620_736
    with without_content():
        lora = Lora(vit_b16(), Lora.Config(rank=8, after_task="merge"))
        per_block = [8 * (4 * 2 * width + 2 * 5 * width) for width in (768, 512)]
        assert trained(lora) == 12 * sum(per_block)
        assert state_bytes(lora, 10, CLASSES) == 4 * 11 * trained(lora)


@pytest.mark.parametrize("name", SAME)
def test_methods_that_are_counted_once_have_the_same_sizes(models: Path, name: str) -> None:
    sizes = set()
    for label in (name, *SAME[name]):
        kind = resolve("methods", label)
        method = kind(load_backbone(str(models / "clip")), kind.Config())
        sizes.add((trained(method), state_bytes(method, 1), state_bytes(method, 3)))
    assert len(sizes) == 1
