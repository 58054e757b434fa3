"""Prints which data sets of a benchmark are on this machine, and how to get the others."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.console import console, say
from sweep.cli.exit_codes import EXIT_FAILED
from sweep.cli.own_code import with_own_code
from sweep.orders.order import write_order
from sweep.texts import plural

if TYPE_CHECKING:  # importing these takes longer than it takes to print a help
    from sweep.preview.data_sets import DataOverview
    from sweep.tasks.named.benchmark_files import NamedBenchmark
    from sweep.tasks.named.presence import DataSet
    from sweep.tasks.sources.source import TaskSource

BenchmarkArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[BENCHMARK | STUDY]",
        help="A named benchmark, a YAML file, or a shipped study; default: list the benchmarks.",
        callback=lambda given: given and with_own_code(given),
    ),
]
RootOption = Annotated[str | None, typer.Option(help="Folder with copies of data sets.")]


def data(
    benchmark: BenchmarkArgument = None,
    root: RootOption = None,
    published: Annotated[
        bool, typer.Option("--published", help="Print its published orders and figures instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the study; as for run.")
    ] = None,
) -> None:
    """Show which data sets of a benchmark are on this machine, and how to get the others.

    Looks at no images and needs no network. Exit code 1 if something is missing.
    """
    from sweep.preview.data_sets import find_data
    from sweep.tasks.named.benchmark_files import read_benchmark

    if benchmark is None:
        _print_list(as_json)
    elif published:
        file = read_benchmark(benchmark)
        if as_json:
            kept = {"orders", "published", "zero_shot", "zero_shot_source", "recipe"}
            console.print_json(data=file.model_dump(mode="json", include=kept, exclude_none=True))
        else:
            for line in _published(file):
                say(line)
    else:
        overview = find_data(benchmark, root, tuple(set_ or ()))
        if as_json:
            console.print_json(data=overview.as_dict())
        else:
            _print_overview(overview)
        if not overview.is_there:
            raise typer.Exit(EXIT_FAILED)


def _print_list(as_json: bool) -> None:
    from sweep.tasks.named.benchmark_files import benchmark_names, read_benchmark

    titles = {name: read_benchmark(name).title for name in benchmark_names()}
    if as_json:
        console.print_json(data=titles)
        return
    for name, title in titles.items():
        say((name, "bold"), f"  {title}")
    say("Its data sets, and how to get them: ", ("sweep data BENCHMARK", "bold"))


def _print_overview(overview: "DataOverview") -> None:
    from sweep.tasks.named.named_benchmark import Published

    benchmark = overview.benchmark
    if isinstance(benchmark, Published):
        say((benchmark.name, "bold"), f"  {benchmark.file.title}")
        say(f"Source: {' '.join(benchmark.file.source.split())}")
        if benchmark.file.note:
            say(benchmark.file.note.rstrip())
    for data in overview.data_sets:
        say("")
        _print_data_set(data, overview)
    count, there = len(overview.data_sets), sum(data.is_there for data in overview.data_sets)
    say("")
    if not count:
        say(f"Benchmark '{benchmark.name}' needs no data set that this command knows of.")
    elif there == count:
        say(("All data sets are on this machine.", "green"))
    else:
        say((f"{there} of {plural(count, 'data set')} are on this machine.", "yellow"))


def _print_data_set(data: "DataSet", overview: "DataOverview") -> None:
    mark = ("there", "green") if data.is_there else ("missing", "yellow")
    version = data.commit or data.revision
    say(mark, "  ", (data.path, "bold"), f"  {version}" if version else "")
    if data.folder is not None:
        say(f"  in {data.folder}")
    if not data.is_there and data.folder is not None:
        say((f"  lacks {', '.join(data.missing)}", "yellow"))
    facts: dict[str, list[str]] = {}
    for task, source in data.sources.items():
        sizes = ", ".join(_sizes(task, source, overview))
        say(f"  {task}: {sizes}" if sizes else f"  {task}")
        for fact in (source.size, f"licence: {source.licence or 'not stated'}", source.note):
            if fact:
                facts.setdefault(" ".join(fact.split()), []).append(task)
    for fact, tasks in facts.items():
        about = f"{', '.join(tasks)}: " if len(tasks) < len(data.sources) else ""
        say(f"  {about}{fact}")
    if not data.is_there:
        if data.command:
            say("  Get it: ", (data.command, "bold"))
        else:
            root = overview.root or "ROOT"
            say("  It is on no hub: put its files into ", (f"{root}/{data.path}", "bold"))


def _sizes(task: str, source: "TaskSource", overview: "DataOverview") -> Iterator[str]:
    """Yields how large a task is, and how large its protocol says it is."""
    for split, count in overview.rows.get(task, {}).items():
        yield f"{split} {'?' if count is None else f'{count:,}'} rows"
    expected = source.expected.model_dump(exclude_none=True)
    if unexpected := overview.unexpected(task):
        yield f"but {' and '.join(unexpected)} as published"
    elif expected:
        listed = ", ".join(f"{part} {count:,}" for part, count in expected.items())
        yield f"published: {listed}"


def _published(file: "NamedBenchmark") -> Iterator[str]:
    """Yields the lines that say what papers report."""
    from sweep.tasks.named.benchmark_files import FIGURES

    for name, order in file.orders.items():
        yield f"order {name}: {write_order(order)}"
    for figures in file.published:
        numbers = ", ".join(f"{FIGURES[key]} {value}" for key, value in figures.numbers.items())
        of = f", {figures.order}" if figures.order else ""
        yield f"{figures.method}{of}: {numbers} ({figures.source})"
        if figures.note:
            yield f"  {figures.note}"
    if file.zero_shot:
        listed = ", ".join(f"{task} {value}" for task, value in file.zero_shot.items())
        yield f"zero-shot: {listed} ({file.zero_shot_source})"
    if file.recipe:
        yield f"recipe: {' '.join(file.recipe.split())}"
