"""Methods with faults, named in studies as tests.faulty:Class."""

from methods.data import Stage
from methods.finetune import FineTune


class FailsOnB(FineTune):
    """Cannot learn task b after task a."""

    def before_task(self, stage: Stage) -> None:
        """Fail where the prefix is a, b."""
        if stage.prefix == ("a", "b"):
            raise RuntimeError("b does not go after a")
