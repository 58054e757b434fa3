"""Gaussian densities of a task's frozen image features, to tell whose an image is.

p_t(z) = N(z; mu_t, Sigma_t + epsilon I), with the mean and covariance over the task's training
images of z, the untouched backbone's L2-normalised image embedding. Sums and densities are in
float64: embeddings lie on a sphere, so that covariances are nearly singular.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from methods.backbones.base import Backbone
from methods.base import State
from methods.data import Stage
from methods.parallel import sum_over_workers
from methods.tools.image_features import training_batches


@torch.no_grad()
def moments(backbone: Backbone, stage: Stage) -> State:
    """Returns mean [D] and covariance [D, D] of the stage's task in float64, over all workers."""
    data, width = stage.tasks[stage.task], backbone.width
    sums = torch.zeros(width, dtype=torch.float64, device=backbone.device)
    products = torch.zeros(width, width, dtype=torch.float64, device=backbone.device)
    for batch in training_batches(stage):
        features = backbone.query(batch.pixels).double()
        sums += features.sum(dim=0)
        products += features.T @ features
    sum_over_workers([sums, products])
    mean = sums / len(data)
    spread = products - len(data) * mean.outer(mean)
    return {"mean": mean, "covariance": spread / max(1, len(data) - 1)}


class Densities:
    """The Gaussians of some tasks."""

    def __init__(
        self, tasks: Sequence[Mapping[str, Tensor]], epsilon: float, device: torch.device
    ) -> None:
        """Take the `moments` of every task."""
        mean, covariance = (
            torch.stack([task[name] for task in tasks]).to(device, torch.float64)
            for name in ("mean", "covariance")
        )
        ridge = epsilon * torch.eye(mean.shape[1], dtype=torch.float64, device=device)
        self._normal = MultivariateNormal(mean, covariance + ridge)

    def exceeded_by(self, share: float) -> Tensor:
        """Returns the log density that a share of each task's images exceeds: float64 [T].

        In D dimensions -2 log(p(z) / p(mu)) follows a chi-squared distribution with D degrees of
        freedom, if z is Gaussian; embeddings are so only roughly.
        """
        from scipy.stats import chi2  # slow to import

        peak: Tensor = self._normal.log_prob(self._normal.mean)  # type: ignore[no-untyped-call]
        return peak - chi2.ppf(share, self._normal.event_shape[0]) / 2

    def __call__(self, features: Tensor) -> Tensor:
        """Returns log densities of image embeddings [B, D]: float64 [B, T]."""
        densities: Tensor = self._normal.log_prob(features.double().unsqueeze(1))  # type: ignore[no-untyped-call]
        return densities
