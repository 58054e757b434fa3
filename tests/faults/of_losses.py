"""Mistakes in what methods replay, distil and hold."""

from pathlib import Path
from typing import Any

import torch

from methods.data import Stage
from methods.distillation import modx, zscl
from methods.distillation.dual_teacher import DualTeacher
from methods.regularisation import mas, penalty
from methods.regularisation.ewc import EWC
from methods.regularisation.gnsp import GNSP
from methods.regularisation.l2_sp import L2SP
from methods.regularisation.multimodal_ewc import MultimodalEWC
from methods.regularisation.online_ewc import OnlineEWC
from methods.regularisation.penalty import Anchored
from methods.regularisation.si import SI
from methods.replay.derpp import DERpp
from methods.replay.er import ER
from methods.tools import contrast
from methods.tools.teacher import Teacher
from tests.faults.base import Fault, nothing, one_example, replaced
from tests.methods import (
    test_contrastive,
    test_derpp,
    test_dual_teacher,
    test_er,
    test_ewc,
    test_gnsp,
    test_l2_sp,
    test_lwf,
    test_mas,
    test_modx,
    test_multimodal_ewc,
    test_penalty,
    test_si,
    test_zscl,
)
from tests.methods.opened import about_to_learn, bench_of

_follow, _both_ways, _add_to = Teacher.follow, zscl.distillation_both_ways, penalty.add_to
_ewc_after_task, _anchored_before_task = EWC.after_task, Anchored.before_task
_l2_sp_before_task, _weight = L2SP.before_task, DualTeacher.weight


def itself_alone(names: Any, _: Any) -> Any:
    """Which samples have a name in common, if none had."""
    return torch.eye(len(names))


@torch.no_grad()
def logits_anew(self: DERpp, stage: Stage) -> None:
    ER.after_task(self, stage)
    for task, i in self.buffer.items:
        batch = stage.tasks[task].batch(torch.tensor([i]))
        self.logits[task, i] = self.backbone.logits(batch)[0]


def of_the_first_task(self: Teacher, backbone: Any) -> None:
    if self._copy is None:
        _follow(self, backbone)


def the_student_itself(self: Teacher, backbone: Any) -> None:
    self._copy = backbone


def moment_of_the_start(self: EWC, stage: Stage) -> None:
    before = [tensor.clone() for tensor in self.information]
    _ewc_after_task(self, stage)
    starts = [self._initial[f"weights/{name}"] for name in self.protected()]
    fresh = [i - b for i, b in zip(self.information, before or [0] * len(starts), strict=True)]
    self.moment = [f * start for f, start in zip(fresh, starts, strict=True)]


def anchors_of_the_start(self: Anchored, stage: Stage) -> None:
    _anchored_before_task(self, stage)
    self.anchors = [self._initial[f"weights/{name}"] for name in self.protected()]


def slope_with_penalty(self: SI) -> None:
    Anchored.after_backward(self)
    self.slope = [gradient.clone() for gradient in self.gradients()]
    self.origin = [weight.detach().clone() for weight in self.weights]


def anchors_of_the_task(self: L2SP, stage: Stage) -> None:
    _l2_sp_before_task(self, stage)
    self.anchors = [weight.detach().clone() for weight in self.weights]


def lwf_checked(models: Path) -> None:
    bench = bench_of(models, "clip", "lwf", **test_lwf.KEPT)
    test_lwf.test_teacher_is_the_model_at_the_start_of_the_task(bench)


def path_checked(models: Path) -> None:
    learning = bench_of(models, "clip", "si", damping=test_si.DAMPING)
    test_si.test_path_knows_the_gradient_of_the_task_alone(about_to_learn(learning, "a", "b"))


REPLAY = [
    Fault(
        "er takes no task into memory",
        replaced(ER, "after_task", nothing),
        test_er.test_a_step_replays_as_many_samples_as_it_learns,
    ),
    Fault(
        "der++ holds logits of now, not of then",
        replaced(DERpp, "after_task", logits_anew),
        lambda models: test_derpp.test_keeps_the_logits_that_samples_had_when_their_task_ended(
            models, "clip", "balanced"
        ),
    ),
]
DISTILLATION = [
    Fault(
        "the teacher is that of the first task",
        replaced(Teacher, "follow", of_the_first_task),
        lwf_checked,
    ),
    Fault("the teacher learns", replaced(Teacher, "follow", the_student_itself), lwf_checked),
    Fault(
        "zscl forgets the temperature",
        replaced(zscl, "distillation_both_ways", lambda old, new, _: _both_ways(old, new, 1.0)),
        lambda models: test_zscl.test_untouched_model_is_at_the_entropy_of_the_teacher(
            bench_of(models, "clip", "zscl", **test_zscl.FREE)
        ),
    ),
    Fault(
        "modx holds what samples of one class have in common",
        replaced(modx, "matching", lambda *names: itself_alone(*names).bool()),
        lambda _: one_example(test_modx.test_only_wrong_entries_matter)(0),
    ),
    Fault(
        "dual_teacher follows the other teacher",
        replaced(DualTeacher, "weight", lambda *given: 1 - _weight(*given)),
        test_dual_teacher.test_weights_follow_the_distance_of_the_teachers,
    ),
    Fault(
        "contrastive tells samples of one class apart",
        replaced(contrast, "equal_shares", itself_alone),
        lambda _: one_example(test_contrastive.test_equal_labels_share_what_is_right)(0),
    ),
]
REGULARISATION = [
    Fault(
        "ewc is anchored at the pretrained weights",
        replaced(EWC, "after_task", moment_of_the_start),
        test_ewc.test_sum_form_is_the_sum_of_a_penalty_per_task,
    ),
    Fault(
        "anchors are those of the first task",
        replaced(Anchored, "before_task", anchors_of_the_start),
        lambda models: test_penalty.test_pulls_nowhere_where_the_task_started(models, "online_ewc"),
    ),
    Fault(
        "penalties push",
        replaced(penalty, "add_to", lambda sums, pulls, by: _add_to(sums, pulls, -by)),
        lambda models: test_penalty.test_adds_the_gradient_of_the_penalty(models, "clip", "ewc"),
    ),
    Fault(
        "the path of si knows the penalty",
        replaced(SI, "after_backward", slope_with_penalty),
        path_checked,
    ),
    Fault(
        "l2_sp pulls to the start of the task",
        replaced(L2SP, "before_task", anchors_of_the_task),
        test_l2_sp.test_pulls_to_the_pretrained_weights,
    ),
    Fault(
        "mas lets parts of different sign cancel over samples",
        replaced(mas, "magnitudes", lambda gradients: gradients),
        lambda models: test_mas.test_importance_is_how_the_length_of_the_logits_changes(
            models, "clip", 1
        ),
    ),
    Fault(
        "multimodal_ewc holds towers by what they have",
        replaced(MultimodalEWC, "information", OnlineEWC.information),
        lambda models: test_multimodal_ewc.test_every_tower_is_equally_important(models, "clip"),
    ),
    Fault(
        "gnsp projects nothing",
        replaced(GNSP, "after_backward", nothing),
        lambda models: test_gnsp.test_projected_gradients_leave_what_was_learnt(
            bench_of(models, "clip", "gnsp")
        ),
    ),
]
