"""Shows which data sets of a benchmark are on this machine, and how to get those that are not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sweep.errors import InputError, unknown
from sweep.fetched import root_here
from sweep.study.schema import STUDIES, Study
from sweep.tasks.base import BenchmarkConfig
from sweep.tasks.named.benchmark_files import benchmark_names
from sweep.tasks.named.named_benchmark import Published
from sweep.tasks.named.presence import DataSet, find_data_sets, used_splits
from sweep.tasks.sources.datasets import Datasets
from sweep.tasks.sources.layout import ARROW
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import open_table


@dataclass(frozen=True)
class DataOverview:
    """The data sets of a benchmark: which are on this machine, how large they are.

    Images are not looked at, nor is the network.
    """

    benchmark: BenchmarkConfig
    data_sets: tuple[DataSet, ...]

    @property
    def root(self) -> Path | None:
        """Where copies of data sets are looked for."""
        return root_here(getattr(self.benchmark, "root", None))

    @property
    def is_there(self) -> bool:
        """Whether all of them are on this machine."""
        return all(data.is_there for data in self.data_sets)

    @cached_property
    def rows(self) -> Mapping[str, Mapping[str, int | None]]:
        """By task and probe: how many rows its splits have; None where only reading them tells."""
        return {
            task: _rows(data, task)
            for data in self.data_sets
            if data.folder is not None
            for task in data.sources
        }

    def unexpected(self, task: str) -> tuple[str, ...]:
        """Returns in which sizes a task differs from what its protocol says, a phrase each.

        Only a task that takes all rows of its splits can be judged by them.
        """
        source = next(d.sources[task] for d in self.data_sets if task in d.sources)
        if not _takes_all(source) or task not in self.rows:
            return ()
        found = []
        for part, expected in (("train", source.expected.train), ("test", source.expected.test)):
            count = _size(source, self.rows[task], part)
            if None not in (count, expected) and count != expected:
                found.append(f"{part} {count:,} instead of {expected:,}")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, for programs."""
        return {
            "benchmark": self.benchmark.name,
            "is_there": self.is_there,
            "data_sets": [self._as_dict(data) for data in self.data_sets],
        }

    def _as_dict(self, data: DataSet) -> dict[str, Any]:
        return {
            "path": data.path,
            "revision": data.revision,
            "is_there": data.is_there,
            "missing": list(data.missing),
            "folder": None if data.folder is None else str(data.folder),
            "commit": data.commit,
            "command": data.command,
            "tasks": {
                task: {
                    "rows": dict(self.rows.get(task, {})),
                    "expected": source.expected.model_dump(exclude_none=True),
                    "unexpected": list(self.unexpected(task)),
                    "size": source.size,
                    "licence": source.licence,
                    "note": source.note,
                }
                for task, source in data.sources.items()
            },
        }


def find_data(
    benchmark: str | BenchmarkConfig,
    root: str | Path | None = None,
    overrides: tuple[str, ...] = (),
) -> DataOverview:
    """Finds the data sets of a benchmark on this machine, without network and without its images.

    Args:
        benchmark: One of `sweep list benchmarks`, a study or its file, or a benchmark section.
        root: Folder with copies of data sets, for a benchmark by name.
        overrides: "key.path=value" texts that change keys of a study.

    Raises:
        InputError: there is no such benchmark or study.

    >>> overview = find_data("mtil")
    >>> overview.data_sets[0].path
    'mteb/FGVCAircraft'
    """
    config = _benchmark(benchmark, root, overrides)
    if not isinstance(config, Published | Datasets):
        return DataOverview(config, ())
    written_out = config.datasets if isinstance(config, Published) else config
    sources = {**written_out.tasks, **written_out.probes}
    return DataOverview(config, tuple(find_data_sets(sources, root_here(config.root))))


def _benchmark(
    benchmark: str | BenchmarkConfig, root: str | Path | None, overrides: tuple[str, ...]
) -> BenchmarkConfig:
    if isinstance(benchmark, BenchmarkConfig):
        return benchmark
    if benchmark in benchmark_names() and not Path(benchmark).is_file():
        if overrides:
            raise InputError(f"'{benchmark}' is a benchmark; --set changes keys of a study.")
        return Published(name=benchmark, root=None if root is None else str(root))
    studies = {file.stem for file in STUDIES.glob("*.yaml")}
    is_name = Path(benchmark).parent == Path() and not Path(benchmark).suffix
    if is_name and benchmark not in studies and not Path(benchmark).exists():
        raise unknown("benchmark or study", benchmark, {*benchmark_names(), *studies})
    if root is not None:
        overrides = (*overrides, f"benchmark.root={json.dumps(str(root))}")
    return Study.load(benchmark, overrides).benchmark


def _rows(data: DataSet, task: str) -> dict[str, int | None]:
    """Returns how many rows every split of a task has; only the splits that are there."""
    source, found = data.sources[task], {}
    local = source.model_copy(update={"path": str(data.folder)})
    for split in used_splits(source):
        try:
            names = data.splits(task).get(split, [])
            files = [Path(str(data.folder), name) for name in names]
            if files and names[0].endswith(".parquet"):
                found[split] = sum(pq.read_metadata(file).num_rows for file in files)
            elif files and names[0].endswith(ARROW):
                found[split] = None  # only reading them would tell
            else:
                found[split] = len(open_table(local, split, f"task '{task}'"))
        except (InputError, OSError):
            continue  # what is missing is said elsewhere, what is broken by `sweep check`
    return found


def _takes_all(source: TaskSource) -> bool:
    """Returns whether every row of the splits of a task is one of its samples."""
    chosen = (source.where, source.classes, source.cut, source.split_file, source.columns.largest)
    drawn = (source.shots, source.subset)
    return source.kind != "pairs" and not any(chosen) and not any(drawn)


def _size(source: TaskSource, rows: Mapping[str, int | None], part: str) -> int | None:
    """Returns how many rows a task trains on, or is tested on; None if that is not known."""
    named = source.test if part == "test" and not source.split else source.train
    counts = [rows.get(split.strip()) for split in (named or "").split("+")]
    whole = 0
    for count in counts:
        if count is None:
            return None
        whole += count
    if not source.split:
        return whole
    trained = int(source.split * whole)  # as the split is cut
    return trained if part == "train" else whole - trained
