"""What signals do to a run, and to its process when the run has ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Those for which Ray or this module set handlers."""


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Lets SIGTERM, by which schedulers of clusters end a process, do what Ctrl-C does.

    In the end, all handlers are those from before: Ray sets one of SIGTERM as it starts, and Tune
    leaves one that swallows the next Ctrl-C, whatever the process does by then.
    """
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    before = {number: signal.getsignal(number) for number in CAUGHT}
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was not set by Python
                signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)
    else:  # shells let what runs in the background ignore Ctrl-C
        raise KeyboardInterrupt
