"""Writes what a run learnt as a folder, and says what it is."""

from typing import Annotated

import typer

from sweep.cli.console import say
from sweep.cli.own_code import with_own_code


def export(
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Folder or URI of a run; code that its study names is run.",
            callback=with_own_code,
        ),
    ],
    method: Annotated[str, typer.Option(help="Label of a method of the study.")],
    order: Annotated[
        str,
        typer.Option(
            help="An order of the run, or how one begins: 'a > b > c', or separated by commas; a "
            "name with commas in double quotes."
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="Folder to write; must not exist, or be empty.")],
    replicate: Annotated[int, typer.Option(help="Number of the replicate.")] = 0,
    backbone: Annotated[
        str | None, typer.Option(help="Label of a backbone of the study; default: the first.")
    ] = None,
    stage: Annotated[
        int | None,
        typer.Option(help="Stage to export, 1 after the first task; default: the order's last."),
    ] = None,
) -> None:
    """Write what a run learnt as a folder that plain peft or transformers loads.

    A low-rank adapter becomes an adapter folder of peft, trained weights a model folder of
    transformers, which a study can also name as a backbone. Methods whose predictions are not
    those of one model are refused. States that were not kept (keep_states in the study) are trained
    again, in this process, without Ray.
    """
    from transformers.utils.logging import disable_progress_bar

    from sweep.exporting.export_stage import export as export_stage
    from sweep.orders.order import read_order

    disable_progress_bar()  # bars for loading small files would tear up the output
    made = export_stage(out, method, read_order(order), to, replicate, backbone, stage, say)
    if made.differing:
        say(
            "What was trained again is not bit for bit what the run had (other hardware or "
            "packages); scores may differ slightly."
        )
    what = "An adapter of" if made.form == "adapter" else "A model, trained from"
    say(f"{what} '{made.base}': ", (str(made.folder), "bold"))
    say("How to load it: ", (str(made.folder / "README.md"), "bold"))
