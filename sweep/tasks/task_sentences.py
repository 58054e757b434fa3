"""Says in a sentence what a task consists of, for people."""

from collections.abc import Sequence

from methods.data import KINDS, Kind, Task

NOUNS: dict[Kind, str] = dict(zip(KINDS, ("image", "caption", "sample"), strict=True))
"""What a sample of each kind is called."""


def described(task: Task, is_probe: bool = False) -> str:
    """Returns how many classes and samples a task has; a probe is tested on alone.

    >>> import numpy as np
    >>> from methods.data import Split
    >>> split = Split.of_captions(np.zeros((2, 8, 8, 3), np.uint8), [["a cat", "a pet"], ["a dog"]])
    >>> described(Task("said", (), ("{}",), "", split, split, "pairs", "recall"))
    "Task 'said': 3 training and 3 test captions of 2 and 2 images."
    """
    splits = {"test": task.test} if is_probe else {"training": task.train, "test": task.test}
    said = " and ".join(f"{len(split):,} {role}" for role, split in splits.items())
    said += f" {NOUNS[task.kind]}s"
    if any(len(split) != len(split.pictures) for split in splits.values()):
        said += (
            f" of {' and '.join(f'{len(split.pictures):,}' for split in splits.values())} images"
        )
    if task.form.has_classes:
        said = f"{len(task.choices):,} classes, {said}"
    elif task.kind == "choices":
        said = f"choices of each sample's own, {said}"
    return f"{'Probe' if is_probe else 'Task'} '{task.name}': {said}."


def noun_of(tasks: Sequence[Task]) -> str:
    """Returns what samples of some tasks are called, all together."""
    nouns = {NOUNS[task.kind] for task in tasks}
    return nouns.pop() if len(nouns) == 1 else "sample"
