"""Captioned pictures of everything in the world, for pretraining."""

from random import Random

import numpy as np

from methods.seeds import derive_seed
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.recipes import BLOBS, SUITES, TASKS
from sweep.tasks.world.render import render

RARE = 0.01
"""How often a rare word takes the place of a common one."""

_RECIPES = TASKS | SUITES
_WEIGHTS = {
    "shapes": 4,
    "colors": 2,
    "textures": 3,
    "counting": 2,
    "letters": 4,
    "handwritten": 2,
    "relations": 1,
    "scenes": 1,
    "sketches": 2,
    "arrows": 2,
    "positions": 2,
    "background": 1,
    "composition": 1,
    "size": 1,
    "style": 1,
}


def captioned(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Pictures, uint8 [count, H, W, 3], and a caption for each; the same for the same seed."""
    dice = Dice(Random(seed), rare=RARE)
    names = dice.random.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=count)
    recipes = [_RECIPES[name] for name in names]
    pairs = [recipe.draw(dice, dice.word(recipe.answers)) for recipe in recipes]
    rng = np.random.default_rng(derive_seed(seed, "pixels"))
    return render([pair.scene for pair in pairs], rng), [pair.caption for pair in pairs]


def vocabulary() -> list[str]:
    """Every word of a caption or a prompt, sorted."""
    recipes = [*_RECIPES.values(), BLOBS]
    texts = [text for recipe in recipes for text in (recipe.template, *recipe.answers.words)]
    return sorted({word for text in texts for word in text.split()} - {"{}"})
