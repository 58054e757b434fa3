"""Draws captioned pictures of everything in the world, for pretraining."""

from dataclasses import replace
from random import Random

import numpy as np

from methods.seeds import derive_seed
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.recipes import BLOBS, SUITES, TASKS
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


def captioned(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Returns pictures, uint8 [count, H, W, 3], and their captions; a function of the seed."""
    random = Random(seed)
    weights = [weight for weight, _ in _SHOWN.values()]
    names = random.choices(list(_SHOWN), weights, k=count)
    dice = Dice(random, rare=_RARE)
    pairs = []
    for name in names:
        answer = replace(dice, rare=_SHOWN[name][1]).word(_RECIPES[name].answers)
        pairs.append(_RECIPES[name].draw(dice, answer))
    rng = np.random.default_rng(derive_seed(seed, "pixels"))
    return render([pair.scene for pair in pairs], rng), [pair.caption for pair in pairs]


def vocabulary() -> list[str]:
    """Returns every word of a caption or a prompt, sorted."""
    recipes = [*_RECIPES.values(), BLOBS]
    texts = [text for recipe in recipes for text in (recipe.template, *recipe.answers.words)]
    return sorted({word for text in texts for word in text.split()} - {"{}"})
