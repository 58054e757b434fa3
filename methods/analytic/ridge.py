"""Ridge regression on features of many tasks at once, from what each task gives alone.

With inputs z (one row per sample, all tasks together), targets Y and a map phi to more dimensions,
the weights are

    primal  W = (H^T H + lambda I)^-1 H^T Y,   H = phi(Z) = ReLU(Z R),  R random and fixed
    dual    W = (K + lambda I)^-1 Y,           K = phi(Z) = exp(-gamma |z - z'|^2)

and what is predicted for z is phi(z) W. Every class is a column of Y, so that samples of one task
are examples of none of the other tasks' classes. H^T H and H^T Y are sums over tasks, and K takes
the samples of all tasks: neither knows an order. All of it is in float64.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from methods.base import State

_ROWS = 4096
"""Samples that are lifted at once, which bounds memory."""


class Ridge(ABC):
    """A ridge regression in one of its two forms."""

    def __init__(self, ridge: float) -> None:
        self.ridge = ridge

    @abstractmethod
    def lift(self, features: Tensor, points: Tensor) -> Tensor:
        """Returns Phi of features [N, D], given what it is made with: [N, M]."""

    @abstractmethod
    def summarise(self, features: Tensor, targets: Tensor, seed: int) -> State:
        """Returns what of one task has to be kept.

        Args:
            features: float64 [N, D].
            targets: float64 [N, C], one column per class of the task.
            seed: The same for all tasks that are to be solved together.

        Returns:
            `points` and `targets` [M, C], and what else the form needs.
        """

    @abstractmethod
    def equations(
        self, tasks: Sequence[State], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns points [., D], matrix [M, M] and right side [M, sum of C] of all tasks.

        On the device, where no more than one task's matrix is at a time beside the sum.
        """

    def solve(self, tasks: Mapping[str, State], device: torch.device) -> State:
        """Returns the weights for the classes of all tasks.

        Returns:
            `points`, and per task `weights/TASK`: [M, C]. To the last bit they depend on the order
            in which sums are taken, which is that of `tasks`.
        """
        points, matrix, right = self.equations(list(tasks.values()), device)
        matrix.diagonal().add_(self.ridge)
        weights = torch.cholesky_solve(right, torch.linalg.cholesky(matrix))
        columns = torch.split(weights, [part["targets"].shape[1] for part in tasks.values()], dim=1)
        named = zip(tasks, columns, strict=True)
        return {"points": points} | {f"weights/{task}": part for task, part in named}


class Primal(Ridge):
    """As many unknowns per class as `width`, however many samples there are."""

    def __init__(self, ridge: float, width: int) -> None:
        super().__init__(ridge)
        self.width = width

    def lift(self, features: Tensor, points: Tensor) -> Tensor:
        """Returns ReLU(Z R)."""
        return (features @ points).relu()

    def summarise(self, features: Tensor, targets: Tensor, seed: int) -> State:
        """Returns R, H^T H and H^T Y; R is uniform in +-1 / sqrt(D), as in linear layers."""
        rows = features.shape[1]
        draw = torch.Generator().manual_seed(seed)
        uniform = torch.rand(rows, self.width, dtype=torch.float64, generator=draw)
        points = ((2 * uniform - 1) / rows**0.5).to(features.device)
        gram = features.new_zeros(self.width, self.width)
        cross = features.new_zeros(self.width, targets.shape[1])
        for start in range(0, len(features), _ROWS):
            some = slice(start, start + _ROWS)
            lifted = self.lift(features[some], points)
            gram.addmm_(lifted.T, lifted)
            cross.addmm_(lifted.T, targets[some])
        return {"points": points, "gram": gram, "targets": cross}

    def equations(
        self, tasks: Sequence[State], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over tasks; each has its own classes."""
        gram = tasks[0]["gram"].to(device, copy=True)
        for task in tasks[1:]:
            gram += task["gram"].to(device)
        right = torch.cat([task["targets"].to(device) for task in tasks], dim=1)
        return tasks[0]["points"].to(device), gram, right


class Dual(Ridge):
    """As many unknowns per class as there are samples of all tasks."""

    def __init__(self, ridge: float, gamma: float) -> None:
        super().__init__(ridge)
        self.gamma = gamma

    def lift(self, features: Tensor, points: Tensor) -> Tensor:
        """Returns exp(-gamma |z - z'|^2)."""
        return torch.cdist(features, points).square().mul(-self.gamma).exp()

    def summarise(self, features: Tensor, targets: Tensor, seed: int) -> State:
        """Returns the samples themselves."""
        return {"points": features, "targets": targets}

    def equations(
        self, tasks: Sequence[State], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the kernel between all samples; each belongs to classes of its own task only."""
        points = torch.cat([task["points"].to(device) for task in tasks])
        wanted = [task["targets"].to(device) for task in tasks]
        right: Tensor = torch.block_diag(*wanted)  # type: ignore[no-untyped-call]
        return points, self.lift(points, points), right
