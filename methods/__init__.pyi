from .base import Method, MethodConfig

METHODS: dict[str, str]

__all__ = ["METHODS", "Method", "MethodConfig"]
