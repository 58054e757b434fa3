"""Mistakes in the training loop, in scores, and in what workers exchange."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from methods.base import Method
from methods.data import Batch
from methods.regularisation import importance
from methods.replay import gift
from sweep.plan.plan import Plan
from sweep.stage import samples, task_scores, trainer
from sweep.stage.trainer import Trainer
from tests.faults.base import Fault, Patch, nothing, replaced
from tests.methods import (
    test_gift,
    test_importance,
)
from tests.sweep import test_evaluator, test_sharing, test_trainer, test_training_steps

_scheduled, _adamw, _derive_seed = trainer.scheduled, trainer.adamw, trainer.derive_seed
_backward, _check_finite = Trainer._backward, Trainer._check_finite


def unstepped(*given: Any) -> Any:
    schedule = _scheduled(*given)
    schedule.step = nothing
    return schedule


def without_autocast(self: Trainer, batch: Batch) -> Tensor:
    vars(self.accelerator)["autocast"] = nullcontext
    try:
        return _backward(self, batch)
    finally:
        del vars(self.accelerator)["autocast"]


def of_the_last_task(seed: int, *names: Any) -> int:
    tasks = [name for name in names if name in ("a", "b", "c")]
    return _derive_seed(seed, *(tasks[-1:] if len(tasks) == len(names) else names))


def unless(what: str) -> Callable[[Trainer, str], None]:
    """Looks for values that are not finite, but not after this."""
    return lambda self, doing: None if doing.startswith(what) else _check_finite(self, doing)


def adamw_checked(models: Path) -> None:
    test_training_steps.test_a_stage_is_adamw_with_schedule_clipping_and_weight_decay(models)


def finiteness_checked(models: Path, name: str) -> None:
    with Patch.context() as patch:
        test_evaluator.test_scores_that_are_not_finite_fail_the_stage(models, name, patch)


TRAINING = [
    Fault(
        "the schedule is never stepped", replaced(trainer, "scheduled", unstepped), adamw_checked
    ),
    Fault("clipping is ignored", replaced(Accelerator, "clip_grad_norm_", nothing), adamw_checked),
    Fault(
        "weight decay is ignored",
        replaced(trainer, "adamw", lambda method, towers, _: _adamw(method, towers, 0.0)),
        adamw_checked,
    ),
    Fault(
        "training has no autocast",
        replaced(Trainer, "_backward", without_autocast),
        lambda models: test_training_steps.test_layers_compute_in_the_precision_of_the_study(
            models, "bf16"
        ),
    ),
    Fault(
        "a stage's seed knows its last task alone",
        replaced(trainer, "derive_seed", of_the_last_task),
        test_training_steps.test_a_stage_draws_anew_after_other_tasks,
    ),
    Fault(
        "what training leaves may be NaN",
        replaced(Trainer, "_check_finite", unless("training")),
        lambda models: test_trainer.test_what_is_not_finite_fails_the_stage_that_left_it(
            models, "weight", "backbone.model", "nan"
        ),
    ),
    Fault(
        "what is combined may be NaN",
        replaced(Trainer, "_check_finite", unless("combining")),
        test_trainer.test_combined_states_that_are_not_finite_fail_the_stage,
    ),
]
SCORES = [
    Fault(
        "evaluation is in training mode",
        replaced(Method, "eval", lambda method: method),
        test_training_steps.test_nothing_is_dropped_in_evaluation,
    ),
    Fault(
        "ties count for the model",
        replaced(
            task_scores,
            "found_among",
            lambda fit, right, k: (
                (fit > fit.where(right, -torch.inf).amax(1, keepdim=True)).sum(1) < k
            ).double(),
        ),
        lambda _: test_evaluator.test_a_model_that_tells_nothing_apart_retrieves_by_chance(1),
    ),
    Fault(
        "choices of scores that are NaN count",
        replaced(samples, "UNDECIDED", -99),
        lambda models: finiteness_checked(models, "llava"),
    ),
    Fault(
        "a set is evaluated on the last of its sorted tasks",
        replaced(Plan, "_of_sets", lambda *_: False),
        lambda _: test_sharing.shown([("b", "a", "c"), ("a", "b", "c")], "joint", every=3),
    ),
]
WORKERS = [
    Fault(
        "the Fisher information is not summed over workers",
        replaced(importance, "sum_over_workers", nothing),
        lambda models: test_importance.test_workers_have_the_information_of_all_samples(
            test_importance.in_task_b(models, "clip")
        ),
    ),
    Fault(
        "GIFT's gradients are not averaged over workers",
        replaced(gift, "mean_over_workers", nothing),
        lambda models: test_gift.test_workers_add_the_gradient_of_the_whole_replay(
            test_gift.in_last_stage(models, "clip")
        ),
    ),
]
