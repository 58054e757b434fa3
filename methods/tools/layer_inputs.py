"""What linear layers get to see of a task: for methods that learn where inputs are not."""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from methods.backbones.base import Backbone
from methods.base import State
from methods.data import Batch, Stage
from methods.parallel import sum_over_workers


def some_batches(stage: Stage, samples: int) -> Iterator[Batch]:
    """This worker's batches of the first `samples` of a random order of the task's training data.

    Whole batches are shared out, so that their padding does not depend on the workers.
    """
    data = stage.tasks[stage.task]
    order = torch.randperm(len(data), generator=stage.generator("features"))
    batches = torch.split(order[:samples], stage.batch_size)
    return (data.batch(ids) for ids in batches[stage.rank :: stage.world_size])


@torch.no_grad()
def input_grams(backbone: Backbone, layers: Iterable[str], batches: Iterable[Batch]) -> State:
    """Returns X^T X per linear layer, X being its inputs (a row per token) over all workers.

    Returns:
        By name of the layer: float32 [D, D], on the backbone's device.
    """
    modules = {layer: backbone.get_submodule(layer) for layer in layers}
    grams = {
        layer: torch.zeros(2 * (cast(nn.Linear, module).in_features,), device=backbone.device)
        for layer, module in modules.items()
    }
    hooks = [_sum_inputs(module, grams[layer]) for layer, module in modules.items()]
    try:
        for batch in batches:
            backbone.loss(batch)
    finally:
        for hook in hooks:
            hook.remove()
    sum_over_workers(grams.values())
    return grams


def layers_by_tensor(tensors: State) -> list[tuple[list[str], Tensor]]:
    """Returns layers by their tensor: what is computed of the inputs of layers that read the same.

    >>> one, other = torch.eye(2), torch.zeros(2, 2)
    >>> [layers for layers, _ in layers_by_tensor({"q": one, "k": one.clone(), "mlp": other})]
    [['q', 'k'], ['mlp']]
    """
    found: list[tuple[list[str], Tensor]] = []
    for layer, tensor in tensors.items():
        for layers, known in found:
            if known is tensor or _equal(known, tensor):
                layers.append(layer)
                break
        else:
            found.append(([layer], tensor))
    return found


def _equal(one: Tensor, other: Tensor) -> bool:
    same_shape = one.shape == other.shape
    return same_shape and torch.equal(one[:1], other[:1]) and torch.equal(one, other)


def _sum_inputs(layer: nn.Module, gram: Tensor) -> RemovableHandle:
    """From now on add x^T x to `gram` for all inputs x of a layer."""

    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2).float()
        gram.addmm_(rows.T, rows)

    return layer.register_forward_pre_hook(add)
