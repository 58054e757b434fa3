"""Methods with faults, named in studies as tests.faulty:Class."""

from methods.baselines.finetune import FineTune
from methods.data import Stage


class FailsOnB(FineTune):
    """Cannot learn task b after task a."""

    def before_task(self, stage: Stage) -> None:
        """Fail where the prefix is a, b."""
        if stage.prefix == ("a", "b"):
            raise RuntimeError("b does not go after a")
