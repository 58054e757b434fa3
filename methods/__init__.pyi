"""The public names of the package, for type checkers and for `methods/__init__.py`."""

from .base import Method, MethodConfig

METHODS: dict[str, str]

__all__ = ["METHODS", "Method", "MethodConfig"]
