"""Prefixes that every token weighs by itself, and an adapter for what they cannot give.

A layer that reads x [L, D] has M prefixes in each of h heads, with a direction a_m in the space of
its inputs, an offset b_m and a value p_m per head and prefix, and an adapter W_up W_down:

    s_m = x a_m + b_m,      c = max(1, sum_m sigmoid(s_m)),      g_m = sigmoid(s_m) / c
    out = Attn(Q, K, V) + w ( sum_m g_m p_m + 0.05 (c - 1) (W_up W_down x + b_up) )

with the heads' parts side by side. Gates do not compete, as weights of attention do: a token that
no prefix fits is left alone, and only one that fits several opens the adapter.

Before training a are the leading left singular vectors of W_q^T W_k, in which the layer compares
its inputs; p the leading left ones of W_v, times the mean length of its columns, cut into heads;
W_down the leading right ones of W_v, which stay as they are. b shuts the gates nearly, and W_up is
drawn. Signs of singular vectors are set, so that machines that round differently start alike.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from methods.backbones.base import Backbone
from methods.base import State
from methods.data import Stage
from methods.parallel import sum_over_workers
from methods.prompts.attention import Attention
from methods.prompts.base import Prompts
from methods.tools.image_features import training_batches

SHUT = {"images": -4.0, "texts": -2.0}
"""b at the start: in layers that read images, and in those that read texts alone."""
SCALE = 0.05
"""Of what the adapter adds."""
_LEAST_VARIANCE = 1e-6


class GatedPrefixes(Prompts):
    """The prefixes of one task, with gates and adapters; those of several can be held."""

    def __init__(
        self, backbone: Backbone, layers: Sequence[str], length: int, heads: int | None, width: int
    ) -> None:
        """Put prefixes in as they are before training, but for what `draw` draws.

        Args:
            backbone: Its attention will look for prompts from now on.
            layers: Names of attention layers, as `Backbone.attention` gives them.
            length: Prefixes M per head.
            heads: Heads h of prefixes in a layer; None: as many as its attention has.
            width: Rows of W_down; never more than W_v has ranks.

        Raises:
            ValueError: a layer's outputs cannot be divided among so many heads.
        """
        self.length, self.heads, self.width = length, heads, width
        super().__init__(backbone, layers, count=1)
        images, texts = (set(backbone.attention(reading)) for reading in ("images", "texts"))
        self.numbers: dict[Any, int] = {}
        self.inputs: dict[int, Tensor] = {}
        self.sums: dict[int, Tensor] = {}
        """Of s at the first token and of its square, [2, h, M], while they are measured."""
        self.measured = [n for n, name in enumerate(layers) if name in images - texts]
        """Layers that read images alone."""
        for number, name in enumerate(layers):
            layer: Any = backbone.get_submodule(name)
            layer.register_forward_pre_hook(partial(self._keep_input, number), with_kwargs=True)
            self.numbers[layer] = number
            self._start(number, layer, SHUT["images" if name in images else "texts"])

    def shapes(self, layer: Any) -> Mapping[str, Sequence[int]]:
        """Returns directions, offsets and values per head; the adapter's second half."""
        inputs, outputs = layer.q_proj.in_features, layer.q_proj.out_features
        heads = self.heads or outputs // layer.head_dim
        if outputs % heads:
            raise ValueError(f"{heads} heads cannot divide a layer's {outputs} outputs.")
        return {
            "directions": (heads, inputs, self.length),
            "offsets": (heads, 1, self.length),
            "values": (heads, self.length, outputs // heads),
            "up": (min(self.width, inputs, layer.v_proj.out_features), outputs),
            "up_bias": (1, outputs),
        }

    @torch.no_grad()
    def _start(self, number: int, layer: Any, shut: float) -> None:
        """Shut gates nearly, and take directions and values from the layer's own weights."""
        part = dict(self.layers[number].named_parameters())
        query, key, value = (
            _of_all_heads(projection.weight, layer)
            for projection in (layer.q_proj, layer.k_proj, layer.v_proj)
        )
        _, heads, inputs, length = part["directions"].shape
        compared, _ = _leading(query.T @ key)
        # With more prefixes than the product has ranks, directions serve again.
        ranks = min(inputs, layer.k_proj.out_features)
        columns = compared[:, torch.arange(heads * length) % ranks]
        part["directions"].copy_(columns.view(inputs, heads, length).transpose(0, 1))
        part["offsets"].fill_(shut)
        left, right = _leading(value)
        ranks = min(inputs, layer.v_proj.out_features)
        values = left[:, torch.arange(length) % ranks].T * value.norm(dim=0).mean()
        part["values"].copy_(values.view(length, heads, -1).transpose(0, 1))
        self.register_buffer(f"down{number}", right[:, : part["up"].shape[1]], persistent=False)

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw W_up, normal with standard deviation 0.02."""
        for layer in self.layers:
            up = layer.get_parameter("up")
            up.copy_(0.02 * torch.randn(up.shape, generator=generator))

    def join(self, call: Attention, prompts: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        """Returns Attn(Q, K, V) + w (what the gates let through, and the adapter)."""
        number = self.numbers[call.layer]
        x, own = self.inputs.pop(number), call.own()
        part = {name: tensor[:, 0] for name, tensor in prompts.items()}
        scores = torch.einsum("bld,bhdm->bhlm", x, part["directions"]) + part["offsets"]
        gates = scores.float().sigmoid()
        most = gates.sum(dim=-1, keepdim=True).clamp(min=1)
        gates = gates / most
        if number in self.sums:
            first = scores[:, :, 0].double()
            self.sums[number] += torch.stack([first, first.square()]).sum(dim=1)
        if "mean" in part:
            gates = gates * self._trusted(gates, scores, part, weight)
        given = torch.einsum("bhlm,bhmv->blhv", gates, part["values"])
        low = x @ self.get_buffer(f"down{number}").to(x.dtype)
        adapted = torch.einsum("blr,brv->blv", low, part["up"]) + part["up_bias"]
        spare = (most - 1).transpose(1, 2)
        given = given + SCALE * spare * adapted.view_as(given)
        joined: Tensor = own + weight * given.reshape(own.shape).to(own.dtype)
        return joined

    def _trusted(
        self, gates: Tensor, scores: Tensor, part: Mapping[str, Tensor], weight: Tensor
    ) -> Tensor:
        """Returns which gates stay open, all for images surely of their task: [B, h, L, M]."""
        normal = Normal(part["mean"], part["variance"].sqrt())
        likely: Tensor = normal.log_prob(scores[:, :, 0].float())  # type: ignore[no-untyped-call]
        doubt = 1 - likely.sigmoid().unsqueeze(2)
        return (weight >= part["sure"].view(-1, 1, 1, 1)) | (gates > doubt)

    @torch.no_grad()
    def measure(self, backbone: Backbone, stage: Stage, sure: Tensor) -> State:
        """Returns mean and variance of s at the first token of training images, by layer.

        Args:
            backbone: With prefixes that have learnt the task.
            stage: Of that task.
            sure: The least weight of an image that is surely of it: one number, kept beside.
        """
        for number in self.measured:
            _, heads, _, length = self.layers[number].get_parameter("offsets").shape
            self.sums[number] = torch.zeros(
                2, heads, length, dtype=torch.float64, device=backbone.device
            )
        for batch in training_batches(stage):
            backbone.embed_images(batch.pixels)
        sums, self.sums = self.sums, {}
        count = len(stage.tasks[stage.task])
        sum_over_workers(list(sums.values()))
        found: State = {}
        for number, (total, squares) in sums.items():
            mean = total / count
            variance = (squares / count - mean.square()).clamp(min=_LEAST_VARIANCE)
            for name, tensor in (("mean", mean), ("variance", variance), ("sure", sure)):
                found[f"layers.{number}.{name}"] = tensor.float().unsqueeze(0)
        return found

    def _keep_input(
        self, number: int, layer: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> None:
        if self.prompting.route is not None:
            self.inputs[number] = arguments[0] if arguments else named["hidden_states"]


def _of_all_heads(weight: Tensor, layer: Any) -> Tensor:
    """Returns a projection [H' d, D] with a part for every head of queries: float32 [H d, D]."""
    groups = layer.q_proj.out_features // len(weight)
    heads = weight.float().view(-1, layer.head_dim, weight.shape[1])
    return heads.repeat_interleave(groups, dim=0).flatten(0, 1)


def _leading(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns left and right singular vectors as columns, the leading ones first.

    Their signs are free; those that make the largest entry on the left positive are the same on
    every machine.
    """
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    largest = left.gather(0, left.abs().argmax(dim=0, keepdim=True))
    return left * largest.sign(), right.T * largest.sign()
