"""Draws pictures of several things."""

from itertools import product

from sweep.tasks.world import words
from sweep.tasks.world.backgrounds import sets_off
from sweep.tasks.world.colors import COLORS
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.portraits import Captioned, Look
from sweep.tasks.world.render import Scene, Thing
from sweep.tasks.world.subjects import Subject, shape

_CELLS = tuple(product((-0.64, 0.0, 0.64), repeat=2))
"""Centers of a 3 x 3 grid, in units of half the image."""
_BESIDE = {"left of": (-1, 0), "right of": (1, 0), "above": (0, 1), "below": (0, -1)}


def several(dice: Dice, count: str) -> Captioned:
    """Draws so many things of one shape and color."""
    subject, color = _any_shape(dice), dice.word(words.COLORS)
    cells = dice.random.sample(_CELLS, 2 + words.COUNTS.words.index(count))
    things = tuple(
        _thing(dice, subject, color, dice.about(x, 0.08), dice.about(y, 0.08), 0.22)
        for x, y in cells
    )
    noun = f"{color} things" if dice.says() else "things"
    return Captioned(Scene(_background(dice, color), things), f"a photo of {count} {noun}")


def pair(
    dice: Dice, relation: str, first: str | None = None, second: str | None = None
) -> Captioned:
    """Draws two things in a relation; their colors can be given, and the caption names them."""
    one = first or dice.word(words.COLORS)
    other = second or dice.one_of([color for color in words.COLORS.words if color != one])
    subjects = _any_shape(dice), _any_shape(dice)
    place = _beside if relation in _BESIDE else _nested
    scene = Scene(_background(dice, one, other), place(dice, relation, subjects, (one, other)))
    nouns = [
        Look(subject=subject if dice.says() else None, color=color).caption()
        for subject, color in zip(subjects, (one, other), strict=True)
    ]
    return Captioned(scene, f"a photo of {nouns[0]} {relation} {nouns[1]}")


def _beside(
    dice: Dice, relation: str, subjects: tuple[Subject, Subject], colors: tuple[str, str]
) -> tuple[Thing, ...]:
    """Returns one thing on some side of another, a little off the line."""
    x, y = (dice.about(0.48 * step, 0.1) for step in _BESIDE[relation])
    slip = dice.about(0, 0.1)
    return (
        _thing(dice, subjects[0], colors[0], x, y, 0.34),
        _thing(dice, subjects[1], colors[1], -x + slip, -y + slip, 0.34),
    )


def _nested(
    dice: Dice, relation: str, subjects: tuple[Subject, Subject], colors: tuple[str, str]
) -> tuple[Thing, ...]:
    """Returns a small thing on a big one, which is painted first."""
    x, y = dice.about(0, 0.15), dice.about(0, 0.15)
    inner, outer = (0, 1) if relation == "inside" else (1, 0)
    return (
        _thing(dice, subjects[outer], colors[outer], x, y, 0.78),
        _thing(dice, subjects[inner], colors[inner], x, y, 0.3),
    )


def _any_shape(dice: Dice) -> Subject:
    return shape(dice.word(words.SHAPES))


def _thing(dice: Dice, subject: Subject, color: str, x: float, y: float, radius: float) -> Thing:
    return Thing(
        subject.stencil,
        COLORS[color],
        x=x,
        y=y,
        radius=dice.about(radius, 0.15 * radius),
        angle=dice.about(0, 0.3),
    )


def _background(dice: Dice, *colors: str) -> str:
    """Returns a plain background that sets off all the colors."""
    fit = [tint for tint in words.TINTS.words if all(sets_off(tint, color) for color in colors)]
    return dice.one_of(fit)
