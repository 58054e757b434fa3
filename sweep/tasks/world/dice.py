"""Draws random words, numbers and scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from sweep.tasks.world.scans import Part
from sweep.tasks.world.words import Concepts

T = TypeVar("T")


@dataclass(frozen=True)
class Dice:
    """What is left to chance in a scene, and how chance is weighted."""

    random: Random
    rare: float
    """How often a rare word is drawn instead of a common one."""
    said: float = 0.4
    """How often a caption mentions what it could leave out."""
    scans: Part = "train"

    def word(self, concepts: Concepts) -> str:
        """Returns one of the concepts."""
        rare = not concepts.common or (concepts.rare and self.happens(self.rare))
        return self.one_of(concepts.rare if rare else concepts.common)

    def one_of(self, things: Sequence[T]) -> T:
        """Returns any of the things."""
        return things[int(self.random.random() * len(things))]

    def happens(self, probability: float) -> bool:
        """Returns True with this probability."""
        return self.random.random() < probability

    def says(self) -> bool:
        """Returns whether a caption mentions what it could leave out."""
        return self.happens(self.said)

    def between(self, low: float, high: float) -> float:
        """Returns a number from a range."""
        return low + (high - low) * self.random.random()

    def about(self, value: float, spread: float) -> float:
        """Returns a number at most `spread` away from a value."""
        return self.between(value - spread, value + spread)
