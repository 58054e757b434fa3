"""What can be named in a study, with one line each."""

from collections.abc import Callable

from methods import METHODS
from sweep.errors import unknown
from sweep.orders import DESIGNS
from sweep.similarity.measures import DIRECTIONS, OF_EMBEDDINGS, OF_EXPERTS, OF_GRADIENTS
from sweep.sources import embedded
from sweep.study import STUDIES
from sweep.tasks import BENCHMARKS, GENERATORS, REFERENCES


def _summary(thing: type) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


def _methods() -> dict[str, str]:
    return {name: f"({method.depends_on}) {_summary(method)}" for name, method in METHODS.items()}


def _backbones() -> dict[str, str]:
    shipped = dict.fromkeys(embedded(), "Ships with the package.")
    return shipped | {"HUB/ID or FOLDER": "Any dual encoder or fusion model transformers loads."}


def _measures() -> dict[str, str]:
    kinds = dict.fromkeys(OF_EMBEDDINGS, "forward pass")
    kinds |= dict.fromkeys(OF_GRADIENTS, "gradients") | dict.fromkeys(OF_EXPERTS, "experts")
    return {name: f"({kind}) {DIRECTIONS.get(name, 'symmetric')}" for name, kind in kinds.items()}


def _studies() -> dict[str, str]:
    found = {}
    for file in sorted(STUDIES.glob("*.yaml")):
        first = file.read_text().splitlines()[0]
        found[file.stem] = first.removeprefix("#").strip()
    return found


KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "methods": _methods,
    "benchmarks": lambda: {name: _summary(kind) for name, kind in BENCHMARKS.items()},
    "backbones": _backbones,
    "references": lambda: {name: _summary(kind) for name, kind in REFERENCES.items()},
    "generators": lambda: {name: _summary(kind) for name, kind in GENERATORS.items()},
    "measures": _measures,
    "designs": lambda: {name: _summary(kind) for name, kind in DESIGNS.items()},
    "studies": _studies,
}


def catalogue(kind: str) -> dict[str, str]:
    """Names and one-line descriptions.

    Raises:
        InputError: there is no such kind of thing.
    """
    if kind not in KINDS:
        raise unknown("list", kind, KINDS)
    return KINDS[kind]()
