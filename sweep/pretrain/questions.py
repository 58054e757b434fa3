"""Draws questions about captioned pictures, with their answers, for pretraining."""

import re
from collections.abc import Sequence
from random import Random

from methods.backbones.dialogue import CAPTION_REQUEST
from sweep.pretrain.picture_pairs import PicturePairs
from sweep.tasks.pictures.task_list import SUITES, TASKS
from sweep.tasks.world.corpus import Questioned

Asked = tuple[str, str]
"""A question and its answer."""

_KIND = re.compile(r"(.+), (an? .+)")
_COLORS = re.compile(
    r"\b(red|green|blue|orange|purple|black|white|yellow|pink|brown|gr[ae]y|silver|golden)\b"
)
_SAID_OF = {
    "clothing": re.compile(r"photo of an? (.+)"),
    "digits": re.compile(r"handwritten (.+)"),
    "scripts": re.compile(r"(.+) letter"),
    "cards": re.compile(r".+ of (.+), a playing card"),
}
"""Captions that say the class of a picture in other words than after a comma."""
_OWN_QUESTION = 0.65
"""How often a picture is asked what its recipe, or a task, asks."""
_YES_OR_NO = 0.2
"""How often it is asked whether something is so."""


def about_scene(shown: Questioned, random: Random) -> Asked:
    """Returns a question about a picture of the made world.

    That is the question of its recipe, whether an answer of it is right, or what can be seen.
    """
    chance, answers = random.random(), shown.recipe.answers
    if chance < _OWN_QUESTION:
        return shown.recipe.question, shown.answer
    if chance >= _OWN_QUESTION + _YES_OR_NO:
        return CAPTION_REQUEST, shown.drawn.caption
    # Wrong answers come from the same half as right ones: rare words would only ever be wrong.
    half = answers.common if shown.answer in answers.common else answers.rare
    said, truth = _said(shown.answer, half, random)
    return f"Is this {shown.recipe.template.format(said)}?", truth


def about_picture(pairs: PicturePairs, number: int, random: Random) -> Asked:
    """Returns a question about one of the pictures of collections.

    That is one of `asked_of` its caption, whether it shows something, what is shown, or what can be
    said of it.
    """
    caption = pairs.captions[number]
    name, kind = _parts(caption)
    chance, special = random.random(), asked_of(caption)
    if special and chance < _OWN_QUESTION:
        return random.choice(special)
    if random.random() < _YES_OR_NO:
        others = _parts(random.choice(pairs.captions))
        by_kind = kind and others[1] and random.random() < 0.5
        mine, other = (kind, others[1]) if by_kind else (name, others[0])
        said, truth = _said(mine, (other,), random)
        return f"Is this {said}?", truth
    return random.choice((("What is this?", name), (CAPTION_REQUEST, caption)))


def asked_of(caption: str) -> list[Asked]:
    """Returns what else can be asked about a picture, if its caption says it.

    That is its kind, its color, and the questions of the tasks and suites of `pictures`.

    >>> for asked in asked_of("red apple, a fruit"):
    ...     print(*asked)
    What color is this? red
    What kind of thing is this? fruit
    Which kind of food is this? fruit
    What does this clip art show? fruit
    What does this drawing show? food
    >>> asked_of("handwritten five")
    [('Which digit is this?', 'five')]
    """
    found = []
    colors = _COLORS.findall(caption)
    if len(colors) == 1:
        found.append(("What color is this?", colors[0]))
    _, kind = _parts(caption)
    noun = kind.partition(" ")[2]
    if noun:
        found.append(("What kind of thing is this?", noun))
    for name, task in (TASKS | SUITES).items():
        said = _SAID_OF[name].fullmatch(caption) if name in _SAID_OF else None
        for label, groups in task.classes.items():
            if said[1] == label if said else name not in _SAID_OF and noun in (label, *groups):
                found.append((task.question, label))
    return found


def _parts(caption: str) -> tuple[str, str]:
    """Returns what is shown, and of what kind that is ("" if the caption does not say)."""
    found = _KIND.fullmatch(caption)
    return (found[1], found[2]) if found else (caption, "")


def _said(right: str, others: Sequence[str], random: Random) -> tuple[str, str]:
    """Returns something right and "yes", or else something wrong and "no", as often."""
    wrong = [other for other in others if other != right]
    if not wrong or random.random() < 0.5:
        return right, "yes"
    return random.choice(wrong), "no"
