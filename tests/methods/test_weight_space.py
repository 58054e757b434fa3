"""Methods that go back a part of the way, against the weights that fine-tuning passes through."""

from pathlib import Path
from typing import Any

import pytest
import torch

from methods.base import State
from methods.testing.toy import toy_study
from methods.testing.workbench import Workbench, state_in
from sweep.stage.trainer import Trainer

ORDER = ("a", "b", "c")


def stages(models: Path, method: str, **options: Any) -> tuple[list[list[State]], list[State]]:
    """Learn two tasks: per task the states at the start and after every step; what was left."""
    bench = Workbench(toy_study(models, {method: options}), method)
    first, second, _ = bench.units(ORDER)
    bench.worker.load(first)
    paths: list[list[State]] = []
    watch(bench.worker.trainer, paths)
    begun = bench.worker.compute(first, lambda _: {})
    left = bench.worker.compute(second, lambda _: state_in(begun))
    return paths, [state_in(begun), state_in(left)]


def watch(trainer: Trainer, paths: list[list[State]]) -> None:
    method = trainer.method
    before_task, after_step = method.before_task, method.after_step

    def start(stage: Any) -> None:
        paths.append([method.state()])
        before_task(stage)

    def step() -> None:
        paths[-1].append(method.state())
        after_step()

    vars(method).update(before_task=start, after_step=step)


def mixture(shares: list[float], states: list[State]) -> State:
    return {
        name: sum(
            (share * state[name] for share, state in zip(shares, states, strict=True)),
            torch.zeros(()),
        )
        for name in states[0]
    }


def assert_close(one: State, other: State) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


LORA = [{}, {"lora": {"rank": 2}}]


@pytest.mark.parametrize("adapter", LORA)
def test_wise_ft_goes_back_towards_the_task_before(models: Path, adapter: dict[str, Any]) -> None:
    paths, left = stages(models, "wise_ft", alpha=0.3, **adapter)
    for path, state in zip(paths, left, strict=True):
        assert_close(state, mixture([0.7, 0.3], [path[0], path[-1]]))
    assert_close(paths[1][0], left[0])


def test_wise_ft_goes_back_towards_the_untouched_backbone(models: Path) -> None:
    paths, left = stages(models, "wise_ft", alpha=0.3, towards="pretrained")
    for path, state in zip(paths, left, strict=True):
        assert_close(state, mixture([0.7, 0.3], [paths[0][0], path[-1]]))


def test_wise_ft_scales_an_adapter_towards_the_untouched_backbone(models: Path) -> None:
    options = {"alpha": 0.3, "towards": "pretrained", "lora": {"rank": 2}}
    paths, left = stages(models, "wise_ft", **options)
    for path, state in zip(paths, left, strict=True):
        for name, tensor in path[-1].items():
            torch.testing.assert_close(state[name], tensor * (0.3 if "lora_B" in name else 1))


@pytest.mark.parametrize("adapter", LORA)
def test_weight_ensemble_leaves_the_mean_over_start_and_every_kth_step(
    models: Path, adapter: dict[str, Any]
) -> None:
    paths, left = stages(models, "weight_ensemble", every=2, **adapter)
    for path, state in zip(paths, left, strict=True):
        assert_close(state, mixture([1 / 4] * 4, path[::2]))


def test_ema_leaves_the_exponential_mean_over_all_steps(models: Path) -> None:
    paths, left = stages(models, "ema", decay=0.6)
    for path, state in zip(paths, left, strict=True):
        n = len(path) - 1
        shares = [0.6**n] + [0.4 * 0.6 ** (n - i) for i in range(1, n + 1)]
        assert_close(state, mixture(shares, path))


@pytest.mark.parametrize(
    ("method", "options"),
    [("wise_ft", {"alpha": 1.0}), ("ema", {"decay": 0.0})],
)
def test_the_whole_way_is_fine_tuning(models: Path, method: str, options: Any) -> None:
    assert_close(stages(models, method, **options)[1][1], stages(models, "finetune")[1][1])
