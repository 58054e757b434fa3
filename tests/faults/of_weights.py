"""Mistakes in prompts and adapters, and in how weights and answers are put together."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from methods.adapters import adapter
from methods.adapters.inflora import InfLora, Subspace
from methods.adapters.o_lora import OLora
from methods.adapters.osf import OSF
from methods.adapters.pam import PAM
from methods.analytic.rail import RAIL
from methods.averaging.wise_ft import WiseFT
from methods.backbones import load_backbone
from methods.backbones.pretrained import PretrainedBackbone
from methods.backbones.prompting import Route
from methods.baselines.individual import Individual
from methods.data import Batch, Stage
from methods.merging import condu, consensus, magmax, opcm, tall, ties
from methods.merging.dare import Dare
from methods.merging.task_arithmetic import TaskArithmetic
from methods.merging.task_vectors import TaskVectors, Vector
from methods.prompts.dualprompt import DualPrompt
from methods.prompts.l2p import L2P
from methods.prompts.routed import Routed
from methods.tools.averages import WeightAverage
from tests.faults.base import Fault, nothing, one_example, replaced
from tests.methods import (
    test_adapter,
    test_averages,
    test_condu,
    test_coop,
    test_dualprompt,
    test_individual,
    test_inflora,
    test_l2p,
    test_merging,
    test_o_lora,
    test_opcm,
    test_osf,
    test_pam,
    test_rail,
    test_routed,
    test_weight_space,
)
from tests.methods.opened import bench_of

_inflora_before_task, _take_in = InfLora.before_task, WeightAverage._take_in
_add_up, _dare, _rail = TaskArithmetic.merge, Dare.merge, RAIL.predict


def in_any_direction(self: InfLora, stage: Stage) -> None:
    held = self.spaces
    self.spaces = {name: Subspace(a.new_zeros(a.shape[1], 0)) for name, a in self.factors.items()}
    _inflora_before_task(self, stage)
    self.spaces = held


@torch.no_grad()
def the_other_share(self: WiseFT, stage: Stage) -> None:
    weights = dict(self.named_parameters())
    for name, reference in self.reference.items():
        weights[name].lerp_(reference, self.config.alpha)


def subtracted(self: TaskArithmetic, vectors: TaskVectors) -> Vector:
    return {weight: -change for weight, change in _add_up(self, vectors).items()}


def not_scaled_up(self: Dare, vectors: TaskVectors) -> Vector:
    kept = 1 - self.config.drop
    return {weight: kept * change for weight, change in _dare(self, vectors).items()}


def the_first_prompts(self: L2P, query: Tensor) -> Route:
    chosen = torch.arange(self.config.chosen).expand(len(query), -1)
    return Route(chosen, torch.ones(len(query)))


def the_last_expert(self: DualPrompt, query: Tensor) -> Route:
    return Route(torch.full((len(query), 1), len(self.learnt) - 1), torch.ones(len(query)))


def strangers_to_the_last(self: Individual, task: str | None) -> None:
    last = list(self.experts.values())[-1] if self.experts else {}
    self.load_state(self._initial | self.experts.get(task or "", {} if task else last))


def beta_of_the_other(self: RAIL, batch: Batch) -> Tensor:
    held = self.config
    self.config = held.model_copy(update={"beta": 1 - held.beta})
    try:
        return _rail(self, batch)
    finally:
        self.config = held


def merged(test: Callable[..., object], *given: object) -> Callable[[Path], object]:
    """A check of a rule that merges."""
    return lambda models: test(load_backbone(str(models / "clip")), *given)


PROMPTS = [
    Fault(
        "routed prompts count without the - 1",
        replaced(Routed, "weight", lambda self, log: torch.sigmoid(log / self.backbone.width)),
        lambda models: test_routed.test_prompts_count_by_the_papers_weight(models, "diki"),
    ),
    Fault(
        "l2p does not ask its keys",
        replaced(L2P, "choose", the_first_prompts),
        lambda models: test_l2p.test_an_image_trains_what_it_chose_and_nothing_else(models, "clip"),
    ),
    Fault(
        "dualprompt does not ask its keys",
        replaced(DualPrompt, "choose", the_last_expert),
        test_dualprompt.test_images_choose_the_expert_of_their_task,
    ),
    Fault(
        "tokens of a context end the text",
        replaced(PretrainedBackbone, "_plain_token", 0),
        lambda _: test_coop.test_texts_with_a_context_of_words_are_read_as_with_the_words(
            "tiny-clip-pictures"
        ),
    ),
]
ADAPTERS = [
    Fault(
        "o_lora lets adapters overlap",
        replaced(OLora, "overlap", lambda _: torch.zeros(())),
        test_o_lora.test_loss_is_the_papers,
    ),
    Fault(
        "inflora learns in directions of earlier tasks",
        replaced(InfLora, "before_task", in_any_direction),
        lambda models: test_inflora.test_updates_are_orthogonal_to_the_inputs_of_earlier_tasks(
            bench_of(models, "clip", "inflora", rank=4, energy=0.9)
        ),
    ),
    Fault(
        "adapters beside an MLP read what it gives",
        replaced(adapter, "_add_beside", adapter._add_after),
        lambda models: test_adapter.test_is_the_papers_formula(models, "beside"),
    ),
    Fault(
        "osf drops what a task has taught",
        replaced(OSF, "after_task", torch.no_grad()(lambda method, _: method.clear())),
        lambda models: test_osf.test_joining_the_weights_and_splitting_them_changes_no_answer(
            models, "clip"
        ),
    ),
    Fault(
        "pam aligns nothing",
        replaced(PAM, "align", nothing),
        lambda models: test_pam.test_alignment_ends_all_contradictions_and_changes_nothing_else(
            models, "clip", test_pam.LORA, "zero"
        ),
    ),
]
MERGING = [
    Fault(
        "task vectors are subtracted",
        replaced(TaskArithmetic, "merge", subtracted),
        merged(
            test_merging.test_dare_that_drops_nothing_is_what_follows, "linear", "task_arithmetic"
        ),
    ),
    Fault(
        "ties trims nothing",
        replaced(ties, "trim", lambda vectors, _: vectors),
        merged(test_merging.test_ties_trims_the_whole_vector),
    ),
    Fault(
        "ties asks nobody for the sign",
        replaced(ties, "agreed_mean", lambda vectors: vectors.mean(dim=0)),
        merged(one_example(test_merging.test_ties_of_one_weight_is_that_of_peft), 0, 3, 0.5),
    ),
    Fault(
        "dare does not scale up",
        replaced(Dare, "merge", not_scaled_up),
        merged(test_merging.test_dare_scales_up_what_it_keeps),
    ),
    Fault(
        "magmax takes the largest with its sign",
        replaced(magmax, "largest", lambda vectors: vectors.amax(dim=0)),
        merged(test_merging.test_magmax_takes_the_largest_and_of_two_the_positive),
    ),
    Fault(
        "opcm projects nothing",
        replaced(opcm, "outside", lambda held, change, alpha: change),
        merged(test_opcm.test_order_matters),
    ),
    Fault(
        "tall compares with the sum of all",
        replaced(tall, "tall_masks", lambda taus, by: taus.abs() > by * taus.sum(dim=0).abs()),
        merged(test_merging.test_tall_compares_with_what_the_others_add),
    ),
    Fault(
        "consensus keeps what no task needs",
        replaced(consensus, "tall_masks", lambda taus, _: torch.ones_like(taus, dtype=torch.bool)),
        merged(test_merging.test_consensus_keeps_what_enough_tasks_need),
    ),
    Fault(
        "condu leaves experts as small as their masks make them",
        replaced(condu, "_mean_sizes", lambda rows: torch.ones(len(rows), dtype=torch.float64)),
        lambda _: test_condu.test_unified_by_hand(),
    ),
]
OTHERS = [
    Fault(
        "wise_ft goes the other share back",
        replaced(WiseFT, "after_task", the_other_share),
        test_weight_space.test_wise_ft_goes_back_towards_the_untouched_backbone,
    ),
    Fault(
        "a mean of weights leaves out its start",
        replaced(WeightAverage, "_take_in", lambda self, count: _take_in(self, count - 1)),
        lambda _: test_averages.test_equal_shares_give_the_mean_of_the_start_and_all_steps(
            list(torch.randn(10, 4, 3, generator=torch.Generator().manual_seed(0)))
        ),
    ),
    Fault(
        "strangers meet the last expert",
        replaced(Individual, "select", strangers_to_the_last),
        test_individual.test_data_of_no_task_is_answered_by_the_untouched_backbone,
    ),
    Fault(
        "rail weighs the adapter with the other's share",
        replaced(RAIL, "predict", beta_of_the_other),
        lambda models: test_rail.test_a_known_task_is_answered_by_both_together(
            models, "clip", next(iter(test_rail.OPTIONS.values()))
        ),
    ),
]
