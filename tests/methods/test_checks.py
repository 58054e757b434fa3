"""The checks of `methods.testing` catch a method that breaks its promises."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from methods.base import DependsOn, State
from methods.baselines.finetune import FineTune
from methods.baselines.individual import Individual
from methods.data import Batch, Stage
from methods.testing import MethodChecks


class Incomplete(FineTune):
    """Scales its loss by something that it does not keep in its state."""

    scale = 1.0

    def loss(self, batch: Batch) -> Tensor:
        return self.scale * super().loss(batch)

    def after_task(self, stage: Stage) -> None:
        self.scale /= 2


class Running(FineTune):
    """Draws from a generator that goes on from task to task."""

    def build(self) -> None:
        super().build()
        self.draws = torch.Generator().manual_seed(0)

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * torch.rand((), generator=self.draws)


class Positional(FineTune):
    """Says that it depends on the task alone, but learns later tasks faster."""

    depends_on: ClassVar[DependsOn] = "task"
    position = 0

    def before_task(self, stage: Stage) -> None:
        self.position += 1

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) * self.position


class Ordered(Individual):
    """Says that it combines a set of experts, but answers with the last one."""

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        super().combine(dict.fromkeys(experts, list(experts.values())[-1]), stage)


class Local(FineTune):
    """Edits gradients by what its own worker saw."""

    def loss(self, batch: Batch) -> Tensor:
        self.seen = batch.pixels.float().mean()
        return super().loss(batch)

    def after_backward(self) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad *= self.seen / 255


class Leaking(FineTune):
    """Leaves a weight that is no part of its state where the last stage put it."""

    def after_step(self) -> None:
        with torch.no_grad():
            self.backbone.get_parameter("model.logit_scale").mul_(0.99)


class Ill(FineTune):
    """Fails in one of two workers."""

    def before_task(self, stage: Stage) -> None:
        if stage.rank == 1:
            raise RuntimeError("the second worker is ill")


class Forgetful(FineTune):
    """Keeps something in its state that it does not take back."""

    def build(self) -> None:
        super().build()
        self.tasks = torch.zeros(())

    def after_task(self, stage: Stage) -> None:
        self.tasks = self.tasks + 1

    def extra_state(self) -> State:
        return {"tasks": self.tasks}


def checks_of(kind: type) -> Any:
    name = f"{kind.__module__}:{kind.__qualname__}"
    return type("Checks", (MethodChecks,), {"method": name})()


@pytest.mark.parametrize("kind", [Incomplete, Running, Leaking])
def test_what_ran_before_must_not_matter(kind: type, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        checks_of(kind).test_resume_is_exact("clip", tmp_path)


def test_weights_outside_of_the_state_must_not_change() -> None:
    with pytest.raises(AssertionError):
        checks_of(Leaking).test_state_is_all_that_changes("clip")


def test_a_state_must_be_taken_back() -> None:
    with pytest.raises(AssertionError):
        checks_of(Forgetful).test_state_round_trips("clip")


def test_the_position_of_a_task_must_not_matter_where_a_method_says_so() -> None:
    with pytest.raises(AssertionError):
        checks_of(Positional).test_depends_on_is_true("clip")


def test_a_set_must_have_no_order() -> None:
    with pytest.raises(AssertionError):
        checks_of(Ordered).test_combines_over_is_true("clip")


def test_a_worker_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="the second worker is ill"):
        checks_of(Ill).test_two_workers_learn_what_one_learns("clip")


def test_workers_must_agree() -> None:
    with pytest.raises(AssertionError):
        checks_of(Local).test_two_workers_learn_what_one_learns("clip")


def test_checks_that_cannot_apply_are_not_there() -> None:
    assert checks_of(FineTune).test_combines_over_is_true is None
    assert checks_of(FineTune).test_stays_untouched is None
    assert checks_of(FineTune).test_learns is not None
