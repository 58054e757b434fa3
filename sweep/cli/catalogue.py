"""Lists what a study can name, and where it comes from."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sweep.errors import InputError, unknown
from sweep.registry import KINDS, parts, resolve
from sweep.study.backbones import embedded
from sweep.study.schema import STUDIES
from sweep.tasks.named.benchmark_files import read_benchmark
from sweep.tasks.named.named_benchmark import Published


class Listed(NamedTuple):
    """A line of the catalogue."""

    name: str
    description: str
    source: str
    """"shipped", or the distribution that brings it."""


ABOUT = {
    "methods": "how a model learns one task after another",
    "benchmarks": "tasks, with their images and choices",
    "backbones": "pretrained models that methods start from",
    "references": "captioned images that some methods look at beside the task",
    "generators": "images made from captions, for methods that replay what they generate",
    "designs": "which orders are run",
    "measures": "how similar two tasks are, before anything is trained",
    "diagnostics": "what is evaluated besides scores",
    "metrics": "what a run is summarised by",
    "panels": "parts of the report",
    "studies": "shipped studies, to run or to start from",
}
"""What every kind is."""
LISTS = (*KINDS, "backbones", "studies")
NOTES = {
    "methods": "In brackets: what the result of one training depends on.",
    "measures": "In brackets: what it is computed from; those of experts train one per task first.",
    "metrics": "R[k, i] is the score on task i after k of T tasks, row 0 that of the untouched "
    "backbone.",
}
"""How to read a list."""
"""What `sweep list` can list."""


def catalogue(kind: str) -> list[Listed]:
    """Returns what a study can name.

    Args:
        kind: One of LISTS.

    Raises:
        InputError: there is no such kind.

    >>> catalogue("generators")[0].name
    'renderer'
    """
    if kind == "backbones":
        own = "Any dual encoder or fusion model that transformers loads."
        shipped = [Listed(name, "Ships with the package.", "shipped") for name in embedded()]
        return [*shipped, Listed("HUB/ID or FOLDER", own, "hub or disk")]
    if kind == "studies":
        return [
            Listed(file.stem, file.read_text().splitlines()[0].removeprefix("#").strip(), "shipped")
            for file in sorted(STUDIES.glob("*.yaml"))
        ]
    if kind not in KINDS:
        raise unknown("kind of part", kind, LISTS)
    return list(_parts(kind))


def _parts(kind: str) -> Iterator[Listed]:
    for part in parts(kind).values():
        try:
            description = _describe(kind, resolve(kind, part.name), part.name)
        except InputError as error:  # an installed package that is broken hides no other
            description = f"Unusable: {error}"
        yield Listed(part.name, description, part.source)


def _describe(kind: str, part: Any, name: str) -> str:
    if part is Published:
        return read_benchmark(name).title
    if kind == "measures":
        what = _first_line(getattr(part.compute, "func", part.compute))
        what = what.removeprefix("Returns ").replace(": float [T, T]", "")
        direction = f" Not symmetric: {part.direction}." if part.direction else ""
        return f"({part.material}) {what[0].upper()}{what[1:]}{direction}"
    if kind == "metrics":
        return f"{part.title}: {part.formula}"
    first = _first_line(part)
    return f"({part.depends_on}) {first}" if kind == "methods" else first


def _first_line(part: Any) -> str:
    return (part.__doc__ or "").strip().splitlines()[0]
