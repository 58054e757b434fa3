"""Reads study files, and explains in one sentence why one cannot be read."""

from pathlib import Path
from typing import Any

import yaml

from sweep.errors import InputError


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of silently taking the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [
            self.construct_object(key, deep=True)
            for key, _ in node.value
            if key.tag != "tag:yaml.org,2002:merge"
        ]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"key '{key}' is given twice (line {node.start_mark.line + 1}).")
        return super().construct_mapping(node, deep=deep)


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
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
    *path, last = dotted.split(".")
    section = content
    for key in path:
        if isinstance(section, dict) and section.get(key) is None:
            section[key] = {}
        section = section.get(key) if isinstance(section, dict) else None
    if not isinstance(section, dict):
        raise InputError(f"--set {dotted}: '{'.'.join(path)}' is not a mapping in this study.")
    section[last] = _parse(text, f"--set {dotted}")
