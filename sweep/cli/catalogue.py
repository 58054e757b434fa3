"""Lists what a study can name, and where it comes from."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from methods.base import Method
from sweep.errors import unknown
from sweep.registry import KINDS, parts, resolve
from sweep.section import explain
from sweep.study.backbones import embedded
from sweep.study.claims import check_answers, check_claims
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
    "methods": "In brackets: what results depend on: nothing, the last task, the set of the tasks "
    "learnt or their sequence; before a comma what a training does, which results are made of; and "
    "whether the method is told, unless an option says otherwise, which task a test sample is of.",
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
        own = "A CLIP, SigLIP, BLIP, LLaVA or Qwen-VL, say; README has the list."
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
        except Exception as error:  # whatever the code of a package raises, it hides no other
            description = f"Unusable: {_first_line(str(error))}"
        yield Listed(part.name, description, part.source)


def _describe(kind: str, part: Any, name: str) -> str:
    if part is Published:
        return read_benchmark(name).title
    if kind == "measures":
        what = _first_line(getattr(part.compute, "func", part.compute).__doc__)
        what = what.removeprefix("Returns ").replace(": float [T, T]", "")
        direction = f" Not symmetric: {part.direction}." if part.direction else ""
        return f"({part.material}) {what[0].upper()}{what[1:]}{direction}"
    if kind == "metrics":
        return f"{part.title}: {part.formula}"
    first = _first_line(part.__doc__)
    if kind != "methods":
        return first
    check_claims(part)
    try:
        options = part.Config()
    except ValidationError as error:
        return f"({_sharing(part)}) {first} Only with options: {explain(error, part.Config)}"
    check_answers(part, options)
    told = ", told the task" if part.knows_task(options) else ""
    return f"({_sharing(part)}{told}) {first}"


def _sharing(method: type[Method]) -> str:
    """Returns what results depend on, and first what trainings do, where these are others."""
    trained, result = method.depends_on, method.combines_over or method.depends_on
    return result if trained == result else f"{trained}, {result}"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
