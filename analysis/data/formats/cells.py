"""The cells of text tables, and the numbers in them, as people and Excel write them."""

import csv
import io
import math
import re

MISSING = {"", "nan", "na", "n/a", "n.a.", "none", "null", "-", "--", "\u2013", "\u2014", "x", "?"}
"""What stands for "not measured", in lower case."""
_TENSOR = re.compile(r"(?:np\.float\d+|tensor)\(([^,)]*)[^)]*\)")
_COMMA = re.compile(r"[-+]?\d*,\d+")


def decoded(content: bytes) -> str:
    """Returns text from UTF-8 (with or without a mark), UTF-16, or what old Excel writes."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def cells_of(text: str) -> list[list[str]]:
    """Returns the cells of a text table, without blanks around them.

    Separators, the first that is there: what a first line "sep=;" says, tabs, semicolons, commas,
    blanks. Blank lines and comments, which begin with #, are left out, and so are columns at the
    end that are empty throughout.
    """
    # Avalanche's CSVLogger begins a line of its own for a tensor.
    lines = re.sub(r",\s*\n\s*tensor\(", ",tensor(", text).lstrip("\ufeff").splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    separator = ""
    if lines and (said := re.fullmatch(r'"?sep=(.)"?', lines[0].strip(), re.I)):
        separator, lines = said[1], lines[1:]
    if not separator:
        found = (s for s in "\t;," if any(s in line for line in lines[:2]))
        separator = next(found, "")
    if separator:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator)
        ]
    else:
        rows = [line.split() for line in lines]
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    return [row[:width] for row in rows]


def number(cell: str) -> tuple[float, bool]:
    """Returns the number in a cell, NaN if nothing was measured, and whether it ends with %.

    A comma is a decimal mark. "71,3 %" is 71.3 with a sign.

    Raises:
        ValueError: there is no number in the cell.
    """
    text = _TENSOR.sub(r"\1", cell).strip().strip("'\"")
    is_percent = text.endswith("%")
    text = text.removesuffix("%").strip().replace("\u2212", "-")
    if text.lower() in MISSING:
        return math.nan, is_percent
    if _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return float(text), is_percent
    except ValueError:
        raise ValueError(f"'{cell}' is no accuracy") from None


def is_number(cell: str) -> bool:
    """Returns whether a cell holds a number, or stands for one that is missing."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def numbers(rows: list[list[str]], width: int, file: str) -> tuple[list[list[float]], str]:
    """Returns rows of cells as numbers of equal width (NaN where they end early), and their unit.

    The unit is "percent" if all numbers have a % sign, and "auto" if none has.

    Raises:
        ValueError: a cell holds no number, a row is too long, or some numbers have a % sign.
    """
    found, signs = [], set()
    for place, row in enumerate(rows, 1):
        if len(row) > width:
            raise ValueError(
                f"Row {place} of '{file}' has {len(row)} cells, but the table has {width} columns."
            )
        values = []
        for cell in row:
            try:
                value, is_percent = number(cell)
            except ValueError as error:
                raise ValueError(f"Row {place} of '{file}': {error}.") from None
            if not math.isnan(value):
                signs.add(is_percent)
            values.append(value)
        found.append(values + [math.nan] * (width - len(row)))
    if len(signs) > 1:
        raise ValueError(f"Some numbers of '{file}' have a % sign and some not; give all alike.")
    return found, "percent" if True in signs else "auto"


def name(cell: object) -> str:
    """Returns the name of a task or method as text; numbers lose the .0 that tables give them."""
    return re.sub(r"^(\d+)\.0$", r"\1", str(cell).strip())
