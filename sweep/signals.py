"""What signals do to a run, and to its process when the run has ended."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Those for which Ray or this module set handlers."""

_told = threading.Event()
"""Set by a signal whose exception Python has ignored, as in finalisers and where it forks."""


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM, by which schedulers of clusters end a process, do what Ctrl-C does.

    No such signal is lost: one whose exception Python has ignored is raised by `stop_if_told`, or
    when a context begins or ends; contexts may be nested. At the end all handlers are those from
    before: Ray sets one of SIGTERM as it starts, and Tune leaves one that swallows the next Ctrl-C,
    whatever the process does by then.
    """
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    stop_if_told()
    before = {number: signal.getsignal(number) for number in CAUGHT}
    is_outermost = before[signal.SIGTERM] is not _interrupt
    show = sys.unraisablehook

    def note(ignored: "UnraisableHookArgs") -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt | SystemExit):  # Ray's handler exits
            _told.set()
        else:
            show(ignored)

    signal.signal(signal.SIGTERM, _interrupt)
    sys.unraisablehook = note
    try:
        yield
        stop_if_told()
    finally:
        sys.unraisablehook = show
        if is_outermost:
            _told.clear()
        for number, handler in before.items():
            if handler is not None:  # one that was not set by Python
                signal.signal(number, handler)


def stop_if_told() -> None:
    """Raises the KeyboardInterrupt that Python has ignored, if it has."""
    if _told.is_set():
        raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)
    else:  # shells let what runs in the background ignore Ctrl-C
        raise KeyboardInterrupt
