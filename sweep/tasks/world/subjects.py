"""Defines what a picture can show."""

import math
from dataclasses import dataclass

import numpy as np

from sweep.tasks.world.dice import Dice
from sweep.tasks.world.scans import scans
from sweep.tasks.world.stencils import blobs, letters, shapes

Size = str | None
"""A word for the size; None: neither small nor big."""

_EIGHTHS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
"""Directions counter-clockwise, in steps of an eighth of a turn."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A noun and what it looks like."""

    noun: str
    stencil: np.ndarray
    sizes: tuple[Size, ...] = ("small", None, "big")
    """Sizes in which it can be recognised."""
    angle: float = 0.0
    is_thin: bool = False
    """Too thin for a texture to show."""


def shape(name: str) -> Subject:
    """Returns a shape."""
    return Subject(name, shapes()[name])


def blob(name: str) -> Subject:
    """Returns an invented thing with an invented name."""
    return Subject(name, blobs()[name])


def letter(name: str) -> Subject:
    """Returns a capital letter."""
    return Subject(f"letter {name}", letters()[name], (None, "big"), is_thin=True)


def arrow(direction: str) -> Subject:
    """Returns an arrow that points somewhere."""
    angle = _EIGHTHS.index(direction) * math.pi / 4
    return Subject(f"arrow pointing {direction}", shapes()["arrow"], (None, "big"), angle)


def handwritten(digit: str, dice: Dice) -> Subject:
    """Returns one of the scans of a digit."""
    scan = dice.one_of(scans(dice.scans)[digit])
    return Subject(f"handwritten {digit}", scan, ("big",), is_thin=True)
