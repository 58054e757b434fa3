"""Prints what commands say; what users wrote is text, never markup."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

# In a name "[red]" is no colour, and ":cat:" no picture.
console = Console(markup=False, emoji=False, highlight=False)
errors = Console(markup=False, emoji=False, highlight=False, stderr=True)


def say(*parts: str | tuple[str, str], to: Console = console) -> None:
    """Prints a line without wrapping it, however long, so that it can be copied.

    Args:
        parts: Texts, or pairs of a text and its style.
        to: Where to.
    """
    clean = [
        (_printable(part), "") if isinstance(part, str) else (_printable(part[0]), part[1])
        for part in parts
    ]
    to.print(Text.assemble(*clean), soft_wrap=True)


@contextmanager
def busy(what: str) -> Iterator[Callable[[str], None]]:
    """Shows in a line that goes again what is being done, where errors are shown in a terminal.

    Args:
        what: Is done first.

    Yields:
        A function that says what is done next.
    """
    with errors.status(Text(what)) as line:
        yield lambda following: line.update(Text(_printable(following)))


def _printable(text: str) -> str:
    """Returns a text in which bytes that are no UTF-8, as in names of files, are escaped."""
    return text.encode(errors="backslashreplace").decode()
