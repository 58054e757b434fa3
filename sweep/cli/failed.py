"""Shows the errors of a run, and how to reproduce each of them."""

from collections.abc import Sequence

from sweep.cli.commands import command
from sweep.cli.console import say
from sweep.orders.order import write_order
from sweep.storage.failures import Failure

MOST = 5
"""Errors that are shown; the run folder has all of them."""


def say_failures(
    failures: Sequence[Failure], study: str, set_: Sequence[str] | None = None
) -> None:
    """Prints every distinct error: message, place, traceback, and a command that reproduces it."""
    for failure in failures[:MOST]:
        stages = "1 stage" if failure.stages == 1 else f"{failure.stages} stages"
        say((f"{stages} failed", "red"), f": {failure.error}")
        if failure.frame:
            say(f"  at {failure.frame}")
        if failure.file:
            say(f"  Traceback: {failure.file}")
        again = command(
            "trial",
            study,
            set_,
            method=failure.method,
            order=write_order(failure.order),
            replicate=failure.replicate,
            backbone=failure.backbone,
        )
        say("  Reproduce it: ", (again, "bold"))
    if len(failures) > MOST:
        say(f"{len(failures) - MOST} more errors are in the run's folder 'errors'.")
