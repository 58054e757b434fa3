"""A model to learn from: what the backbone was at some moment."""

from copy import deepcopy

import torch

from methods.backbones.base import Backbone


class Teacher:
    """A frozen copy of a backbone, which shares with it all weights that are not trained.

    It is no part of the student: out of reach of the optimiser, of `state()` and of data
    parallelism. It is in evaluation mode, so that it knows each choice by the mean over all
    templates.
    """

    def __init__(self) -> None:
        self._copy: Backbone | None = None

    @torch.no_grad()
    def follow(self, backbone: Backbone) -> None:
        """Become what `backbone` is now; until the next call, only weights in training change."""
        if self._copy is None:
            shared = {
                id(weight): weight for weight in backbone.parameters() if not weight.requires_grad
            }
            self._copy = deepcopy(backbone, memo=shared).eval().requires_grad_(False)
            return
        held = self._copy.state_dict()
        for name, tensor in backbone.state_dict().items():
            if held[name].data_ptr() != tensor.data_ptr():
                held[name].copy_(tensor)

    @property
    def backbone(self) -> Backbone:
        """The copy; only after `follow`."""
        assert self._copy is not None
        return self._copy
