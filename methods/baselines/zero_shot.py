"""The untouched backbone: row 0 of every accuracy matrix, and the bar for zero-shot erosion."""

from typing import ClassVar

from methods.backbones.base import Family, Tower
from methods.base import DependsOn, MethodConfig
from methods.baselines.finetune import FineTune


class ZeroShot(FineTune):
    """Never trains, so all its stages are stage 0."""

    depends_on: ClassVar[DependsOn] = "nothing"

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns none."""
        return frozenset()

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """Returns none."""
        return ()

    def trainable(self) -> list[str]:
        """Returns no names: nothing is trained step by step."""
        return []
