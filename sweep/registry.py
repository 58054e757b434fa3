"""Finds parts by name: methods, benchmarks, designs, and everything else that users can add.

A part is called by the name that it ships under, by the name that an installed package gives it in
an entry point of the group "task_order_sweep.KIND", or as "package.module:Object". A part is
imported when it is first used.
"""

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from sweep.errors import InputError, unknown

logger = logging.getLogger(__name__)
"""Says which code is run that a study has named, before it is imported."""
OURS = ("sweep", "methods", "analysis")
"""Packages whose code runs anyway."""
LISTED = 16
"""Most names that an error spells out; of more it says which command lists them."""


@dataclass(frozen=True)
class Kind:
    """A kind of part."""

    noun: str
    """What one of them is called in sentences."""
    table: str
    """Where the shipped ones are registered: a mapping of names to parts, or to their paths, or
    parts that have a `key`."""
    base: str
    """The class that a part is a subclass of or, if it is not a class, an instance of."""


KINDS: Mapping[str, Kind] = {
    "methods": Kind("method", "methods:METHODS", "methods.base:Method"),
    "benchmarks": Kind("benchmark", "sweep.tasks:BENCHMARKS", "sweep.tasks.base:BenchmarkConfig"),
    "references": Kind("reference", "sweep.tasks:REFERENCES", "sweep.tasks.base:ReferenceConfig"),
    "generators": Kind("generator", "sweep.tasks:GENERATORS", "sweep.tasks.base:GeneratorConfig"),
    "designs": Kind("design", "sweep.orders:DESIGNS", "sweep.orders.base:Design"),
    "measures": Kind("measure", "sweep.similarity:MEASURES", "sweep.similarity.base:Measure"),
    "diagnostics": Kind(
        "diagnostic", "sweep.stage:DIAGNOSTICS", "sweep.stage.diagnostics.base:Diagnostic"
    ),
    "metrics": Kind(
        "metric", "analysis.run_metrics.metric:METRICS", "analysis.run_metrics.metric:Metric"
    ),
    "panels": Kind("panel", "analysis.report.panels:PANELS", "analysis.report.panels.base:Panel"),
}
"""Kinds of parts, by the name that `sweep list` has for them."""


@dataclass(frozen=True)
class Part:
    """A part that can be named, before it is imported."""

    name: str
    path: str
    """Where to import it from: "package.module:Object"."""
    source: str
    """"shipped", or the installed distribution that provides it."""


def parts(kind: str) -> Mapping[str, Part]:
    """Returns the parts that have a name: shipped ones, then those of installed packages.

    Args:
        kind: One of KINDS.

    >>> parts("designs")["williams"]
    Part(name='williams', path='sweep.orders.williams:Williams', source='shipped')
    """
    shipped = {name: Part(name, path, "shipped") for name, path in _shipped(kind).items()}
    return {part.name: part for part in reversed(_installed(kind))} | shipped


def _shipped(kind: str) -> Mapping[str, str]:
    """Returns paths by name; a part that stands in the table itself has that as its path."""
    table = KINDS[kind].table
    return {
        name: part if isinstance(part, str) else f"{table}[{name}]"
        for name, part in _entries(_import(table)).items()
    }


def _entries(table: Any) -> Mapping[str, Any]:
    return table if isinstance(table, Mapping) else {part.key: part for part in table}


@cache
def _installed(kind: str) -> Sequence[Part]:
    """Returns what installed packages bring; reading their metadata takes milliseconds."""
    return [
        Part(entry.name, entry.value, entry.dist.name if entry.dist else "an installed package")
        for entry in entry_points(group=f"task_order_sweep.{kind}")
    ]


def resolve(kind: str, name: str) -> Any:
    """Returns the part called `name`.

    Args:
        kind: One of KINDS.
        name: Of a shipped or installed part, or "package.module:Object".

    Raises:
        InputError: there is no such part, or it is not of this kind.

    >>> resolve("designs", "williams")
    <class 'sweep.orders.williams.Williams'>
    >>> resolve("designs", "wiliams")
    Traceback (most recent call last):
    ...
    sweep.errors.InputError: Unknown design 'wiliams'; ... Did you mean 'williams'?
    """
    noun, known = KINDS[kind].noun, parts(kind)
    path = known[name].path if name in known else name
    if ":" not in path:
        raise _unknown(kind, name)
    others = {part.path: part.source for part in _installed(kind) if part.name == name}
    if name in known and len({path, *others}) > 1:
        both = [f"{path} (shipped)"] if path not in others else []
        both += [f"{path} ({source})" for path, source in others.items()]
        raise InputError(
            f"{noun.capitalize()} '{name}' is ambiguous: {' and '.join(both)}; give one of these "
            f"paths instead."
        )
    if name not in known and name.partition(".")[0].partition(":")[0] not in OURS:
        logger.info("Runs code that the study names: %s", name)
    try:
        part = _import(path)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{noun.capitalize()} '{name}' cannot be imported: {error}.") from error
    except SystemExit as error:  # a script that does its work when it is imported
        said = f"its code raised {error!r}, which would end this process"
        raise InputError(f"{noun.capitalize()} '{name}' cannot be imported: {said}.") from error
    base = _import(KINDS[kind].base)
    if not (issubclass(part, base) if isinstance(part, type) else isinstance(part, base)):
        raise InputError(
            f"'{name}' is not a {noun}: it must be a {KINDS[kind].base.replace(':', '.')}."
        )
    return part


def check(kind: str, name: str) -> None:
    """Makes sure that there is such a part; imports it only if it is not among `parts`.

    Raises:
        InputError: there is no such part, or it is not of this kind.

    >>> check("measures", "otdd")
    """
    if name not in parts(kind):
        resolve(kind, name)


def name_of(kind: str, part: Any, given: str = "") -> str:
    """Returns the one name of a part, the inverse of `resolve`: shipped name or path.

    Args:
        kind: One of KINDS.
        part: What `resolve` has returned.
        given: The name that it was found by; it stays where one part ships under several names.

    >>> name_of("designs", resolve("designs", "sweep.orders.williams:Williams"))
    'williams'
    """
    path = f"{part.__module__}:{part.__qualname__}"
    shipped = (known for known in parts(kind).values() if known.source == "shipped")
    names = [known.name for known in shipped if known.path == path]
    if given in names:
        return given
    return names[0] if len(names) == 1 else path


def _unknown(kind: str, name: str) -> InputError:
    known, noun = parts(kind), KINDS[kind].noun
    own = f"package.module:Object for a {noun} of your own"
    if len(known) <= LISTED:
        return unknown(noun, name, known, also=own)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(
        f"Unknown {noun} '{name}'; allowed: one of the {len(known)} that `sweep list {kind}` "
        f"shows, or {own}.{hint}"
    )


def _import(path: str) -> Any:
    """Returns what a path stands for: "package.module:Object", or a table's "[entry]"."""
    module, _, name = path.partition(":")
    name, _, entry = name.removesuffix("]").partition("[")
    found = getattr(importlib.import_module(module), name)
    return _entries(found)[entry] if entry else found
