"""Exponential moving average: what a task leaves behind is a mean that forgets slowly.

The alternative to the weight ensemble in the code of Zheng et al. (ICCV 2023, arXiv 2303.06628;
see weight_ensemble.py). After every step

    mean <- d mean + (1 - d) theta,   mean = theta_{t-1} at first,

so that theta_{t-1} keeps a share of d^n after n steps. The mean becomes theta_t.

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
