"""Defines games in which players work together for the accuracy on a task.

The results hold the worth of every coalition (a metric called "image+text", "vision", "none", ...);
`analysis` computes Shapley values from them.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

from methods.data import Task
from sweep.stage.rows import Scores, score

Coalition = tuple[str, ...]
"""Players, in a fixed order."""
MODALITIES = ("image", "text")
"""The players of games about modalities."""


def coalitions(players: Sequence[str]) -> list[Coalition]:
    """Returns all sets of players, the empty one first.

    >>> coalitions(["image", "text"])
    [(), ('image',), ('text',), ('image', 'text')]
    """
    return [found for k in range(len(players) + 1) for found in combinations(players, k)]


def name_coalition(coalition: Coalition) -> str:
    """Returns the name of a coalition in the results.

    >>> name_coalition(("image", "text")), name_coalition(())
    ('image+text', 'none')
    """
    return "+".join(coalition) or "none"


def worths(split: str, task: Task, worth: Mapping[Coalition, float]) -> Scores:
    """Returns a row of the results for every coalition."""
    count = len(task.test)
    return [
        score(split, task.name, name_coalition(players), value, count)
        for players, value in worth.items()
    ]
