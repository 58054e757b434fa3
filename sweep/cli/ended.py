"""Says how a run has ended: with a report, with errors and how to reproduce each, or stopped."""

from collections.abc import Sequence

from sweep.cli.commands import command
from sweep.cli.console import say
from sweep.cli.exit_codes import EXIT_FAILED
from sweep.cli.report import report, verdict
from sweep.engine.driver import Finished
from sweep.errors import InputError
from sweep.orders.order import write_order
from sweep.storage.failures import Failure

MOST = 5
"""Errors that are shown; the run folder has all of them."""


def end(finished: Finished, study: str, set_: Sequence[str] | None, again: str) -> int:
    """Writes the report of a run, says what has become of it, and returns the exit code.

    Args:
        finished: What the run returned.
        study: The study as it was given, for commands that reproduce errors.
        set_: Likewise its changes.
        again: The command that resumes the run.

    Raises:
        InputError: the report cannot be written.
        KeyboardInterrupt: the run was stopped, and has ended in good order.
    """
    if not finished.is_settled:
        if not finished.error:
            raise KeyboardInterrupt
        say(("The study broke off", "red"), f": {finished.error}")
        say("Resume with: ", (again, "bold"))
        return EXIT_FAILED
    try:
        path = report(finished.out)
    except InputError:
        if not finished.failed:
            raise
        return EXIT_FAILED  # nothing to report: all stages have failed
    finally:  # even where the report cannot be written, say because the disk is full
        if finished.failed:
            say_failures(finished.failures, study, set_)
            say("Retry them with: ", (again, "bold"))
    say(verdict(path))
    say("Open the report: ", (path, "bold"))
    return EXIT_FAILED if finished.failed else 0


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
