"""Makes sure that what a method class says of itself is something that can be said."""

import inspect
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model

from methods.base import Method, MethodConfig
from sweep.errors import InputError
from sweep.section import explain

_ANSWERS = ("knows_task", "needs", "most_samples", "context_length")
"""Class methods of the contract that answer for given options."""


def _model_of(types: dict[str, Any]) -> type[BaseModel]:
    # A field cannot be called Config, as that of a model once meant something else.
    fields = {name.lower(): (kind, Field(alias=name)) for name, kind in types.items()}
    return create_model("Claims", **fields)  # type: ignore[call-overload, no-any-return]


_HINTS = get_type_hints(Method)
_SAID = _model_of({name: get_args(_HINTS[name])[0] for name in Method.__annotations__})
"""Attributes of the class, each of the type that `Method` declares."""
_ANSWERED = _model_of({name: get_type_hints(getattr(Method, name))["return"] for name in _ANSWERS})
"""What class methods return, each of the type that `Method` declares."""


def check_claims(kind: type[Method]) -> None:
    """Makes sure that a method's attributes are of the types that its base class declares.

    Raises:
        InputError: says in one sentence which is not, such as a class method that is a bool.
    """
    for name, declared in vars(Method).items():
        own = inspect.getattr_static(kind, name)
        if isinstance(declared, classmethod) and not isinstance(own, classmethod | staticmethod):
            raise InputError(
                f"{_path(kind)}: {name} must be a class method, as it is in methods.base.Method, "
                f"got {own!r}."
            )
    _validate(kind, _SAID, {name: getattr(kind, name) for name in Method.__annotations__})


def check_answers(kind: type[Method], options: MethodConfig) -> None:
    """Makes sure that what a method answers for its options is of the type declared.

    Raises:
        InputError: says in one sentence which answer is not, such as an unknown requirement.
    """
    _validate(kind, _ANSWERED, {name: getattr(kind, name)(options) for name in _ANSWERS})


def _validate(kind: type[Method], model: type[BaseModel], values: dict[str, Any]) -> None:
    try:
        model.model_validate(values, strict=True)
    except ValidationError as error:
        raise InputError(explain(error, model, _path(kind))) from None


def _path(kind: type[Method]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
