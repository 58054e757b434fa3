"""Errors that the user can correct: one sentence each, exit code 2, never a traceback."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

MOST_LISTED = 100
"""Names that an error lists, at most; beyond it says how many there are."""


class InputError(ValueError):
    """Says that something given cannot be used: what it is, and what is allowed.

    >>> from sweep import Study
    >>> Study.load("quikstart")
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: Unknown study 'quikstart'; allowed: ... Did you mean 'quickstart'?
    """


class NoRoomError(InputError):
    """Says that a disk is full: every stage would meet it."""


class ChangedError(ValueError):
    """Says that a machine has other data, weights or code than a study was planned with."""


def unknown(kind: str, name: str, allowed: Iterable[str], also: str = "") -> InputError:
    """Returns the error for a name that is not among `allowed`, with the nearest valid one.

    Args:
        kind: What it is the name of.
        name: What was given.
        allowed: All names that there are.
        also: What else could have been given.

    >>> unknown("order", "mtil-3", ["mtil-1", "coin"])
    InputError("Unknown order 'mtil-3'; allowed: coin, mtil-1. Did you mean 'mtil-1'?")
    """
    names = sorted(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(names[:MOST_LISTED])
    if len(names) > MOST_LISTED:
        listed = f"{', '.join(names[:3])}, ... ({len(names):,} in all)"
    words = listed + (f", or {also}" if also else "")
    return InputError(f"Unknown {kind} '{name}'; allowed: {words}.{hint}")


class EndedError(ValueError):
    """Says that code which a study names wanted to end the process that runs it."""


@contextmanager
def not_ending(what: str) -> Iterator[None]:
    """Turns what would end the process, such as `sys.exit`, into an error like any other.

    Args:
        what: Whose code runs in the context.

    Raises:
        EndedError: with the traceback of what was raised. Ctrl-C stays Ctrl-C.

    >>> with not_ending("method 'mine'"):
    ...     raise SystemExit(3)
    Traceback (most recent call last):
    ...
    sweep.errors.EndedError: method 'mine' raised SystemExit(3), which would end ...
    """
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        # Signals come to the main thread alone.
        is_main = threading.current_thread() is threading.main_thread()
        if isinstance(error, KeyboardInterrupt) and is_main:
            raise
        said = (
            f"{what} raised {error!r}, which would end this process; its code has to raise an "
            f"error, or to return"
        )
        raise EndedError(said).with_traceback(error.__traceback__) from None
