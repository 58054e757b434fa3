"""The command line. Everything it does is a function of the package."""

import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from sweep.cache import is_full
from sweep.cli.commands import command
from sweep.cli.console import busy, console, errors, say
from sweep.cli.data_command import data
from sweep.cli.exit_codes import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED
from sweep.cli.export_command import export
from sweep.cli.own_code import with_own_code
from sweep.cli.pretrain_command import pretrain
from sweep.cli.status_command import status
from sweep.errors import InputError
from sweep.registry import KINDS
from sweep.signals import terminated_as_interrupted

app = typer.Typer(
    name="sweep",
    help="Sweep task orders for continual learning of vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A YAML file, or the name of a shipped study.",
        callback=with_own_code,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a key of the study, such as training.steps=500, or take one away: "
        "~methods.er. May be repeated.",
    ),
]
OutOption = Annotated[
    str | None, typer.Option("--out", help="Folder or URI of the run; default: runs/NAME.")
]
SCORES = "path_cost, adjacent, lagged, typicality_gradient or linear_error"
"""Spelt out, because importing them would slow down every command; a test compares."""
LOGGERS = "tensorboard, mlflow or wandb"
"""Likewise."""


@app.command()
def run(
    study: StudyArgument,
    out: OutOption = None,
    address: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster; default: start Ray on this machine."),
    ] = None,
    set_: SetOption = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Go on although data, models or code have changed since stages were finished.",
        ),
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOOL", help=f"Show the run in {LOGGERS} while it goes on. May be repeated."
        ),
    ] = None,
) -> None:
    """Run a study or resume it: what is finished in --out is never trained again."""
    again = command("run", study, out=out, address=address, set_=set_, log=log)
    try:
        with terminated_as_interrupted():  # from the first moment on: what follows takes seconds
            from sweep.cli.ended import end
            from sweep.cli.progress import ProgressBar
            from sweep.engine.driver import run as run_study
            from sweep.engine.loggers import make_loggers
            from sweep.measuring.measure import make_plan
            from sweep.study.schema import Study

            plan = make_plan(Study.load(study, tuple(set_ or ())))
            loggers = make_loggers(log or (), plan.study, out or f"runs/{plan.study.name}")
            with ProgressBar(plan, console) as bar:
                finished = run_study(plan, out, address, bar.update, accept_changes, loggers)
            code = end(finished, study, set_, again)
    except KeyboardInterrupt:
        say("Stopped. Finished stages are saved. Resume with: ", (again, "bold"))
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


@app.command()
def plan(
    study: StudyArgument,
    out: OutOption = None,
    gpus: Annotated[
        int | None,
        typer.Option(metavar="N", help="Say what the rest of it takes on a cluster of N GPUs."),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option(metavar="P", help="Price of one GPU-hour, in any currency; with --gpus."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    set_: SetOption = None,
) -> None:
    """Show what a study costs and yields: orders, stages, time, disk, precision, GPU-hours.

    Trains a few steps to time them; writes nothing to the run folder.
    """
    from sweep.preview.preview import make_preview
    from sweep.study.schema import Study

    _quiet()
    with busy("Planning") as now:
        loaded = Study.load(study, tuple(set_ or ()))
        shown = make_preview(loaded, out, gpus=gpus, price=price, say=now)
    if as_json:
        console.print_json(data=shown.as_dict())
        return
    console.print(shown.table())
    say(shown.sentence())
    if shown.gpu_cost:
        say(shown.gpu_cost.sentence())
    if warning := shown.room():
        say((warning, "yellow"))
    if shown.changed:
        say(str(shown.changed))
    say(shown.balance())
    for sentence in shown.plan.data_sentences():
        say(sentence)
    if shown.precision_forecast.contrasts:
        console.print(shown.precision_forecast.table())
    for sentence in shown.precision_forecast.sentences():
        say(sentence)
    flags = ["accept-changes"] if shown.changed else []
    say("Run it: ", (command("run", study, set_, flags, out=out), "bold"))


@app.command()
def check(
    study: StudyArgument,
    out: OutOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    set_: SetOption = None,
) -> None:
    """Check a study before it runs: data, models, prompts, memory, disk, and what would stop it.

    Tries every method for a few steps on a few images; writes nothing to the run folder.
    """
    from sweep.cli.checkup_text import print_checkup
    from sweep.preview.study_check import check_study

    _quiet()
    found = check_study(study, out, tuple(set_ or ()))
    if as_json:
        console.print_json(data=found.as_dict())
    else:
        print_checkup(found, console)
    if found.problems:
        raise typer.Exit(EXIT_INPUT)


app.command()(status)


@app.command()
def report(
    directories: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR",
            help="Folder or URI of a run, or a file or folder with results of another tool; "
            "several to compare.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", help="Folder of the report; default: in the run, or beside a file."),
    ] = None,
    published: Annotated[
        list[str] | None,
        typer.Option(
            help="A published order, to be held against the others: its label, its tasks, or a "
            "name such as mtil-1. May be repeated."
        ),
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="Column of scores, in a table with a number per order.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(help="Tasks in learning order, for files of other tools that number them."),
    ] = None,
    figures: Annotated[
        str, typer.Option(help="Formats of figures, written into figures/: svg, pdf, png.")
    ] = "",
    tables: Annotated[
        str, typer.Option(help="Formats of tables, beside the parquet files: csv, tex.")
    ] = "",
) -> None:
    """Write the report of a run, finished or still running; or one that compares several runs.

    Also of results of other tools: accuracy matrices, or a table with one number per order.
    """
    from sweep.cli.report import report as write_report
    from sweep.cli.report import verdict

    path = write_report(
        *directories,
        out=out,
        published=published or (),
        score=score,
        order=order,
        figures=_listed(figures),
        tables=_listed(tables),
    )
    say(verdict(path))
    say("Open the report: ", (path, "bold"))


@app.command()
def trial(
    study: StudyArgument,
    method: Annotated[str, typer.Option(help="Label of a method of the study.")],
    order: Annotated[
        str,
        typer.Option(help="Tasks, separated by commas; a name with commas in double quotes."),
    ],
    replicate: Annotated[int, typer.Option(help="Number of the replicate; sets the seed.")] = 0,
    backbone: Annotated[
        str | None, typer.Option(help="Label of a backbone of the study; default: the first.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="Folder or URI for results; default: none.")
    ] = None,
    set_: SetOption = None,
) -> None:
    """Train one order in this process, without Ray, for example in a debugger."""
    from sweep.orders.order import read_order
    from sweep.single import matrix, run_single
    from sweep.study.schema import Study

    _quiet()
    tasks = read_order(order)
    loaded = Study.load(study, tuple(set_ or ()))
    try:
        records, _ = run_single(loaded, method, tasks, replicate, backbone, out)
    except OSError:  # `main` would say it in one sentence, but here its place is what counts
        traceback.print_exc()
        raise typer.Exit(EXIT_FAILED) from None
    table = Table(title=f"scores of {method}")
    for title in ("after", *tasks):
        table.add_column(title, overflow="fold")
    for stage, row in matrix(tasks, records, loaded.evaluation).iterrows():
        table.add_row(str(stage), *(f"{value:.3f}" for value in row))
    console.print(table)


@app.command()
def order(
    study: StudyArgument,
    best: Annotated[
        str | None,
        typer.Option(help=f"Score whose best order is printed: {SCORES}."),
    ] = None,
    worst: Annotated[
        str | None, typer.Option(help="The same scores; prints the order predicted to be worst.")
    ] = None,
    measure: Annotated[str, typer.Option(help="Measure of similarity.")] = "image_text",
    backbone: Annotated[
        str | None, typer.Option(help="Label of a backbone of the study; default: the first.")
    ] = None,
    set_: SetOption = None,
) -> None:
    """Print the order that a similarity score predicts to be best, or worst, before training.

    What is known of such predictions goes to stderr, so that stdout is the order alone.
    """
    from sweep.cli.proposal_text import remarks
    from sweep.measuring.measure import proposed
    from sweep.orders.order import write_order
    from sweep.study.schema import Study

    _quiet()
    score = best or worst
    if score is None or (best and worst):
        raise InputError(f"Give either --best SCORE or --worst SCORE; SCORE is one of {SCORES}.")
    loaded = Study.load(study, tuple(set_ or ()))
    found = proposed(loaded, measure, score, best is not None, backbone)
    typer.echo(write_order(found.order))
    for remark in remarks(found, measure, score, study, set_):
        say(remark, to=errors)


app.command()(data)
app.command()(export)
app.command()(pretrain)


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help=f"{', '.join([*KINDS, 'backbones'])} or studies; default: what these are.",
        ),
    ] = None,
) -> None:
    """List what a study can name, and where it comes from."""
    from sweep.cli.catalogue import ABOUT, NOTES, catalogue

    if kind is None:
        for name, about in ABOUT.items():
            say((name, "bold"), f"  {about}")
        say("What there is of a kind: ", ("sweep list KIND", "bold"))
        return
    listed = catalogue(kind)
    if kind in NOTES:
        say((NOTES[kind], "dim"))
    for name, description, source in listed:
        origin = "" if source == "shipped" else f"  ({source})"
        say((name, "bold"), f"  {description}", (origin, "dim"))


def _listed(given: str) -> list[str]:
    """Returns the words of an option, which are separated by commas."""
    return [word.strip().lower() for word in given.split(",") if word.strip()]


def _quiet() -> None:
    """Hides the bars for loading small files, which would tear up the output."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the console script and returns its exit code; 2 after an error of the user's."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    # It prints tracebacks, say where the disk is full; what ends a study is said in a sentence.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Every lane starts several processes at once, which Ray warns about for no reason.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "maximum expected startup concurrency")
    for stream in (sys.stdout, sys.stderr):  # where LANG is C, say, a name may not be printable
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments)
    except InputError as error:
        say(("Error:", "red"), f" {error}", to=errors)
        return EXIT_INPUT
    except OSError as error:  # a disk that is full, a server that does not answer
        advice = "a disk is full, make room and run the same command again: "
        reason = " ".join(str(error).split())
        say(("Error:", "red"), f" {advice if is_full(error) else ''}{reason}", to=errors)
        return EXIT_FAILED
    except SystemExit as end:  # typer ends like this, after printing what is wrong
        return end.code if isinstance(end.code, int) else EXIT_FAILED if end.code else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
