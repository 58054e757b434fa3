"""Tensors that have shapes and no content: models and methods without weights, and without memory.

They are those of torch's device "meta". What would bring them to another device leaves them there,
so that code which moves tensors can be run; what needs their values raises an error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_META = torch.device("meta")


class _OnOneDevice(TorchFunctionMode):
    """Makes tensors on the device "meta", whichever device is asked for."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.cpu:
            func, args = Tensor.to, (args[0], _META)
        elif func is Tensor.to:
            args = [_META if isinstance(arg, str | torch.device) else arg for arg in args]
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None:
            kwargs["device"] = _META
        return func(*args, **kwargs)


@contextmanager
def without_content() -> Iterator[None]:
    """Inside, all tensors that are made, or moved, have no content.

    >>> with without_content():
    ...     torch.zeros(2, 3).to("cpu", torch.float64)
    tensor(..., device='meta', size=(2, 3), dtype=torch.float64)
    """
    with _META, _OnOneDevice():
        yield
