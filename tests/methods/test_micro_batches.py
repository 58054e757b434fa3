"""A step made of parts of its batch is the step of the whole batch."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from methods import METHODS
from methods.base import Method
from methods.baselines.finetune import FineTune
from methods.data import Batch
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.two_workers import pair
from methods.testing.two_workers import report as report_of
from methods.testing.workbench import Workbench, state_in
from sweep.errors import InputError
from sweep.measuring.checking import check_prompts
from sweep.registry import resolve
from sweep.study.pinned import pin
from sweep.study.training import Training
from tests.methods.shipped import OPTIONS

SIZE = 5
"""Of a part: of the 16 samples of a batch the last part has one."""
COMPARING = {"contrastive", "lwf", "modx", "gift", "multimodal_ewc"}
"""Their losses compare the samples of a step with one another."""
STEPPING = [name for name in METHODS if resolve("methods", name).tasks_trained_on(("a",))]


def of(method: str, backbone: str, models: Path, **training: Any) -> Workbench:
    settings = {"steps": 2, "batch_size": 16, "lr": 0.003, **training}
    study = toy_study(
        models,
        {method: OPTIONS.get(method, {})},
        benchmark=BACKBONES[backbone],
        backbones={backbone: {"path": str(models / backbone)}},
        training=settings,
    )
    return Workbench(study, method)


def steps_of(bench: Workbench, size: int | None) -> tuple[list[Tensor], list[Tensor]]:
    """Returns losses and gradients of the steps of the last task, all at the same weights."""
    units = bench.trainings(("a", "b"))
    results = {}
    for unit in units[:-1]:
        results[unit.key] = bench.worker.compute(unit, lambda key: state_in(results[key]))
    trainer = bench.worker.trainer
    method = trainer.method
    if units[-1].parents:
        method.load_state(state_in(results[units[-1].parents[0]]))
    else:
        method.reset(0)
    training = trainer.study.training.model_copy(update={"micro_batch": size})
    trainer.study = trainer.study.model_copy(update={"training": training})
    stage = trainer._stage(units[-1])
    method.train()
    method.before_task(stage)
    losses, gradients = [], []
    for task, ids in stage.stream:
        losses.append(trainer._backward(stage.tasks[task].batch(stage.shard(ids))))
        method.after_backward()
        gradients += [p.grad.clone() for p in method.parameters() if p.grad is not None]
        method.zero_grad()
    return losses, gradients


@pytest.mark.parametrize("method", sorted(set(STEPPING) - COMPARING - {"zero_shot"}))
@pytest.mark.parametrize("backbone", ["clip", "llava"])
def test_parts_make_up_the_step(method: str, backbone: str, models: Path) -> None:
    if backbone == "llava" and resolve("methods", method).combines_over:
        pytest.skip("these train as individual does, or prompts as the others")
    bench = of(method, backbone, models)
    whole, parts = steps_of(bench, None), steps_of(bench, SIZE)
    torch.testing.assert_close(parts[0], whole[0], rtol=1e-5, atol=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in whole[1])
    assert largest > 0
    torch.testing.assert_close(parts[1], whole[1], rtol=1e-4, atol=1e-5 * max(1.0, largest))


def test_a_part_goes_through_the_model_alone(models: Path) -> None:
    bench = of("er", "clip", models)
    steps_of(bench, None)
    seen: list[int] = []
    tower = bench.worker.trainer.backbone.model.vision_model
    hook = tower.register_forward_pre_hook(
        lambda _, args, named: seen.append(len(named["pixel_values"])), with_kwargs=True
    )
    steps_of(bench, SIZE)
    hook.remove()
    # Beside every sample of the step one from memory: of the second task alone.
    assert seen[-8:] == [10, 10, 10, 2] * 2


def test_hooks_are_called_once_a_step(models: Path) -> None:
    study = toy_study(
        models,
        {"counts": {"method": "tests.methods.test_micro_batches:Counts"}},
        training={"steps": 3, "batch_size": 16, "micro_batch": SIZE},
    )
    bench = Workbench(study, "counts")
    bench.worker.compute(bench.units(("a", "b", "c"))[0], lambda _: {})
    method = bench.worker.trainer.method
    assert (method.losses, method.backwards, method.steps) == (12, 3, 3)


class Counts(FineTune):
    """Counts what the engine calls."""

    losses = backwards = steps = 0

    def after_backward(self) -> None:
        """Count, and see that the gradient is there."""
        self.backwards += 1
        assert any(weight.grad is not None for weight in self.parameters())

    def after_step(self) -> None:
        """Count."""
        self.steps += 1

    def forward(self, batch: Batch) -> Tensor:
        """Count."""
        self.losses += 1
        return super().forward(batch)

    is_mean_over_samples: ClassVar[bool] = True


class OtherLoss(FineTune):
    """Says nothing of its loss."""

    def loss(self, batch: Batch) -> Tensor:
        """Returns a loss that is no mean."""
        return super().loss(batch).square()


def test_who_overrides_a_loss_has_to_say_that_it_is_a_mean() -> None:
    assert FineTune.divides_batches()
    assert Counts.divides_batches()
    assert not OtherLoss.divides_batches()
    assert not Method.divides_batches()


@pytest.mark.parametrize("method", STEPPING)
def test_losses_that_compare_samples_are_refused(method: str, models: Path) -> None:
    def study(**changes: Any) -> None:
        given = {"training": {"micro_batch": 8, "batch_size": 32}} | changes
        toy_study(models, {method: OPTIONS.get(method, {})}, **given)

    if method in COMPARING:
        with pytest.raises(InputError, match=f"'{method}' compares .* training.micro_batch, or"):
            study()
        # Nothing is cut where a worker has no more samples than that.
        study(lanes={"workers": 4})
    else:
        study()


def test_captions_of_a_dual_encoder_are_refused(models: Path) -> None:
    benchmark = {"name": "methods.testing.toy:Toy", "num_tasks": 2, "kinds": ("pairs",)}
    for size, refused in ((4, True), (16, False)):
        training = {"batch_size": 16, "micro_batch": size}
        study = toy_study(models, benchmark=benchmark, training=training)
        if refused:
            with pytest.raises(InputError, match=r"'clip' compares the captions .* of task 'a'"):
                check_prompts(study, pin(study).sources)
        else:
            check_prompts(study, pin(study).sources)


@pytest.mark.parametrize("method", ["finetune", "er", "gnsp", "moe_adapters"])
def test_two_workers_learn_in_parts_what_one_learns_at_once(method: str, models: Path) -> None:
    """The experts of moe_adapters that the last part uses are not those of the first one."""
    studies = [of(method, "clip", models, micro_batch=size).plan.study for size in (3, None)]
    first, second = pair().report(studies[0], method)
    whole = report_of(studies[1], method)
    states = (one.states.values() for one in (first, second, whole))
    for mine, yours, expected in zip(*states, strict=True):  # the keys differ
        for name, tensor in expected.items():
            assert torch.equal(mine[name], yours[name])
            # Steps of Adam turn the rounding of tiny gradients into whole steps.
            if not name.endswith("k_proj.bias"):  # without a gradient but for rounding
                apart = (mine[name].double() - tensor.double()).abs() > 1e-3
                assert apart.double().mean() < 0.005


def test_keys_depend_on_it_where_it_is_given() -> None:
    old = {
        *("steps", "batch_size", "lr", "warmup_steps", "weight_decay", "clip_norm"),
        *("label_smoothing", "crop", "precision", "per_task"),
    }
    assert set(Training().settings) == old
    assert set(Training(micro_batch=4).settings) == old | {"micro_batch"}
