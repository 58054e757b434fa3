"""Marks methods that are told which task test data are of, wherever the report names them."""

import re
from collections.abc import Collection

from analysis.data.results import MARK, called

NOTE = (
    f"{MARK} is told at test time which task a sample is of, an easier question than the others "
    "answer: ranks and differences between the two kinds are not on equal terms."
)
"""Stands where the mark is used."""
INLINE = "told the task at test time"
"""What sentences say that explain the mark themselves."""
TERMS = ("not told the task", f"told the task ({MARK})")
"""What headings call methods, by whether they are told."""


def named(sentence: str, told: Collection[str]) -> str:
    """Returns a sentence with the marks of the **bold** methods in it."""
    return re.sub(r"\*\*(.+?)\*\*", lambda name: f"**{called(name[1], told)}**", sentence)


def marked(sentence: str, told: Collection[str]) -> str:
    """Returns a sentence with the marks of the **bold** methods in it, and what they mean.

    >>> print(marked("**tall** is better than **ties**.", {"tall"}))
    **tall\u2020** is better than **ties** (\u2020: told the task at test time).
    """
    found = named(sentence, told)
    if found == sentence:
        return sentence
    return f"{found.removesuffix('.')} ({MARK}: {INLINE})."
