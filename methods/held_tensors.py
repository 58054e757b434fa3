"""How the tensors of a method are checked and held: in full precision, or in a file."""

from collections.abc import Iterable
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor, nn

_SMALL = 2**26
"""Bytes of a state that is not worth a file."""


def tensors_of(given: object, source: str) -> dict[str, Tensor]:
    """Returns what a method gave as its state, or as part of it.

    Args:
        given: What it returned.
        source: What returned it, as in "Mine.extra_state()".

    Raises:
        TypeError: it is something else than tensors by name.

    >>> tensors_of({"count": 3}, "Mine.extra_state()")
    Traceback (most recent call last):
    ...
    TypeError: Mine.extra_state() returned an int as 'count'; it has to return a dictionary ...
    """
    what = _a(given)
    if isinstance(given, dict):
        wrong = {name: one for name, one in given.items() if not isinstance(one, Tensor)}
        unnamed = [name for name in given if not isinstance(name, str)]
        if not wrong and not unnamed:
            return given
        name, one = next(iter(wrong.items()), (None, None))
        what = f"{_a(one)} as {name!r}" if wrong else f"{_a(unnamed[0])} as a name"
    raise TypeError(
        f"{source} returned {what}; it has to return a dictionary of tensors by their names "
        f"(torch.tensor(3) for a number)"
    )


def _a(one: object) -> str:
    kind = type(one).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def hold_exactly(model: nn.Module, names: Iterable[str]) -> None:
    """Keep some parameters in single precision at least, in which small updates are not lost."""
    parameters = dict(model.named_parameters())
    for name in names:
        if torch.finfo(parameters[name].dtype).bits < 32:
            parameters[name].data = parameters[name].data.float()


def on_disk(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the same tensors in a file that only this process has, and that ends with it.

    The system reads them from there when they are used, and memory is free for others. Small
    states stay in memory, and so do those for which the disk has no room.
    """
    if sum(tensor.nbytes for tensor in state.values() if not tensor.is_meta) < _SMALL:
        return state
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    try:
        with NamedTemporaryFile(suffix=".safetensors") as file:
            save_file(state, file.name)
            mapped: dict[str, Tensor] = load_file(file.name)
            return mapped
    except (OSError, SafetensorError):
        return state
