"""Reads study files, and explains in one sentence why one cannot be read.

YAML takes some names for something else: `007` for a number, `no` for a truth value, `2024-01-01`
for a date. Here a scalar is a number only if that number is written so, and everything else is text
as it stands in the file; the fields of a study read numbers such as 1e-4 from text themselves.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError

TAG = "tag:yaml.org,2002:"
"""What YAML's own types have before their names."""
NAMES_IN_LISTS = (f"{TAG}bool", f"{TAG}null", f"{TAG}merge")
"""What a name in a list is never taken for."""
LABELLED = ("backbones", "methods")
"""Sections that may be a list of names, each of which is its own label."""
NAMED = ("benchmark", "design", "reference", "generator")
"""Sections that may be a mere name."""


class _Loader(yaml.SafeLoader):
    """YAML in which names stay as they are written, and no key is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != f"{TAG}merge":
                key.tag = f"{TAG}str"
        keys = [
            self.construct_object(key, deep=True)
            for key, _ in node.value
            if key.tag != f"{TAG}merge"
        ]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"key '{key}' is given twice (line {node.start_mark.line + 1}).")
        return super().construct_mapping(node, deep=deep)

    def construct_sequence(self, node: yaml.SequenceNode, deep: bool = False) -> list[Any]:
        for item in node.value:  # a list of names is not one of truth values
            if item.tag in NAMES_IN_LISTS and item.value not in ("", "~"):
                item.tag = f"{TAG}str"
        return super().construct_sequence(node, deep=deep)

    def number(self, node: yaml.ScalarNode) -> int | float | str:
        """Returns the number that is written so, or else the text."""
        text = str(node.value)
        value = float(text) if "." in text else int(text)
        return value if str(value) == text else text


_Loader.yaml_implicit_resolvers = {}  # those of YAML 1.1
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("number", r"-?[0-9]+(\.[0-9]+)?", list("-0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{TAG}{_name}", re.compile(f"(?:{_pattern})$"), _first)
_Loader.add_constructor(f"{TAG}number", _Loader.number)


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except RecursionError:
        raise InputError(f"{source} is not valid YAML: it is nested too deeply.") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{source} is not valid YAML: {problem}{where}.") from None


def read_yaml(path: Path, overrides: tuple[str, ...] = ()) -> Any:
    """Returns the content of a YAML file with "key.path=value" overrides applied.

    Raises:
        InputError: the file or an override cannot be read.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, not a study file.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a text file: {error}.") from None
    content = _parse(text, str(path))
    if content is None:
        raise InputError(
            f"'{path}' is empty; a study needs at least name, benchmark, backbones and methods."
        )
    for override in overrides:
        _apply(content, override)
    return content


def _apply(content: Any, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise InputError(f"--set takes key.path=value, got '{override}'.")
    section, rest, done = content, dotted, ""
    while isinstance(section, dict):
        key, rest = _first_key(section, rest)
        if not rest:
            section[key] = _parse(text, f"--set {dotted}")
            return
        done = f"{done}.{key}" if done else key
        section[key] = _written_out(done, section.get(key))
        section = section[key]
    held = "a list; give all of it" if isinstance(section, list) else "not a mapping"
    what = f"'{done}' is {held}" if done else "the study is not a mapping"
    raise InputError(f"--set {dotted}: {what}.")


def _first_key(section: dict[Any, Any], dotted: str) -> tuple[str, str]:
    """Returns the first key of a dotted path, and the rest; a key of the section may hold dots."""
    known = [key for key in map(str, section) if f"{dotted}.".startswith(f"{key}.")]
    key = max(known, key=len, default=dotted.partition(".")[0])
    return key, dotted.removeprefix(key).removeprefix(".")


def _written_out(path: str, section: Any) -> Any:
    """Returns a section with its short form, a name or a list of names, written out."""
    if section is None:
        return {}
    if path in LABELLED:
        names = section if isinstance(section, list) else [section]
        if all(isinstance(name, str | int | float) for name in names):
            return {str(name): None for name in names}
    is_name = isinstance(section, str) and path.rpartition(".")[2] in NAMED
    return {"name": section} if is_name else section
