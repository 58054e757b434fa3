"""Makes tasks with a chosen share in common."""

from collections.abc import Mapping, Sequence
from random import Random

from methods.seeds import derive_seed
from sweep.tasks.world import words
from sweep.tasks.world.dice import Dice
from sweep.tasks.world.portraits import Captioned, Look, portrait
from sweep.tasks.world.recipes import Recipe
from sweep.tasks.world.subjects import letter, shape
from sweep.tasks.world.words import Concepts

Style = tuple[str, str]
"""A background and a texture."""

NOUNS = words.SHAPES.words + tuple(f"letter {name}" for name in words.LETTERS.words)
STYLES = tuple(zip(words.TINTS.words + words.SCENES.words, words.TEXTURES.words, strict=False))


def dialled(num_tasks: int, classes: int, similarity: float, seed: int) -> Mapping[str, Recipe]:
    """Returns recipes of tasks that share a part of their classes and of their style.

    Args:
        num_tasks: How many tasks; less than there are styles.
        classes: Classes per task; num_tasks * classes is at most the number of nouns.
        similarity: In [0, 1]: this share of every task's classes, rounded, is common to all
            tasks, and this share of its images has the common style instead of the task's own.
        seed: Of which classes and styles go where.
    """
    random = Random(derive_seed(seed, "dial"))
    nouns = random.sample(NOUNS, len(NOUNS))
    common_style, *styles = random.sample(STYLES, num_tasks + 1)
    shared = round(similarity * classes)
    own = classes - shared
    return {
        f"dial{task + 1}": _recipe(
            nouns[:shared] + nouns[shared + task * own : shared + (task + 1) * own],
            styles[task],
            common_style,
            similarity,
        )
        for task in range(num_tasks)
    }


def _recipe(nouns: Sequence[str], own: Style, common: Style, similarity: float) -> Recipe:
    def draw(dice: Dice, noun: str) -> Captioned:
        background, texture = common if dice.happens(similarity) else own
        subject = letter(noun.split()[1]) if noun.startswith("letter ") else shape(noun)
        look = Look(subject=subject, background=background, texture=texture, style="photo")
        return portrait(dice, look)

    return Recipe(Concepts(tuple(nouns)), "a photo of a {}", "What is this?", draw)
