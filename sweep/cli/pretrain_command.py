"""Pretrains an embedded backbone again, and says how well."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from sweep.cli.console import console, say
from sweep.errors import InputError


def pretrain(
    backbone: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="An embedded backbone: tiny-clip, tiny-clip-pictures or tiny-vlm."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must not exist yet.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; default: those of the recipe.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and pictures.")] = 0,
) -> None:
    """Pretrain an embedded backbone again from its recipe."""
    from rich.progress import Progress

    from sweep.errors import unknown
    from sweep.pretrain import RECIPES

    if backbone not in RECIPES:
        raise unknown("backbone to pretrain", backbone, RECIPES)
    out = out.expanduser()
    if out.exists():
        raise InputError(f"--out '{out}' exists already; give a new folder.")
    with Progress(*Progress.get_default_columns(), console=console) as bar:
        task = bar.add_task(f"pretraining {backbone}", total=steps)
        figures = RECIPES[backbone](
            out,
            **({} if steps is None else {"steps": steps}),
            seed=seed,
            progress=lambda done, total, loss: bar.update(task, completed=done, total=total),
        )
    for name, value in figures.items():
        say(f"{name}: {value:.3f}")
    made = yaml.safe_dump({"backbones": {"mine": {"path": str(out)}}}, default_flow_style=True)
    say("Use it: ", (made.strip().removeprefix("{").removesuffix("}"), "bold"))
