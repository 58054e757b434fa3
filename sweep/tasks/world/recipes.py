"""Defines the question of every task and suite, and how to draw a picture for an answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sweep.tasks.world import words
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.groups import pair, several
from sweep.tasks.world.portraits import Captioned, Look, portrait
from sweep.tasks.world.subjects import arrow, blob, handwritten, letter, shape
from sweep.tasks.world.words import Concepts

Draw = Callable[[Dice, str], Captioned]
"""A picture for which the given answer is right."""


@dataclass(frozen=True)
class Recipe:
    """A question about pictures with an answer for each."""

    answers: Concepts
    template: str
    question: str
    draw: Draw


def _photo(look: Callable[[str], Look]) -> Draw:
    """Returns what draws photos of one thing, whose answer is some part of their look."""
    return lambda dice, word: portrait(dice, replace(look(word), style="photo"))


def _handwritten(dice: Dice, word: str) -> Captioned:
    return portrait(dice, Look(subject=handwritten(word, dice), style="photo"))


def _colored_shape(word: str) -> Look:
    color, name = word.split()
    return Look(subject=shape(name), color=color)


TASKS = {
    "shapes": Recipe(
        words.SHAPES,
        "a photo of a {}",
        "What shape is this?",
        _photo(lambda word: Look(subject=shape(word))),
    ),
    "colors": Recipe(
        words.COLORS,
        "a photo of a {} thing",
        "What color is the thing?",
        _photo(lambda word: Look(color=word)),
    ),
    "textures": Recipe(
        words.TEXTURES,
        "a photo of a {} thing",
        "What texture does the thing have?",
        _photo(lambda word: Look(texture=word)),
    ),
    "counting": Recipe(words.COUNTS, "a photo of {} things", "How many things are there?", several),
    "letters": Recipe(
        words.LETTERS,
        "a photo of a letter {}",
        "Which letter is this?",
        _photo(lambda word: Look(subject=letter(word))),
    ),
    "handwritten": Recipe(
        words.DIGITS, "a photo of a handwritten {}", "Which digit is this?", _handwritten
    ),
    "relations": Recipe(
        words.RELATIONS,
        "a photo of a red thing {} a blue thing",
        "Where is the red thing, seen from the blue thing?",
        lambda dice, word: pair(dice, word, "red", "blue"),
    ),
    "scenes": Recipe(
        words.SCENES,
        "a photo of a thing in the {}",
        "Where is the thing?",
        _photo(lambda word: Look(background=word)),
    ),
    "sketches": Recipe(
        words.SHAPES,
        "a sketch of a {}",
        "What does the sketch show?",
        lambda dice, word: portrait(dice, Look(subject=shape(word), style="sketch")),
    ),
    "arrows": Recipe(
        words.DIRECTIONS,
        "a photo of an arrow pointing {}",
        "Which way does the arrow point?",
        _photo(lambda word: Look(subject=arrow(word))),
    ),
    "positions": Recipe(
        words.PLACES,
        "a photo of a thing at the {}",
        "Where in the picture is the thing?",
        _photo(lambda word: Look(place=word)),
    ),
}
"""The main tasks."""

BLOBS = Recipe(
    words.BLOBS,
    "a photo of a {}",
    "What is this called?",
    _photo(lambda word: Look(subject=blob(word))),
)
"""Words that pretraining never uses, for things that it never shows."""

SUITES = {
    "background": Recipe(
        words.TINTS,
        "a photo of a thing on a {} background",
        "What color is the background?",
        _photo(lambda word: Look(background=word)),
    ),
    "composition": Recipe(
        Concepts(
            tuple(f"{c} {s}" for c in words.COLORS.common[:4] for s in words.SHAPES.common[:4])
        ),
        "a photo of a {}",
        "What is this?",
        _photo(_colored_shape),
    ),
    "size": Recipe(
        words.SIZES,
        "a photo of a {} thing",
        "How big is the thing?",
        _photo(lambda word: Look(size=word)),
    ),
    "style": Recipe(
        words.STYLES,
        "a {} of a thing",
        "What kind of picture is this?",
        lambda dice, word: portrait(dice, Look(style=word)),
    ),
}
"""Held-out suites, about what no task asks for."""
