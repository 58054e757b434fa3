"""Reads the files that say what published benchmarks are: sweep/benchmarks/NAME.yaml."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from sweep.errors import InputError, unknown
from sweep.plain_yaml import parse_yaml, read_text
from sweep.section import Section, explain
from sweep.tasks import NAMED, PROBES
from sweep.tasks.samples.from_source import numbered_names
from sweep.tasks.sources.source import TaskSource

FIGURES = {
    "transfer": "Transfer",
    "average": "Average",
    "last": "Last",
    "maa": "MAA",
    "bwt": "BWT",
    "mft": "MFT",
    "mfn": "MFN",
    "forgetting": "Forgetting",
}
"""What a published figure may be, and what papers call it."""


class Figures(Section):
    """What a paper reports of one method, in percent as it is printed there.

    >>> Figures(method="zscl", order="order-1", transfer=68.1, source="ZSCL, table 1").numbers
    {'transfer': 68.1}
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)

    method: str
    source: str = Field(description="Paper and table, or whatever else it was read in.")
    order: str | None = Field(default=None, description="One of the benchmark's orders.")
    note: str | None = Field(default=None, description="How it was made, where that is unusual.")

    @property
    def numbers(self) -> Mapping[str, float]:
        """Returns the figures, by their keys in FIGURES."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _are_known(self) -> "Figures":
        for key in self.numbers:
            if key not in FIGURES:
                raise unknown("figure", key, FIGURES)
        if not self.numbers:
            raise InputError(f"'{self.method}' has no figure; give one of {', '.join(FIGURES)}.")
        return self


class NamedBenchmark(Section):
    """What the file of a published benchmark says."""

    title: str = Field(description="What it is called, and is, in one line.")
    source: str = Field(description="Who published it: authors, venue, arXiv number.")
    note: str | None = Field(
        default=None, description="What of the protocol cannot be had, and what else to know."
    )
    evaluation: dict[str, Any] = Field(
        default_factory=dict,
        description="What the protocol asks of the study's evaluation; said, not forced.",
    )
    tasks: dict[str, TaskSource] = Field(default_factory=dict)
    probes: dict[str, TaskSource] = Field(default_factory=dict)
    orders: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Orders of all its tasks that papers used."
    )
    published: tuple[Figures, ...] = ()
    zero_shot: dict[str, float] = Field(
        default_factory=dict, description="Published zero-shot figures by task, in percent."
    )
    zero_shot_source: str | None = None
    recipe: str | None = Field(default=None, description="How its papers train, in words.")

    @model_validator(mode="after")
    def _names_fit(self) -> "NamedBenchmark":
        if not self.tasks and not self.probes:
            raise InputError("the key 'tasks' is missing.")
        if both := sorted(self.tasks.keys() & self.probes.keys()):
            raise InputError(f"probes: '{both[0]}' is a task, too; give it another name.")
        for name, order in self.orders.items():
            self._check_order(name, order)
        for i, figures in enumerate(self.published):
            if figures.order is not None and figures.order not in self.orders:
                where = f"published.{i}.order ({figures.method})"
                raise InputError(f"{where}: {unknown('order', figures.order, self.orders)}")
        for task in self.zero_shot:
            if task not in (*self.tasks, *self.probes):
                known = (*self.tasks, *self.probes)
                raise InputError(f"zero_shot: {unknown('task', task, known)}")
        if self.zero_shot and not self.zero_shot_source:
            raise InputError("zero_shot: the key 'zero_shot_source' is missing.")
        return self

    def _check_order(self, name: str, order: tuple[str, ...]) -> None:
        tasks = self.task_names
        if tasks is None:
            return
        for task in order:
            if task not in tasks:
                raise InputError(f"orders.{name}: {unknown('task', task, tasks)}")
        if odd := [task for task in tasks if order.count(task) != 1]:
            raise InputError(
                f"orders.{name}: must hold every task once, but '{odd[0]}' stands there "
                f"{order.count(odd[0])} times."
            )

    @property
    def task_names(self) -> tuple[str, ...] | None:
        """Returns the names of its tasks; None if only the data tell how many there are."""
        names: list[str] = []
        for name, source in self.tasks.items():
            if source.cut and source.cut.tasks is None:
                return None
            cut = source.cut and source.cut.tasks
            names += numbered_names(name, cut) if cut else [name]
        return tuple(names)


def benchmark_files() -> dict[str, Path]:
    """Returns all files, by the name of the benchmark; among them that of shared probes."""
    return dict(sorted((file.stem, file) for file in NAMED.glob("*.yaml")))


def benchmark_names() -> tuple[str, ...]:
    """Returns the names of all published benchmarks."""
    return tuple(name for name in benchmark_files() if name != PROBES)


def read_benchmark(name: str) -> NamedBenchmark:
    """Returns what the file of a published benchmark says.

    Raises:
        InputError: there is no such file, or it is wrong, and then it says in one sentence where.
    """
    files = benchmark_files()
    if name not in files:
        raise unknown("published benchmark", name, files)
    return _read(files[name])


@cache
def _read(file: Path) -> NamedBenchmark:
    said = dict(_raw(file))
    for part in ("tasks", "probes"):
        if isinstance(said.get(part), dict):
            said[part] = {
                name: written_out(entry, f"{file.name}: {part}.{name}")
                for name, entry in said[part].items()
            }
    try:
        return NamedBenchmark.model_validate(said)
    except ValidationError as error:
        raise InputError(explain(error, NamedBenchmark, file.name)) from None


@cache
def _raw(file: Path) -> dict[str, Any]:
    said = parse_yaml(read_text(file), file.name)
    if not isinstance(said, dict):
        raise InputError(f"{file.name}: must be a mapping of keys to values, got {said!r}.")
    return said


def written_out(entry: Any, where: str) -> Any:
    """Returns an entry of tasks or probes with what it is `like`, and its own changes to that.

    A mapping changes some keys of the other's mapping; anything else takes its place.

    Args:
        entry: As it stands in a file, perhaps with `like: BENCHMARK.TASK`.
        where: What errors name.

    Raises:
        InputError: there is no such entry, or it is like itself.
    """
    chain = list(_chain(entry, where))
    found = chain.pop()
    for changes in reversed(chain):
        found = _changed(found, {key: value for key, value in changes.items() if key != "like"})
    return found


def _chain(entry: Any, where: str) -> Iterator[Any]:
    """Returns an entry, the one that it is like, the one that that one is like, ..."""
    yield entry
    followed: list[str] = []
    while isinstance(entry, dict) and "like" in entry:
        like = entry["like"]
        if like in followed:
            raise InputError(f"{where}.like: '{like}' is like itself: {' > '.join(followed)}.")
        followed.append(like)
        entry = _entry(like, f"{where}.like")
        yield entry


def _entry(like: Any, where: str) -> Any:
    """Returns the entry that BENCHMARK.TASK stands for, as its file has it."""
    name, dot, task = like.partition(".") if isinstance(like, str) else ("", "", "")
    if not dot:
        raise InputError(f"{where}: must be BENCHMARK.TASK, such as mtil.food, got {like!r}.")
    files = benchmark_files()
    if name not in files:
        raise InputError(f"{where}: {unknown('published benchmark', name, files)}")
    raw = _raw(files[name])
    known = {**(raw.get("probes") or {}), **(raw.get("tasks") or {})}
    if task not in known:
        what = f"task of benchmark '{name}'"
        raise InputError(f"{where}: {unknown(what, task, known)}")
    return known[task]


def _changed(entry: Any, changes: Mapping[str, Any]) -> Any:
    if not isinstance(entry, dict):
        return entry  # it is wrong, and will be found out where it stands
    return entry | {
        key: entry[key] | value
        if isinstance(value, dict) and isinstance(entry.get(key), dict)
        else value
        for key, value in changes.items()
    }
