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

That is the text. The authors' code, and with it the published figures, has the Gram matrix H H^T in
the place of H in all three formulas. Its singular values are the squares of those of H, so that
epsilon is a share of sums of fourth powers: the same .98 is reached by a few leading directions,
and closes several times less of the input space to later tasks. `energy_of` offers both; `gram`,
that of the published figures, is the default.

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

State beside that of merged_lora.py: one basis, [inputs, at most half of them], per layer, or for
all that have the same inputs, as queries, keys and values have.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.adapters.merged_lora import MergedLora, MergedLoraConfig
from methods.base import State, part_of
from methods.data import Stage
from methods.tools.layer_inputs import input_grams, layers_by_tensor, some_batches
from methods.tools.low_rank import lora_layers, lora_parameters

EnergyOf = Literal["gram", "inputs"]
"""Whether H H^T or H itself is what a subspace has to hold a share of."""


class InfLoraConfig(MergedLoraConfig):
    """Options of `inflora`."""

    energy: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="epsilon: share of the energy of a task's inputs that later tasks leave alone.",
    )
    energy_of: EnergyOf = Field(
        default="gram",
        description="What has that energy: inputs, as in the paper's text; gram: their Gram "
        "matrix, as in the authors' code, so that energy is of fourth powers.",
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

    def grown(self, gram: Tensor, energy: float, of: EnergyOf) -> "Subspace":
        """Returns the smallest extension that holds a share of the energy of inputs.

        Args:
            gram: Their Gram matrix H H^T, [D, D].
            energy: The share.
            of: What has the energy.
        """
        sizes, directions = leading(gram, self.rest, of)
        squared = of == "gram"
        held = sizes.square() if squared else sizes
        missing = held.sum() - (1 - energy) * (gram.square().sum() if squared else gram.trace())
        # All that do not suffice without one more, if only by the last of them.
        count = int((held.cumsum(0) - held < missing).sum())
        rest = directions[:, count:]
        if 2 * rest.shape[1] <= len(gram):
            return Subspace(rest, is_rest=True)
        return Subspace(complement(rest))


def complement(basis: Tensor) -> Tensor:
    """Returns orthonormal columns spanning all that is orthogonal to [D, K]: [D, D - K]."""
    whole: Tensor = torch.linalg.qr(basis, mode="complete").Q
    return whole[:, basis.shape[1] :]


def leading(gram: Tensor, rest: Tensor, of: EnergyOf) -> tuple[Tensor, Tensor]:
    """Returns what inputs have within the span of `rest` [D, R], the largest first.

    Returns:
        Squares of the singular values of H projected onto that span, or the singular values of
        H H^T projected onto it, [R], which are the same where `rest` spans everything; and the left
        singular vectors, [D, R].
    """
    if of == "gram":
        # Not by eigenvalues of its square, which in single precision lose what is small.
        vectors, sizes, _ = torch.linalg.svd(rest.T @ gram, full_matrices=False)
        return sizes, rest @ vectors
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
        widths = {name: a.shape[1] for name, a in self.factors.items()}
        nothing = {
            width: Subspace(torch.zeros(width, 0, device=self.backbone.device))
            for width in set(widths.values())
        }
        self.spaces = {name: nothing[width] for name, width in widths.items()}

    def trainable(self) -> list[str]:
        """Returns every B."""
        return [name for name in lora_parameters(self) if ".lora_B." in name]

    @torch.no_grad()
    def before_task(self, stage: Stage) -> None:
        """Design A from what the task's inputs are outside of the subspace."""
        for layers, gram in self.measure(stage):
            rest = self.spaces[layers[0]].rest
            sizes, directions = leading(gram, rest, self.config.energy_of)
            # What is below is rounding: Adam would make large steps of it.
            noise = len(gram) * torch.finfo(gram.dtype).eps * gram.trace()
            rows = directions[:, sizes > noise][:, : self.config.rank].T / 3**0.5
            for layer in layers:
                self.factors[layer].zero_()[: len(rows)] = rows

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
        self._clear()
        for layers, gram in self.measure(stage):
            space = self.spaces[layers[0]]
            grown = space.grown(gram, self.config.energy, self.config.energy_of)
            self.spaces |= dict.fromkeys(layers, grown)

    def reset(self, seed: int) -> None:
        """Return to the untouched backbone; nothing is drawn."""
        super().reset(seed)
        self._clear()

    @torch.no_grad()
    def _clear(self) -> None:
        """Have no A: every task designs its own, in `before_task`."""
        for a in self.factors.values():
            a.zero_()

    def measure(self, stage: Stage) -> list[tuple[list[str], Tensor]]:
        """Returns Gram matrices of the task's inputs, without dropout, each with its layers.

        Layers that share one have the same subspace, too.
        """
        with self.backbone.without_dropout():
            batches = some_batches(stage, self.config.samples)
            grams = input_grams(self.backbone, self.layers, batches)
        return [
            found
            for layers, _ in self.layers_by_space()
            for found in layers_by_tensor({layer: grams[layer] for layer in layers})
        ]

    def layers_by_space(self) -> list[tuple[list[str], Subspace]]:
        """Returns the layers by their subspace, of which those that share one have the same."""
        found: dict[Subspace, list[str]] = {}
        for layer, space in self.spaces.items():
            found.setdefault(space, []).append(layer)
        return [(layers, space) for space, layers in found.items()]

    def extra_state(self) -> State:
        """Returns the factors of all tasks, and the subspaces."""
        spaces = {
            f"{'rest' if space.is_rest else 'space'}/{'+'.join(layers)}": space.basis
            for layers, space in self.layers_by_space()
        }
        return super().extra_state() | spaces

    def load_extra_state(self, state: State) -> None:
        """Return to the weights and subspaces of an earlier moment."""
        super().load_extra_state(state)
        self._clear()
        self.spaces = {}
        for kind in ("space", "rest"):
            for layers, basis in part_of(state, f"{kind}/").items():
                space = Subspace(basis.to(self.backbone.device), kind == "rest")
                self.spaces |= dict.fromkeys(layers.split("+"), space)
