"""Renders recipes: tasks, held-out suites and image-caption pairs."""

from collections.abc import Mapping, Sequence
from random import Random

import numpy as np

from methods.data import Split, Task
from methods.seeds import derive_seed
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.portraits import Look, portrait
from sweep.tasks.world.recipes import SUITES, Recipe
from sweep.tasks.world.render import render
from sweep.tasks.world.scans import Part

CAPTIONS = "captions"
"""Name of the retrieval set."""
_PAIRS = 256
"""Image-caption pairs of the retrieval set."""
_RARE = 0.1
"""How often a rare word is drawn for what a task does not ask for."""


def make_task(name: str, recipe: Recipe, train: int, test: int, seed: int) -> Task:
    """Returns a task with rare answers as frequent as common ones.

    Its pixels depend on nothing but the arguments.
    """
    return Task(
        name=name,
        choices=recipe.answers.words,
        templates=(recipe.template,),
        question=recipe.question,
        train=_split(recipe, train, derive_seed(seed, name, "train"), _RARE, "train"),
        test=_split(recipe, test, derive_seed(seed, name, "test"), _RARE, "test"),
    )


def picture(recipe: Recipe, labels: Sequence[int] | np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """Returns training pictures for labels, each from its own seed: uint8 [B, H, W, 3]."""
    pictures = []
    for label, seed in zip(labels, seeds, strict=True):
        dice = Dice(Random(seed), rare=_RARE, scans="train")
        scene = recipe.draw(dice, recipe.answers.words[label]).scene
        pictures.append(render([scene], _noise(dice)))
    return np.concatenate(pictures)


def probes(test: int, seed: int) -> Mapping[str, Task]:
    """Returns the held-out suites, made of common words only; their training splits are empty."""
    return {
        name: Task(
            name=name,
            choices=recipe.answers.words,
            templates=(recipe.template,),
            question=recipe.question,
            train=_split(recipe, 0, seed, 0.0, "train"),
            test=_split(recipe, test, derive_seed(seed, name), 0.0, "test"),
        )
        for name, recipe in SUITES.items()
    }


def captioned_pictures(seed: int) -> Task:
    """Returns pictures of one thing with captions that say everything in common words."""
    dice = Dice(Random(derive_seed(seed, "captions")), rare=0.0, said=1.0)
    pairs = [portrait(dice, Look()) for _ in range(_PAIRS)]
    pixels = render([pair.scene for pair in pairs], _noise(dice))
    return Task(
        name=CAPTIONS,
        choices=(),
        templates=("{}",),
        question="",
        train=Split.of_captions(pixels[:0], []),
        test=Split.of_captions(pixels, [[pair.caption] for pair in pairs]),
        kind="pairs",
        score="recall",
    )


def _split(recipe: Recipe, size: int, seed: int, rare: float, part: Part) -> Split:
    """Returns pictures with all answers equally often, give or take one."""
    dice = Dice(Random(seed), rare=rare, scans=part)
    answers = recipe.answers.words
    labels = [i % len(answers) for i in range(size)]
    dice.random.shuffle(labels)
    scenes = [recipe.draw(dice, answers[label]).scene for label in labels]
    return Split(render(scenes, _noise(dice)), np.array(labels, np.int64))


def _noise(dice: Dice) -> np.random.Generator:
    return np.random.default_rng(dice.random.getrandbits(63))
