"""Errors that are the user's to mend: one sentence each, exit code 2, never a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """What was given cannot be used; the message says what was got and what is allowed."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> InputError:
    """The error for a name that is not among `allowed`, with the nearest valid one."""
    names = sorted(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(f"Unknown {kind} '{name}'; allowed: {', '.join(names)}.{hint}")
