"""Means of weights along training, for methods that go back a part of the way they went.

With equal shares the mean after n updates is (theta_0 + theta_1 + ... + theta_n) / (n + 1), where
theta_0 are the weights at the start; with a decay d every update is
mean <- d mean + (1 - d) theta.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from methods.base import State


class WeightAverage:
    """A mean of some weights over the steps of a stage, kept beside them.

    Like a teacher it is no part of the method: it begins anew in every stage, so that there is
    nothing to put into a state.
    """

    def __init__(self, every: int = 1, decay: float | None = None) -> None:
        """Average nothing yet.

        Args:
            every: Only each `every`-th update counts.
            decay: The part of the old mean in the new one; None: all that count weigh the same.
        """
        self._every, self._decay = every, decay
        self._weights: list[Tensor] = []
        self._means: list[Tensor] = []
        self._calls = 0

    @torch.no_grad()
    def start(self, parameters: Iterable[Tensor]) -> None:
        """Begin with what `parameters` are now, which count once."""
        self._weights = list(parameters)
        self._means = [weight.detach().clone() for weight in self._weights]
        self._calls = 0

    def update(self) -> None:
        """Take in the parameters as they are now; to be called after every step."""
        self._calls += 1
        if self._calls % self._every == 0:
            self._take_in(1 + self._calls // self._every)

    def put_back(self) -> None:
        """Turn the parameters into their mean.

        What they were in the end counts, even between two updates that do: else a stage shorter
        than `every` would be lost altogether.
        """
        if self._calls % self._every:
            self._take_in(2 + self._calls // self._every)
        with torch.no_grad():
            for weight, mean in zip(self._weights, self._means, strict=True):
                weight.copy_(mean)

    def state(self) -> State:
        """Returns the means so far, and how many updates there were."""
        means = {f"mean/{i}": mean for i, mean in enumerate(self._means)}
        return means | {"calls": torch.tensor(self._calls)}

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Take over what `state` gave, after `start`."""
        for i, mean in enumerate(self._means):
            mean.copy_(state[f"mean/{i}"])
        self._calls = int(state["calls"])

    @torch.no_grad()
    def _take_in(self, count: int) -> None:
        """Make the weights the last of `count` that the mean is taken over."""
        share = 1 / count if self._decay is None else 1 - self._decay
        for weight, mean in zip(self._weights, self._means, strict=True):
            mean.lerp_(weight, share)
