"""A mixture of small experts beside an MLP of a frozen backbone, with noisy routing.

Shazeer et al., "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer"
(ICLR 2017, arXiv 1701.06538), eq. 3 to 5: of the logits

    h = c W_g + N(0, 1) (softplus(c W_n) + 0.01),    the noise in training only,

the k largest are kept, and their softmax weighs the answers of as many experts.

Left open there and decided here: experts are the bottlenecks of `adapter.py`, times 0.1 (as the
authors of MoE-Adapters have them, whose dropout of 0.1 is left out); all tokens of a sequence get
the same noise, which does not depend on how many workers there are. So do all captions of a step.
"""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import softplus

from methods.adapters.adapter import Bottleneck
from methods.backbones.prompting import Prompting
from methods.base import State
from methods.data import Batch, BatchPart, Stage

_SCALE = 0.1
_LEAST_NOISE = 0.01


class ExpertOptions(BaseModel):
    """Shape of the experts beside one MLP."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    count: int = Field(default=22, ge=1, description="Experts beside every MLP.")
    active: int = Field(
        default=2, ge=1, description="k: experts that answer a token, and that a task freezes."
    )
    width: int = Field(default=64, ge=1, description="Units inside an expert.")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.active > self.count:
            raise ValueError(f"active is {self.active}, but there are only {self.count} experts.")
        return self


class Noise:
    """Normal numbers of a stage: a sample's are the same for any number of workers."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._generator = stage.generator("noise of routers")
        self._texts_differ = False
        """Whether workers read other texts, those of their own samples."""
        self._part: BatchPart | None = None
        self._drawn: list[Tensor] = []
        """Of the layers one after the other, in the first part of a step."""
        self._met = 0
        """Layers that the part at hand has gone through."""

    def state(self) -> State:
        """Returns how far the draws are, between two steps."""
        return {"noise": self._generator.get_state()}

    def load_state(self, state: State) -> None:
        """Take over what `state` gave."""
        self._generator.set_state(state["noise"])

    def begin(self, batch: Batch) -> None:
        """Draw for a step, or go on with what was drawn for its first part."""
        self._texts_differ = not batch.has_classes
        self._part, self._met = batch.part, 0
        if not batch.part or batch.part.is_first:
            self._drawn = []

    def draw(self, rows: int, columns: int, of_samples: bool) -> Tensor:
        """For this worker's samples, or for texts: [rows, columns], or a row for all texts."""
        if not of_samples:
            return self._draw(1 if self._texts_differ else rows, columns)
        mine = self._stage.shard(self._draw(self._stage.batch_size, columns))
        return mine[self._part.start : self._part.stop] if self._part else mine

    def _draw(self, rows: int, columns: int) -> Tensor:
        if self._met == len(self._drawn):
            self._drawn.append(torch.randn(rows, columns, generator=self._generator))
        self._met += 1
        return self._drawn[self._met - 1]


class Mixture(nn.Module):
    """The experts beside one MLP, the router that is trained, and those of tasks learnt."""

    def __init__(
        self, size: int, options: ExpertOptions, prompting: Prompting, *, first: bool, images: bool
    ) -> None:
        """Put nothing anywhere yet: `beside` is a forward hook of the MLP.

        Args:
            size: What the MLP gets and gives per token.
            options: Shape of the experts.
            prompting: Says whose router a row gets.
            first: Whether the first token routes all of its sequence; else each routes itself.
            images: Whether rows are samples of the batch; else they are texts.
        """
        super().__init__()
        self.experts = nn.ModuleList(Bottleneck(size, options.width) for _ in range(options.count))
        self.router = nn.Parameter(torch.zeros(size, options.count))
        self.spread = nn.Parameter(torch.zeros(size, options.count))
        self.active, self.first, self.images = options.active, first, images
        self.prompting = prompting
        self.noise: Noise | None = None
        self.held: Tensor | None = None
        """Routers of the tasks learnt, [tasks, D, E]; None: the one that is trained counts."""
        self.used = torch.zeros(options.count)
        """How often every expert was chosen in training."""

    def draw(self) -> None:
        """Draw new experts, which change nothing yet, from torch's own generator."""
        for expert in self.experts:
            assert isinstance(expert, Bottleneck)
            expert.draw()

    @torch.no_grad()
    def begin(self, noise: Noise, frozen: Tensor) -> None:
        """Train a new router with this noise, and the experts that are not `frozen` (bool [E])."""
        self.router.zero_()
        self.spread.zero_()
        self.noise, self.held = noise, None
        self.used = torch.zeros(len(self.experts), device=self.router.device)
        for expert, done in zip(self.experts, frozen.tolist(), strict=True):
            expert.requires_grad_(not done)

    def hold(self, routers: Sequence[Tensor]) -> None:
        """Show the routers of the tasks learnt, [D, E] each; with none, the one that is trained."""
        self.held = torch.stack(list(routers)) if routers else None

    def beside(self, mlp: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """Returns what the MLP gives together with its experts; None: what it gives alone."""
        route, tokens = self.prompting.route, inputs[0]
        if route is None:
            return None
        # Rows that follow one another may be of one sample, as the answers of a fusion model.
        repeats = len(tokens) // len(route) if len(route) > 1 else 1
        task, weight = (
            part.to(tokens.device).repeat_interleave(repeats, dim=0)
            for part in (route.prompts[:, 0], route.weight)
        )
        gates = self.gates(tokens, task) * weight.view(-1, 1, 1)
        return output + self.mix(tokens, gates).to(output.dtype)

    def gates(self, tokens: Tensor, task: Tensor) -> Tensor:
        """Returns weights of the experts, mostly zero.

        Args:
            tokens: What the MLP reads, [B, L, D].
            task: Number of every row's router, int64 [B], or [1] for all of them.

        Returns:
            float32 [B, L, E], or [B, 1, E] if the first token stands for all.
        """
        # Logits that are rounded are often equal.
        with torch.autocast(tokens.device.type, enabled=False):
            read = (tokens[:, :1] if self.first else tokens).float()
            logits = self._trained(read) if self.held is None else read @ self.held[task]
            best, chosen = logits.topk(self.active, dim=-1)
            gates = torch.zeros_like(logits).scatter(-1, chosen, best.softmax(dim=-1))
        if self.held is None:
            self.used += torch.bincount(chosen.flatten(), minlength=len(self.used))
        return gates

    def _trained(self, read: Tensor) -> Tensor:
        logits = read @ self.router
        if self.noise is None:
            return logits
        noise = self.noise.draw(len(read), len(self.experts), self.images).to(read.device)
        noise = noise.repeat_interleave(len(read) // len(noise), dim=0).unsqueeze(1)
        return logits + noise * (softplus(read @ self.spread) + _LEAST_NOISE)

    def mix(self, tokens: Tensor, gates: Tensor) -> Tensor:
        """Returns the weighted sum of experts for tokens [B, L, D]."""
        rows = tokens.flatten(0, 1)
        weights = gates.expand(len(tokens), tokens.shape[1], -1).flatten(0, 1)
        mixed = torch.zeros_like(rows, dtype=torch.float32)
        for expert, weight in zip(self.experts, weights.T, strict=True):
            asked = weight.nonzero().squeeze(1)
            if len(asked):
                answers = weight[asked].unsqueeze(1) * expert(rows[asked])
                mixed = mixed.index_add(0, asked, _SCALE * answers)
        return mixed.view_as(tokens)
