"""The command that tells how far a run is."""

from typing import Annotated

import typer

from sweep.cli.console import console, say


def status(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Folder or URI of a run.")],
    price: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="Price of one GPU-hour, in any currency; of a lane-hour on CPUs."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far a run is, how fast, what is left, what failed, and what it took so far.

    Reads the run folder alone, from any machine that sees it, while the run goes on or later.
    """
    from sweep.preview.status import run_status

    found = run_status(directory, price)
    if as_json:
        console.print_json(data=found.as_dict())
        return
    for line in found.lines():
        say(line)
