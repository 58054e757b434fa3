"""Reads YAML in which names stay as they are written.

YAML takes some names for something else: `007` for a number, `no` for a truth value, `2024-01-01`
for a date. Here a scalar is a number only if that number is written so, and everything else is text
as it stands in the file; the fields that a text goes into read numbers such as 1e-4 themselves.
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


def parse_yaml(text: str, source: str) -> Any:
    """Returns what a text says.

    Raises:
        InputError: it is not valid YAML, or a key is given twice; names the source.

    >>> parse_yaml("{seed: 007, lr: 1e-4, steps: 10, name: no}", "study.yaml")
    {'seed': '007', 'lr': '1e-4', 'steps': 10, 'name': 'no'}
    """
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


def read_text(path: Path) -> str:
    """Returns the content of a text file.

    Raises:
        InputError: it cannot be read as text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a text file: {error}.") from None
