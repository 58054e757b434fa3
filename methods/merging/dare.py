"""DARE: drop most of what experts learnt, at random, and scale up the rest.

Yu et al., "Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free
Lunch" (ICML 2024, arXiv 2311.03099), section 3.1: with m ~ Bernoulli(p) per entry

    tau_t <- (1 - m) tau_t / (1 - p)

which leaves its mean as it is. Then the vectors are merged, by task arithmetic or by TIES.

Left open there and decided here:
- p is searched from 0.1 to 0.9 in the paper; here it is 0.5.
- The drop takes the place of TIES' trimming, as in peft, and is not done on top of it.
- The mean of TIES is one over what is left, which needs no scaling up: with it the merged vector
  would be 1 / (1 - p) times as long as that of `ties`. The default of `scale` takes it back.
- Which entries are dropped depends on the replicate, the task and the weight alone, so that an
  expert is thinned out alike in every set and order in which it is merged.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTuneConfig
from methods.merging.base import Merging
from methods.merging.task_vectors import MadeOnDemand, TaskVectors
from methods.merging.ties import agreed_mean


class DareConfig(FineTuneConfig):
    """Options of `dare`."""

    drop: float = Field(
        default=0.5, ge=0, lt=1, description="Share p of the entries that is dropped."
    )
    then: Literal["linear", "ties"] = Field(
        default="linear",
        description="How the rest is merged: summed, or the mean of those of the elected sign.",
    )
    scale: float | None = Field(
        default=None,
        gt=0,
        description="lambda: what is merged counts so much. By default 0.3 of a sum, as in "
        "`task_arithmetic`, and 1 - drop of a mean, which is then as long as that of `ties`.",
    )


class Dare(Merging):
    """Drop entries of experts at random, scale up the rest, and merge them."""

    Config = DareConfig
    config: DareConfig

    def merge(self, vectors: TaskVectors) -> MadeOnDemand:
        """Drop, rescale, merge."""
        drop, linear = self.config.drop, self.config.then == "linear"
        scale = self.config.scale or (0.3 if linear else 1 - drop)

        def thinned_out(weight: str, taus: Tensor) -> Tensor:
            thinned = taus.where(vectors.chances(weight, taus) >= drop, 0) / (1 - drop)
            return scale * (thinned.sum(dim=0) if linear else agreed_mean(thinned))

        return vectors.each(thinned_out)
