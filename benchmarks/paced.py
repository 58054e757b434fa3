"""A method whose steps take a known time, on machines that others use at the same time too."""

import time

from methods.baselines.finetune import FineTune, FineTuneConfig


class PacedConfig(FineTuneConfig):
    """Options of `Paced`."""

    seconds: float = 0.1
    """That it sleeps after every step."""


class Paced(FineTune):
    """Fine-tune, and rest after every step for much longer than it took."""

    Config = PacedConfig
    config: PacedConfig

    def after_step(self) -> None:
        """Rest."""
        super().after_step()
        time.sleep(self.config.seconds)
