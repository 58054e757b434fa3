"""Lets a study name code of the user's own, which is then run, and says so.

Commands that only look at a run, which may be a stranger's, run no code but what is installed.
"""

import logging
import os
import sys

from sweep.cli.console import errors, say
from sweep.registry import logger


class _Once(logging.Handler):
    """Prints every message once, to stderr: stdout may be read by a program."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a message."""
        text = record.getMessage()
        if text not in self._said:
            self._said.add(text)
            say(text, to=errors)


def with_own_code(study: str) -> str:
    """Lets the parts of a study be found in the current folder; installed packages come first.

    It is a callback of typer: what a command was given goes through it.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    logger.handlers = [_Once()]
    logger.setLevel(logging.INFO)
    return study
