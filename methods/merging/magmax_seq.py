"""MagMax along the path of sequential fine-tuning, as its paper has it (see magmax.py).

tau_t = theta_t - theta_0 are the weights after each task of the path that `finetune` takes, whose
trainings serve both.
"""

from typing import ClassVar, Literal

from methods.base import DependsOn, Method
from methods.baselines.finetune import FineTune
from methods.merging.magmax import MagMax


class MagMaxSeq(MagMax):
    """Take each weight's largest change of all stops along sequential fine-tuning."""

    depends_on: ClassVar[DependsOn] = "sequence"
    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    reuses_training_of: ClassVar[type[Method] | None] = FineTune
