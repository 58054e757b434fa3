"""Reading study files, and saying in one sentence what is wrong with them."""

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from sweep.errors import InputError, unknown


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
    """The content of a YAML file with "key.path=value" overrides applied.

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


def named(
    kind: str, registry: Mapping[str, type[BaseModel]], optional: bool = False
) -> BeforeValidator:
    """Builds the class that a section's `name` stands for."""

    def build(value: Any) -> Any:
        if isinstance(value, BaseModel) or (optional and value is None):
            return value
        section = {"name": value} if isinstance(value, str) else value
        if not isinstance(section, dict) or not isinstance(section.get("name"), str):
            raise InputError(f"{kind}: must be a name or a mapping with the key 'name'.")
        if section["name"] not in registry:
            raise unknown(kind, section["name"], registry)
        chosen = registry[section["name"]]
        try:
            return chosen.model_validate(section)
        except ValidationError as error:
            raise InputError(explain(error, chosen)) from None

    return BeforeValidator(build)


def explain(error: ValidationError, root: type[BaseModel], source: str = "") -> str:
    """The first problem of a validation as one sentence."""
    first, *others = error.errors()
    where = ".".join(str(part) for part in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        message = str(cause)
    elif first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        where = ".".join(str(part) for part in first["loc"][:-1])
        message = str(unknown("key", key, _keys(root, first["loc"][:-1])))
    elif first["type"] == "missing":
        message = f"the key '{first['loc'][-1]}' is missing."
        where = ".".join(str(part) for part in first["loc"][:-1])
    else:
        message = f"{first['msg']}, got {first['input']!r}."
        words = [
            other["msg"].removeprefix("Input should be ")
            for other in others
            if other["loc"][:-1] == first["loc"][:-1] and "literal[" in str(other["loc"][-1])
        ]
        if words:  # a value or one of a few words
            where = ".".join(str(part) for part in first["loc"][:-1])
            message = f"{first['msg']}, or {words[0]}, got {first['input']!r}."
    return ": ".join(part for part in (source, where, message) if part)


def _keys(model: Any, path: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `path` takes."""
    for part in path:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
            if isinstance(model, UnionType):  # a section or null
                model = model.__args__[0]
        else:  # a label inside dict[str, Section]
            model = next(iter(getattr(model, "__args__", ())[1:]), None)
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
