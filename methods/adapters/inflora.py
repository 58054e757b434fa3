"""InfLoRA: adapters that move a layer only where the inputs of earlier tasks are not.

Liang and Li, "InfLoRA: Interference-Free Low-Rank Adaptation for Continual Learning" (CVPR 2024,
arXiv 2404.00228). M is the subspace of a layer's inputs that earlier tasks use, H the inputs of
task t, one column per token. Before the task the factor that sees the inputs (here A, in the paper
B) is designed and then frozen: its rows are the r leading left singular vectors of

    (I - M M^T) H.

Only B is trained, from zero, and the update joins the weights: W <- W + (alpha / r) B A. It leaves
W x as it is for every x in M. After the task M grows by the leading left singular vectors of
(I - M M^T) H, H measured anew, as few as are needed so that

    |M M^T H|_F^2 >= epsilon |H|_F^2

(DualGPM, section 3.3 there). DualGPM is also how M is kept: the basis of M while it has at most
half of all dimensions, then that of what is left.

Decided here, where the paper leaves it open or this engine differs:
- epsilon grows with t / T in the authors' code (from 0.98 to 1 on ImageNet-R). That is a
  hyper-parameter by position, and would make tasks that come late protect themselves better; here
  it is the same for all tasks.
- Rows of A have length 1 / sqrt(3), as in the authors' code: that of a row that is drawn at random.
- The paper adapts keys and values of a ViT; here it is every layer that adapters go to, in both
  towers of a dual encoder. The texts that a layer sees are those that it is trained with.
- H is of the first `samples` of a random order of the task's training data, through its Gram matrix
  H H^T, in which padding counts like other tokens.
- Where the inputs have less than r dimensions outside of M, as those of a few short texts may, the
  other rows of A are zero.

peft has no such adapter; its LoRA is what is designed and merged here.

State beside that of merged_lora.py: per layer one basis, [inputs, at most half of them], and A.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.adapters.merged_lora import MergedLora, MergedLoraConfig
from methods.base import State
from methods.data import Stage
from methods.tools.layer_inputs import input_grams, some_batches
from methods.tools.low_rank import lora_layers, lora_parameters


class InfLoraConfig(MergedLoraConfig):
    """Options of `inflora`."""

    energy: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="epsilon: share of the energy of a task's inputs that later tasks leave alone.",
    )
    samples: int = Field(
        default=1000, ge=1, description="Training samples of a task whose inputs are measured."
    )


@dataclass(frozen=True, eq=False)
class Subspace:
    """A subspace of the inputs of a layer, kept as whichever is smaller, it or what is left."""

    basis: Tensor
    """Orthonormal columns: [D, at most D / 2]."""
    is_rest: bool = False
    """Whether they span what is left."""

    @property
    def rest(self) -> Tensor:
        """Orthonormal columns that span what is left: [D, D - dimensions]."""
        return self.basis if self.is_rest else complement(self.basis)

    def grown(self, gram: Tensor, energy: float) -> "Subspace":
        """Returns the smallest extension that holds a share of the trace of a Gram matrix."""
        values, directions = leading(gram, self.rest)
        missing = values.sum() - (1 - energy) * gram.trace()
        # All that do not suffice without one more, if only by the last of them.
        count = int((values.cumsum(0) - values < missing).sum())
        rest = directions[:, count:]
        if 2 * rest.shape[1] <= len(gram):
            return Subspace(rest, is_rest=True)
        return Subspace(complement(rest))


def complement(basis: Tensor) -> Tensor:
    """Returns orthonormal columns spanning all that is orthogonal to [D, K]: [D, D - K]."""
    whole: Tensor = torch.linalg.qr(basis, mode="complete").Q
    return whole[:, basis.shape[1] :]


def leading(gram: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Returns energy and direction of inputs within the span of `rest` [D, R], the largest first.

    Of inputs H that have the Gram matrix H H^T these are the squares of the singular values of H
    projected onto that span, [R], and its left singular vectors, [D, R].
    """
    values, vectors = torch.linalg.eigh(rest.T @ gram @ rest)
    return values.flip(0).clamp(min=0), rest @ vectors.flip(1)


class InfLora(MergedLora):
    """Train B of an adapter per task, with A outside of what earlier tasks' inputs span."""

    Config = InfLoraConfig
    config: InfLoraConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Look up the layers; nothing has been seen yet."""
        super().build()
        self.layers = lora_layers(self.backbone)
        self.factors = {name: layer.lora_A["default"].weight for name, layer in self.layers.items()}
        self.spaces = {
            name: Subspace(a.new_zeros(a.shape[1], 0)) for name, a in self.factors.items()
        }

    def trainable(self) -> list[str]:
        """Returns every B."""
        return [name for name in lora_parameters(self) if ".lora_B." in name]

    @torch.no_grad()
    def before_task(self, stage: Stage) -> None:
        """Design A from what the task's inputs are outside of the subspace."""
        for layer, gram in self.measure(stage).items():
            a = self.factors[layer]
            values, directions = leading(gram, self.spaces[layer].rest)
            # What is below is rounding: Adam would make large steps of it.
            noise = len(gram) * torch.finfo(gram.dtype).eps * gram.trace()
            rows = directions[:, values > noise][:, : len(a)].T / 3**0.5
            a.zero_()[: len(rows)] = rows

    def step_state(self) -> State:
        """Returns every A: on another machine its rows might come with other signs."""
        return dict(self.factors)

    @torch.no_grad()
    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        for layer, a in self.factors.items():
            a.copy_(state[layer])

    @torch.no_grad()
    def after_task(self, stage: Stage) -> None:
        """Merge, and let the subspaces grow by the task's inputs."""
        super().after_task(stage)
        for layer, gram in self.measure(stage).items():
            self.spaces[layer] = self.spaces[layer].grown(gram, self.config.energy)

    def measure(self, stage: Stage) -> State:
        """Returns Gram matrices of the task's inputs to all layers, without dropout."""
        with self.backbone.without_dropout():
            batches = some_batches(stage, self.config.samples)
            return input_grams(self.backbone, self.layers, batches)

    def extra_state(self) -> State:
        """Returns merged weights, every A, and the subspaces."""
        factors = {f"A/{layer}": a for layer, a in self.factors.items()}
        spaces = {
            f"{'rest' if space.is_rest else 'space'}/{layer}": space.basis
            for layer, space in self.spaces.items()
        }
        return super().extra_state() | factors | spaces

    def load_extra_state(self, state: State) -> None:
        """Return to the weights and subspaces of an earlier moment."""
        super().load_extra_state(state)
        for layer, a in self.factors.items():
            a.copy_(state[f"A/{layer}"])
            is_rest = f"rest/{layer}" in state
            basis = state[f"{'rest' if is_rest else 'space'}/{layer}"]
            self.spaces[layer] = Subspace(basis.to(a.device), is_rest)
