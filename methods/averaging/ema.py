"""Exponential moving average: what a task leaves behind is a mean that forgets slowly.

The mean that Tarvainen and Valpola, "Mean teachers are better role models" (NeurIPS 2017, arXiv
1703.01780) teach with, here as the outcome of a task. After every step

    mean <- d mean + (1 - d) theta,   mean = theta_{t-1} at first,

so that theta_{t-1} keeps a share of d^n after n steps. The mean becomes theta_t.

What the code of ZSCL calls a moving average (Zheng et al., ICCV 2023) is something else: it pulls
the model that is trained towards a second one, and keeps no mean.

Left open there and decided here: no correction for the start, because to stay near the start is
what the mean is for. 1 / (1 - d) steps are the mean's memory: choose d by the steps of a task.
"""

from pydantic import Field

from methods.averaging.weight_ensemble import WeightEnsemble, WeightEnsembleConfig
from methods.tools.averages import WeightAverage


class EmaConfig(WeightEnsembleConfig):
    """Options of `ema`."""

    every: int = Field(default=1, ge=1, description="Steps from one update to the next.")
    decay: float = Field(
        default=0.999, ge=0, lt=1, description="Part d of the old mean in the new one."
    )


class Ema(WeightEnsemble):
    """Fine-tune, then take the exponential moving average over the steps."""

    Config = EmaConfig
    config: EmaConfig

    def new_average(self) -> WeightAverage:
        """Returns what weighs a step by its age."""
        return WeightAverage(self.config.every, self.config.decay)
