"""Reads study files, with the changes that are given beside them."""

from pathlib import Path
from typing import Any

from sweep.errors import InputError, unknown
from sweep.plain_yaml import parse_yaml, read_text

LABELLED = ("backbones", "methods")
"""Sections that may be a list of names, each of which is its own label."""
NAMED = ("benchmark", "design", "reference", "generator")
"""Sections that may be a mere name."""


def read_yaml(path: Path, overrides: tuple[str, ...] = ()) -> Any:
    """Returns the content of a YAML file with overrides applied.

    "key.path=value" sets a key, and "~key.path" takes one away.

    Raises:
        InputError: the file or an override cannot be read.
    """
    if path.is_dir():
        raise InputError(f"'{path}' is a folder, not a study file.")
    content = parse_yaml(read_text(path), str(path))
    if content is None:
        raise InputError(
            f"'{path}' is empty; a study needs at least name, benchmark, backbones and methods."
        )
    for override in overrides:
        if override.startswith("~") and "=" not in override:
            _remove(content, override[1:])
        else:
            _set(content, override)
    return content


def _set(content: Any, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise InputError(f"--set takes key.path=value or ~key.path, got '{override}'.")
    section, key = _holder(content, dotted)
    section[key] = parse_yaml(text, f"--set {dotted}")


def _remove(content: Any, dotted: str) -> None:
    section, key = _holder(content, dotted)
    if key not in section:
        raise unknown(f"key in --set ~{dotted}", key, map(str, section))
    del section[key]


def _holder(content: Any, dotted: str) -> tuple[dict[Any, Any], str]:
    """Returns the mapping that the last key of a dotted path is in, and that key."""
    section, rest, done = content, dotted, ""
    while isinstance(section, dict):
        key, rest = _first_key(section, rest)
        if not rest:
            return section, key
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
