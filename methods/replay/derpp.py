"""Dark experience replay++: samples in memory keep the logits that they had.

Buzzega et al., "Dark Experience for General Continual Learning: a Strong, Simple Baseline" (NeurIPS
2020, arXiv 2004.07211): with two independent draws (x', z') and (x'', y'') from memory,

    loss = CE(x, y) + alpha ||z' - h(x')||^2 + beta CE(x'', y''),

where z' are the logits that the model gave to x' when it came into memory.

Left open there, or different for a vision-language model, and decided here:

- A sample comes into memory when the training of its task ends (see buffers.py), and z' are the
  model's logits of that moment, over the choices of the sample's own task, with the prompts of
  training. Without a list of choices there are no logits to keep, as those of captions depend on
  the others of the step and those of words fill the vocabulary: it learns only tasks with classes.
- The squared norm is the mean over choices, as in the authors' code, so that tasks with many of
  them do not weigh more.
- z' and h(x') are compared up to a constant (`offset: free`). In the paper they are outputs of a
  linear layer that is trained from scratch. Cross entropy does not move the mean of these over the
  classes, so that there the mean square of z' - h(x') is its variance (in a small network to a
  thousandth, tests/methods/test_derpp.py). CLIP's logits, 100 times a cosine, do move together,
  which no softmax sees: on the embedded world that is four fifths of their mean square, and alpha
  would mostly hold what answers do not depend on. As a factor of the variance it means on CLIP what
  it means in the paper, logits being in nats in both (here they differ by 5 between choices). Half
  of the variance is the limit that distillation with temperature T, times T^2, has for large T
  (Hinton et al. 2015, arXiv 1503.02531, section 2.1). `offset: held` is the formula as it stands.
- alpha = 0.3 and beta = 0.5 are what the authors' code takes for CIFAR-100 with 500 samples.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.data import Batch, Stage
from methods.parallel import mean_over_workers
from methods.replay.buffers import Item, by_task
from methods.replay.er import ER, ERConfig


class DERppConfig(ERConfig):
    """Options of `der++`."""

    alpha: float = Field(default=0.3, ge=0, description="Weight of the logits in memory.")
    offset: Literal["free", "held"] = Field(
        default="free",
        description="Whether the logits of a sample may move together, which changes no answer, or "
        "are held as they were.",
    )
    beta: float = Field(default=0.5, ge=0, description="Weight of the labels in memory.")


class DERpp(ER):
    """Replay labels, and hold on to the logits that the samples once had."""

    Config = DERppConfig
    config: DERppConfig
    needs_classes: ClassVar[bool] = True
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True
    batches: ClassVar[int] = 2

    def build(self) -> None:
        """Start with nothing in memory."""
        super().build()
        self.logits: dict[Item, Tensor] = {}

    def loss(self, batch: Batch) -> Tensor:
        """Returns CE(task) + alpha MSE(logits in memory) + beta CE(memory)."""
        seen, labelled = self.recall(batch.part)
        with self.backbone.one_pass(batch, *labelled, *seen):
            losses = self.backbone.loss(batch, *labelled)
            loss = losses[: len(batch)].mean()
            if not seen:
                return loss
            replayed = losses[len(batch) :].mean()
            return loss + self.config.alpha * self.drift(seen) + self.config.beta * replayed

    def drift(self, batches: list[Batch]) -> Tensor:
        """Returns the mean squared change of logits in memory, up to a constant if that is free."""
        return torch.cat([self._errors(batch) for batch in batches]).mean()

    def _errors(self, batch: Batch) -> Tensor:
        then = torch.stack([self.logits[batch.task.name, i] for i in batch.ids.tolist()])
        difference = self.backbone.logits(batch) - then.to(batch.labels.device)
        if self.config.offset == "free":
            return difference.var(dim=1, correction=0)
        return difference.square().mean(dim=1)

    def after_task(self, stage: Stage) -> None:
        """Take the task into memory, with the logits that its samples have now."""
        super().after_task(stage)
        known = self.logits | self._logits_of_task(stage)
        self.logits = {item: known[item] for item in self.buffer.items}

    @torch.no_grad()
    def _logits_of_task(self, stage: Stage) -> dict[Item, Tensor]:
        found: dict[Item, Tensor] = {}
        ids = torch.tensor(by_task(self.buffer.items).get(stage.task, []), dtype=torch.long)
        for some in torch.split(ids, stage.batch_size) if len(ids) else ():
            logits = self.backbone.logits(stage.tasks[stage.task].batch(some)).float()
            mean_over_workers([logits])  # where dropout has made them differ
            found |= {(stage.task, int(i)): row for i, row in zip(some, logits.cpu(), strict=True)}
        return found

    def extra_state(self) -> State:
        """Returns what is in memory, and its logits: per task float32 [n, C]."""
        held = by_task(self.buffer.items)
        return super().extra_state() | {
            f"logits/{task}": torch.stack([self.logits[task, i] for i in ids])
            for task, ids in held.items()
        }

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        super().load_extra_state(state)
        self.logits = {
            (task, i): row
            for task, ids in by_task(self.buffer.items).items()
            for i, row in zip(ids, state[f"logits/{task}"], strict=True)
        }
