"""Progress of a running study, with the time left."""

import time
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bar,
)

from sweep.cli.console import say
from sweep.engine.outcomes import Progress
from sweep.plan.plan import Plan
from sweep.texts import duration, plural

EVALUATION_STEPS = 20
"""Training steps that take about as long as one evaluation, to estimate the time left."""
QUIET_SECONDS = 30.0
"""Seconds between two lines of progress where no terminal can show a bar."""


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """Shows stages done, what is being trained, and the time left."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.console = console
        self._plan = plan
        self._weights = {
            key: plan.steps(unit) + EVALUATION_STEPS * unit.is_evaluated
            for key, unit in plan.units.items()
        }
        self._begun = self._stopped = self._idle = False
        self._damaged = self._losses = 0
        self._first: tuple[float, int] | None = None
        self._said = time.monotonic()
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("stages", style="bold"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[failed]}", style="red", markup=False),
            TextColumn("{task.fields[doing]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        total = len(plan.units)
        self._task = self._bar.add_task("starting lanes", total=total, failed="", doing="")

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, lanes: int) -> None:
        """Draws a snapshot of the progress."""
        if not self._begun:
            self._begun = True
            self._announce()
            self._bar.start()
        if progress.stopped and not self._stopped:
            self._stopped = True
            say(f"{progress.stopped[0].upper()}{progress.stopped[1:]}.", to=self.console)
        if progress.damaged > self._damaged:
            self._damaged = progress.damaged
            stages = plural(progress.damaged, "finished stage")
            say(f"{stages} cannot be read (damaged files), computing again.", to=self.console)
        for loss in progress.losses[self._losses :]:
            say(f"{loss}.", to=self.console)
        self._losses = len(progress.losses)
        if progress.idle and not self._idle:
            say(f"{progress.idle[0].upper()}{progress.idle[1:]}.", to=self.console)
        self._idle = bool(progress.idle)
        left = "" if progress.stopped else self._time_left(progress)
        working = len(progress.working)
        waiting = progress.idle or "waiting for lanes to start"
        doing = progress.working[0] if working else waiting
        failed = f"{len(progress.failed)} failed" if progress.failed else ""
        text = f"{left}{working} of {lanes} lanes working"
        self._bar.update(
            self._task,
            completed=len(progress.done),
            total=progress.units,
            description=text,
            failed=failed,
            doing=doing,
        )
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            parts = [f"{len(progress.done)}/{progress.units} stages", text, failed, doing]
            say(", ".join(part for part in parts if part), to=self.console)

    def _announce(self) -> None:
        facts = self._plan.counts()
        text = (
            f": {plural(facts['orders'], 'order')}, {plural(facts['runs'], 'run')}, "
            f"{self._plan.stages_sentence()}"
        )
        say((facts["study"], "bold"), text, to=self.console)

    def _time_left(self, progress: Progress) -> str:
        """Estimates from the pace since the first stage finished in this run."""
        done = sum(self._weights[key] for key in progress.done)
        now = time.monotonic()
        if self._first is None:
            if len(progress.done) > progress.restored:
                self._first = (now, done)
            return ""
        since, before = self._first
        if done == before:
            return ""
        pace = (now - since) / (done - before)
        return f"about {duration(pace * (sum(self._weights.values()) - done))} left, "
