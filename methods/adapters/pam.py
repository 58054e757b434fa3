"""PAM: while a task is learnt, its adapter is kept from contradicting the one it is averaged with.

Sokar et al., "Continual Learning in VLMs via Aligned Model Merging" (2025, arXiv 2506.03189). One
global adapter G lives through all tasks. A task trains a copy phi of it; every k steps phi is
aligned: among the share p of entries where |G| is largest, those of phi whose sign is not G's are
reset, to zero or to their value in G. After the task

    G <- (G + phi) / 2,

element by element, and phi is gone. The paper: rank 32, p = 50 %, PaliGemma, three orders.

Left open there (there is no code) and decided here; all but the last three are options:
- k (`every`). 10: in stages of 24 steps of tiny-clip 2, 5 and 10 ended alike. An alignment there
  resets 4 to 7 % of the entries that it looks at.
- Whether the p largest are those of every tensor or of all tensors together (`largest_of`). Every
  tensor: A and B differ in scale, so that of all together they would be those of one of them.
- Which reset is the usual one (`reset_to`). Zero, which the paper names first.
- Whether the mean gives every task the same weight (`share`). As written above: 1/2.
- Whether it is the factors that are averaged, or the updates B A (`merge_in`). The factors: that is
  the literal reading, and copies of one adapter have them in common. Of the averaged updates, whose
  rank may be twice as large, the best approximation of the adapter's rank is kept.
- Whether the optimiser forgets the momentum of what is reset (`clear_momentum`). No.
- The first task has nothing to be aligned with: it trains G itself (`first_task`).
- Alignment looks at the factors A and B as they are, and a zero contradicts nothing.
- What is trained without an adapter are weights, and the entries are those of theta - theta_0, so
  that zero is the untouched backbone.
- No alignment is added at the end of a task; it happens there if k divides the number of steps.
"""

from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import pad
from torch.optim import Optimizer

from methods.base import State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage
from methods.tools.low_rank import LoraOptions


class PAMConfig(FineTuneConfig):
    """Options of `pam`."""

    lora: LoraOptions | None = Field(
        default=LoraOptions(rank=32, alpha=64),
        description="The adapter; null: all weights are trained, aligned and averaged.",
    )
    top: float = Field(
        default=0.5, ge=0, le=1, description="Share p of the entries that have to keep their sign."
    )
    largest_of: Literal["tensor", "all"] = Field(
        default="tensor",
        description="Whether these are found in every tensor or in all.",
    )
    reset_to: Literal["zero", "global"] = Field(
        default="zero", description="What becomes of entries with the other sign."
    )
    every: int = Field(default=10, ge=1, description="Steps k from one alignment to the next.")
    clear_momentum: bool = Field(
        default=False, description="Whether the optimiser forgets where reset entries were going."
    )
    share: Annotated[float, Field(gt=0, le=1)] | Literal["mean"] = Field(
        default=0.5,
        description="Share of the new task in the average; mean: 1/t, so that all weigh the same.",
    )
    merge_in: Literal["factors", "delta"] = Field(
        default="factors", description="Whether A and B are averaged, or the updates B A."
    )
    first_task: Literal["kept", "merged"] = Field(
        default="kept",
        description="Whether the first task's adapter becomes the global one as it is, or is "
        "aligned with and averaged with the untrained one, as later ones are.",
    )

    @model_validator(mode="after")
    def _updates_need_an_adapter(self) -> Self:
        if self.merge_in == "delta" and not self.lora:
            raise ValueError("merge_in: delta averages updates B A; without lora there are none")
        return self


class PAM(FineTune):
    """Train a copy of the adapter in the signs of its largest entries, then average the two."""

    Config = PAMConfig
    config: PAMConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Remember the global adapter, and which of its signs count."""
        parameters = dict(self.named_parameters())
        self.weights = {name: parameters[name] for name in self.trainable()}
        self.start = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.zeros = {name: self._zero(name) for name in self.weights}
        self.merges = len(stage.prefix) > 1 or self.config.first_task == "merged"
        self.steps = 0
        learnt = [weight - self.zeros[name] for name, weight in self.start.items()]
        guides = keep_largest(learnt, self.config.top, self.config.largest_of)
        self.guides = dict(zip(self.weights, guides, strict=True))

    def _zero(self, name: str) -> Tensor:
        """Where entries of a weight are counted from."""
        weight = self.weights[name]
        if self.adapter:
            return weight.new_zeros(())
        return self._initial[f"weights/{name}"].to(weight.device)

    def on_optimizer_created(self, optimizer: Optimizer) -> None:
        """Hold on to the optimiser, whose momentum may have to be cleared."""
        self.optimizer = optimizer

    def after_step(self) -> None:
        """Align every k steps."""
        self.steps += 1
        if self.merges and self.steps % self.config.every == 0:
            self.align()

    def step_state(self) -> State:
        """Returns the count."""
        return {"steps": torch.tensor(self.steps)}

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.steps = int(state["steps"])

    @torch.no_grad()
    def align(self) -> None:
        """Reset the entries that contradict the global adapter's largest."""
        goals = self.zeros if self.config.reset_to == "zero" else self.start
        for name, weight in self.weights.items():
            opposed = (weight - self.zeros[name]).sign() * self.guides[name].sign() < 0
            weight.copy_(torch.where(opposed, goals[name], weight))
            momentum = self.optimizer.state[weight].get("exp_avg")
            if self.config.clear_momentum and momentum is not None:
                momentum.masked_fill_(opposed, 0)

    @torch.no_grad()
    def after_task(self, stage: Stage) -> None:
        """Average the global adapter with the task's."""
        if not self.merges:
            return
        share = 1 / len(stage.prefix) if self.config.share == "mean" else self.config.share
        if self.config.merge_in == "delta":
            self._average_updates(share)
        else:
            for name, weight in self.weights.items():
                weight.lerp_(self.start[name], 1 - share)

    def _average_updates(self, share: float) -> None:
        for name, a in self.weights.items():
            if ".lora_A." not in name:
                continue
            partner = name.replace(".lora_A.", ".lora_B.")
            b = self.weights[partner]
            left = torch.cat([(1 - share) * self.start[partner], share * b], dim=1)
            right = torch.cat([self.start[name], a])
            for factor, nearest in zip((b, a), nearest_factors(left, right, len(a)), strict=True):
                factor.copy_(nearest)


def keep_largest(
    tensors: list[Tensor], share: float, largest_of: Literal["tensor", "all"]
) -> list[Tensor]:
    """Returns copies in which all but a share of the entries, the largest in magnitude, are zero.

    The number of those that stay is the nearest integer to the share of how many there are, in
    each tensor or in all together.
    """
    if largest_of == "all":
        sizes = [tensor.numel() for tensor in tensors]
        (kept,) = keep_largest([torch.cat([t.flatten() for t in tensors])], share, "tensor")
        parts = zip(torch.split(kept, sizes), tensors, strict=True)
        return [part.view_as(tensor) for part, tensor in parts]
    kept_parts = []
    for tensor in tensors:
        flat = tensor.flatten()
        chosen = flat.abs().topk(round(share * len(flat))).indices
        kept_parts.append(torch.zeros_like(flat).scatter(0, chosen, flat[chosen]).view_as(tensor))
    return kept_parts


def nearest_factors(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The B [m, rank] and A [rank, n] whose product is nearest to left [m, k] @ right [k, n].

    By the singular values of the product (Eckart-Young), half of each in either factor, without
    ever forming it.
    """
    (q_left, r_left), (q_right, r_right) = torch.linalg.qr(left), torch.linalg.qr(right.T)
    u, values, v = torch.linalg.svd(r_left @ r_right.T, full_matrices=False)
    roots = values[:rank].sqrt()
    b, a = q_left @ (u[:, :rank] * roots), (roots[:, None] * v[:rank]) @ q_right.T
    missing = rank - len(roots)
    return pad(b, (0, missing)), pad(a, (0, 0, 0, missing))
