"""Learnt keys and values in attention layers, for methods that prompt a frozen backbone.

A layer with queries Q, keys K and values V of its own input is given prompts P_K, P_V as well:

    prefix       Attn(Q, [P_K; K], [P_V; V])             Li and Liang (ACL 2021, arXiv 2101.00190)
    residual     Attn(Q, K, V) + w Attn(Q, P_K, P_V)     Tang et al. (ECCV 2024), see diki.py

Prompts come after the layer's projections and after rotary positions: they have no place in the
sequence, and every token sees them. Heads that share keys and values share prompts.

How layers come to ask for prompts: attention.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from methods.backbones.base import Backbone
from methods.base import part_of
from methods.prompts.attention import Attention, look_for_prompts


class Prompts(nn.Module, ABC):
    """A number of prompts in each of some layers, of which `prompting` gives samples theirs.

    With only one prompt there is nothing to choose: all samples get it.
    """

    def __init__(self, backbone: Backbone, layers: Sequence[str], count: int) -> None:
        """Put prompts in, all zero.

        Args:
            backbone: Its attention will look for prompts from now on.
            layers: Names of attention layers, as `Backbone.attention` gives them.
            count: How many there are to choose among.

        Raises:
            ValueError: there is no layer, or the backbone's cannot be prompted.
        """
        if not layers:
            raise ValueError("There are too few attention layers to put prompts into.")
        super().__init__()
        self.layers = nn.ModuleList()
        self.held: list[dict[str, Tensor]] = []
        self.prompting = backbone.prompting
        self.prompting.in_texts |= any(backbone.tower(name) == "text" for name in layers)
        for number, name in enumerate(layers):
            layer: Any = backbone.get_submodule(name)
            parts = nn.Module()
            for part, shape in self.shapes(layer).items():
                parts.register_parameter(part, nn.Parameter(torch.zeros(count, *shape)))
            self.layers.append(parts)
            layer.prompted = partial(self._attend, number)
        look_for_prompts(backbone, layers)

    @abstractmethod
    def shapes(self, layer: Any) -> Mapping[str, Sequence[int]]:
        """Returns what one prompt consists of in an attention layer."""

    @abstractmethod
    def join(self, call: Attention, prompts: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        """Returns the output of a layer with prompts: [B, L, H, d].

        Args:
            call: The layer's attention without them.
            prompts: By name, the N prompts of every row of its input: [B, N, ...] (or 1 for B).
            weight: How much prompts count, float [B, 1, 1, 1] (or 1 for B).
        """

    def hold(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Show the prompts of these states (of `state_dict`), numbered in this order.

        They take the place of those that are trained; with no state those are back. What else a
        state has of a layer comes with its prompts.
        """
        device = next(self.parameters()).device
        self.held = []
        for number in range(len(self.layers) if states else 0):
            parts = [part_of(state, f"layers.{number}.") for state in states]
            self.held.append(
                {name: torch.cat([part[name] for part in parts]).to(device) for name in parts[0]}
            )

    def _attend(self, number: int, call: Attention) -> Tensor:
        route = self.prompting.route
        if route is None:
            return call.own()
        rows, weight = len(call.query), route.weight.to(call.query)
        chosen = route.prompts.to(call.query.device)
        if len(route) > 1:
            # Rows that follow one another may be of one sample, as the answers of a fusion model.
            chosen, weight = (
                part.repeat_interleave(rows // len(route), dim=0) for part in (chosen, weight)
            )
        parts = self.held[number] if self.held else dict(self.layers[number].named_parameters())
        prompts = {
            name: part[chosen] if len(part) > 1 else part.unsqueeze(0)
            for name, part in parts.items()
        }
        return self.join(call, prompts, weight.view(-1, 1, 1, 1))


class Pairs(Prompts):
    """Prompts that consist of pairs of a key and a value."""

    def __init__(self, backbone: Backbone, layers: Sequence[str], count: int, length: int) -> None:
        """Put prompts of `length` pairs per layer in, as `Prompts` does."""
        self.length = length
        super().__init__(backbone, layers, count)

    def shapes(self, layer: Any) -> Mapping[str, Sequence[int]]:
        """Returns keys and values of every head: [H', M, d]."""
        heads = layer.k_proj.out_features // layer.head_dim
        return dict.fromkeys(("keys", "values"), (heads, self.length, layer.head_dim))

    @torch.no_grad()
    def draw(self, generator: torch.Generator, keys: float, values: float) -> None:
        """Draw prompts, uniform between plus and minus `keys`, and plus and minus `values`."""
        for name, bound in (("keys", keys), ("values", values)):
            for layer in self.layers:
                part = layer.get_parameter(name)
                part.copy_(bound * (2 * torch.rand(part.shape, generator=generator) - 1))

    def join(self, call: Attention, prompts: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        """Let the layer attend to the pairs of all prompts of a row, one after the other."""
        keys, values = (
            prompts[part]
            .transpose(1, 2)
            .flatten(2, 3)
            .to(call.query.dtype)
            .expand(len(call.query), -1, -1, -1)
            for part in ("keys", "values")
        )
        return self.attend(call, keys, values, weight)

    @abstractmethod
    def attend(self, call: Attention, keys: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Returns a layer's output with the pairs of every row, [B, H', M, d]: [B, L, H, d]."""


class Prefixes(Pairs):
    """Prompts that compete with a layer's own keys; they cannot be weighed."""

    def attend(self, call: Attention, keys: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Returns Attn(Q, [P_K; K], [P_V; V])."""
        mask = call.visible()
        if mask is not None:
            shown = mask.dtype == torch.bool
            mask = pad(mask, (keys.shape[2], 0), value=shown)
        return call.over(
            torch.cat([keys, call.key], dim=2), torch.cat([values, call.value], dim=2), mask
        )


class Residuals(Pairs):
    """Prompts that are attended to by themselves, and added with a weight."""

    def attend(self, call: Attention, keys: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Returns Attn(Q, K, V) + w Attn(Q, P_K, P_V)."""
        return call.own() + weight * call.over(keys, values)


def first_layers(backbone: Backbone, count: int) -> list[str]:
    """Returns the first attention layers that read images, so many.

    Raises:
        ValueError: there are fewer.
    """
    layers = backbone.attention("images")
    if count > len(layers):
        raise ValueError(
            f"There are too few attention layers to put prompts into: {count} are asked for, and "
            f"{len(layers)} read images."
        )
    return layers[:count]


def cosines(queries: Tensor, keys: Tensor) -> Tensor:
    """Returns cosines of image embeddings [B, D] and keys [N, D]: float32 [B, N]."""
    with torch.autocast(queries.device.type, enabled=False):
        return normalize(queries, dim=-1) @ normalize(keys, dim=-1).T
