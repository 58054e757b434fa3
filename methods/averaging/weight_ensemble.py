"""Weight ensemble: what a task leaves behind is the mean of the weights along its training.

The WE of Zheng et al., "Preventing Zero-Shot Transfer Degradation in Continual Learning of
Vision-Language Models" (ICCV 2023, arXiv 2303.06628), without its distillation: every I steps

    mean <- n / (n + 1) mean + 1 / (n + 1) theta,   n = 1, 2, ...,   mean = theta_{t-1} at first.

The mean is evaluated, and the next task starts from it.

In the authors' code the first member after the start is that of the very first step, which at the
beginning of a warm-up is the start once more: twelve members in 1001 steps, of which the start is
nearly two. Here it is one of eleven.

Left open there and decided here: the last step counts even where the number of steps is no multiple
of I; of an adapter the two factors are averaged, not their product.
"""

from typing import ClassVar

from pydantic import Field

from methods.base import State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage
from methods.tools.averages import WeightAverage


class WeightEnsembleConfig(FineTuneConfig):
    """Options of `weight_ensemble`."""

    every: int = Field(default=100, ge=1, description="Steps from one ensemble member to the next.")


class WeightEnsemble(FineTune):
    """Fine-tune, then take the mean over the start and every k-th step."""

    Config = WeightEnsembleConfig
    config: WeightEnsembleConfig
    resumable: ClassVar[bool] = True

    def build(self) -> None:
        """Get ready to average."""
        super().build()
        self.average = self.new_average()

    def new_average(self) -> WeightAverage:
        """Returns what weighs the steps against one another."""
        return WeightAverage(self.config.every)

    def before_task(self, stage: Stage) -> None:
        """Take the weights at the start as the first member."""
        self.average.start(weight for weight in self.parameters() if weight.requires_grad)

    def after_step(self) -> None:
        """Let every k-th step count."""
        self.average.update()

    def step_state(self) -> State:
        """Returns the mean so far."""
        return self.average.state()

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.average.load_state(state)

    def after_task(self, stage: Stage) -> None:
        """Become the mean."""
        self.average.put_back()
