"""A model to learn from: what the backbone was at some moment."""

from copy import deepcopy

from methods.backbones.base import Backbone


class Teacher:
    """A frozen copy of a backbone.

    It is no part of the student: out of reach of the optimiser, of `state()` and of data
    parallelism. It is in evaluation mode, so that it knows each choice by the mean over all
    templates.
    """

    def __init__(self) -> None:
        self._copy: Backbone | None = None

    def follow(self, backbone: Backbone) -> None:
        """Become what `backbone` is now."""
        if self._copy is None:
            self._copy = deepcopy(backbone).eval().requires_grad_(False)
        else:
            self._copy.load_state_dict(backbone.state_dict())

    @property
    def backbone(self) -> Backbone:
        """The copy; only after `follow`."""
        assert self._copy is not None
        return self._copy
