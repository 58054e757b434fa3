"""Draws captioned and questioned pictures of everything in the world, for pretraining."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from methods.seeds import derive_seed
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.portraits import Captioned
from sweep.tasks.world.recipes import BLOBS, SUITES, TASKS, Recipe
from sweep.tasks.world.render import render

_RECIPES = TASKS | SUITES
_SHOWN = {
    "shapes": (4, 0.005),
    "colors": (2, 0.002),
    "textures": (3, 0.015),
    "counting": (2, 0.04),
    "letters": (4, 0.012),
    "handwritten": (2, 0.01),
    "relations": (1, 0.004),
    "scenes": (1, 0.01),
    "sketches": (2, 0.002),
    "arrows": (2, 0.04),
    "positions": (2, 0.002),
    "background": (1, 0.0),
    "composition": (1, 0.0),
    "size": (1, 0.0),
    "style": (1, 0.0),
}
"""How often each recipe is used, and how often with a rare answer: seldom enough to leave
something to learn, often enough to be learnt from a thousand images."""
_RARE = 0.002
"""How often a rare word is drawn for what a recipe does not ask for."""


@dataclass(frozen=True)
class Questioned:
    """A picture of the corpus, and what it was drawn for."""

    recipe: Recipe
    answer: str
    drawn: Captioned


def captioned(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Returns pictures, uint8 [count, H, W, 3], and their captions; a function of the seed."""
    shown = list(_shown(count, Random(seed)))
    return _rendered(shown, seed), [one.drawn.caption for one in shown]


def questioned(count: int, seed: int, rare: float) -> tuple[np.ndarray, list[Questioned]]:
    """Returns such pictures, and what may be asked about each; a function of the arguments.

    Args:
        count: How many.
        seed: Of the pictures and their answers.
        rare: How often a rare answer is drawn, whatever the recipe.
    """
    shown = list(_shown(count, Random(seed), rare))
    return _rendered(shown, seed), shown


def _shown(count: int, random: Random, rare: float | None = None) -> Iterator[Questioned]:
    weights = [weight for weight, _ in _SHOWN.values()]
    names = random.choices(list(_SHOWN), weights, k=count)
    dice = Dice(random, rare=_RARE)
    for name in names:
        recipe = _RECIPES[name]
        seldom = _SHOWN[name][1] if rare is None else rare
        answer = replace(dice, rare=seldom).word(recipe.answers)
        yield Questioned(recipe, answer, recipe.draw(dice, answer))


def _rendered(shown: list[Questioned], seed: int) -> np.ndarray:
    rng = np.random.default_rng(derive_seed(seed, "pixels"))
    return render([one.drawn.scene for one in shown], rng)


def vocabulary() -> list[str]:
    """Returns every word of a caption or a prompt, sorted."""
    recipes = [*_RECIPES.values(), BLOBS]
    texts = [text for recipe in recipes for text in (recipe.template, *recipe.answers.words)]
    return sorted({word for text in texts for word in text.split()} - {"{}"})


def sentences() -> list[str]:
    """Returns every question, and every answer in its prompt."""
    recipes = [*_RECIPES.values(), BLOBS]
    return [
        text
        for recipe in recipes
        for text in (recipe.question, *map(recipe.template.format, recipe.answers.words))
    ]
