"""Validates the sections of a study file and explains in one sentence what is wrong."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from sweep.errors import InputError, unknown
from sweep.registry import KINDS, name_of, resolve

WORDS = (
    (r"^(Input|\w+) should", "must"),
    (r", unable to parse.*", ""),
    (r"a valid dictionary( or instance of \w+)?", "a mapping of keys to values"),
    (r"a valid tuple", "a list"),
    (r" after validation, not \d+", ""),
)
"""Patterns in what pydantic says, and what a user calls these things."""


MOST = 10**9
"""Largest number of anything; a larger one is a slip, and would be found out much later."""


class Section(BaseModel):
    """Part of the study file: no unknown keys, no NaN, immutable once validated.

    A name may be given as a number, which is taken as text, and 1e3 is a whole number.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        return whole_numbers(cls, value)


def whole_numbers(model: type[BaseModel], options: Any) -> Any:
    """Returns options with 1e3 read as 1000 where the model wants a whole number.

    Pydantic reads 1000 and 1000.0 from text, but not a number with an exponent.
    """
    if not isinstance(options, dict):
        return options
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    return {
        key: _whole(value) if key in fields and _wants_int(fields[key].annotation) else value
        for key, value in options.items()
    }


def _whole(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[-+]?\d+(\.\d*)?[eE]\+?\d{1,2}", value):
        return value
    number = Decimal(value)
    return int(number) if number == int(number) else value


def _wants_int(annotation: Any) -> bool:
    """Returns whether a field takes a whole number and no text, besides a few words."""
    kinds = get_args(annotation) or (annotation,)
    return any(kind is int or int in get_args(kind) for kind in kinds) and str not in kinds


def named(kind: str, optional: bool = False) -> BeforeValidator:
    """Returns a validator that builds the part named by a section's `name`.

    Args:
        kind: One of `sweep.registry.KINDS`.
        optional: Whether the section may be missing.
    """
    noun = KINDS[kind].noun

    def build(value: Any) -> Any:
        if isinstance(value, BaseModel) or (optional and value is None):
            return value
        section = {"name": value} if isinstance(value, str) else value
        if not isinstance(section, dict) or not isinstance(section.get("name"), str):
            raise InputError(f"{noun}: must be a name or a mapping with the key 'name'.")
        chosen = resolve(kind, section["name"])
        name = name_of(kind, chosen, section["name"])
        try:
            return chosen.model_validate(section | {"name": name})
        except ValidationError as error:
            raise InputError(explain(error, chosen)) from None

    return BeforeValidator(build)


def explain(error: ValidationError, root: type[BaseModel], source: str = "") -> str:
    """Returns the first problem of a validation as one sentence."""
    return next(_sentences(error, root, source))


def explain_all(error: ValidationError, root: type[BaseModel], source: str = "") -> list[str]:
    """Returns every problem of a validation, a sentence each."""
    return list(_sentences(error, root, source))


def _sentences(error: ValidationError, root: type[BaseModel], source: str) -> Iterator[str]:
    problems = error.errors()
    for i, problem in enumerate(problems):
        # A key that takes a value or one of a few literals has a problem for each of them.
        if not any(_are_one(before, problem) for before in problems[:i]):
            yield _sentence(problem, problems[i + 1 :], root, source)


def _are_one(first: Any, other: Any) -> bool:
    """Returns whether another problem says about the same key which literals it takes."""
    return first["loc"][:-1] == other["loc"][:-1] and "literal[" in str(other["loc"][-1])


def _sentence(first: Any, others: Sequence[Any], root: type[BaseModel], source: str) -> str:
    of_key = first["loc"][-1:] == ("[key]",)  # of a mapping: what is wrong is the key itself
    where = ".".join(str(part) for part in first["loc"][: -2 if of_key else None])
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
        problem = _problem(first["msg"])
        message = f"{problem}, got {first['input']!r}."
        words = [
            other["msg"].removeprefix("Input should be ")
            for other in others
            if _are_one(first, other)
        ]
        if words:  # the key takes a value or one of a few literals
            where = ".".join(str(part) for part in first["loc"][:-1])
            message = f"{problem}, or {words[0]}, got {first['input']!r}."
    return ": ".join(part for part in (source, where, message) if part)


def _problem(message: str) -> str:
    """Returns what pydantic says, in our words and without how it tried to read the value."""
    for pattern, words in WORDS:
        message = re.sub(pattern, words, message)
    return message


def _keys(model: Any, path: tuple[int | str, ...]) -> list[str]:
    """Returns the keys that the section at `path` takes."""
    for part in path:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = fields[part].annotation
            if isinstance(model, UnionType):  # the key takes a section or null
                model = model.__args__[0]
        else:  # a label inside dict[str, Section]
            model = next(iter(getattr(model, "__args__", ())[1:]), None)
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]
