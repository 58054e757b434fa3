"""What the page carries with it, so that it can be mailed alone: its tables, and plotly."""

import base64
import gzip
from collections.abc import Collection, Mapping

import pandas as pd

MOST = 1_500_000
"""Characters of one packed table in the page; larger ones are only in the folder."""


def embedded(tables: Mapping[str, pd.DataFrame], used: Collection[str]) -> dict[str, str]:
    """Returns the tables that a page refers to, as packed CSV, by name; "" for one too large.

    Args:
        tables: by name.
        used: names of those that are referred to.
    """
    found = {name: packed(as_csv(tables[name])) for name in sorted(used)}
    return {name: content if len(content) <= MOST else "" for name, content in found.items()}


def as_csv(table: pd.DataFrame) -> str:
    r"""Returns a table as CSV, orders as "a > b > c".

    >>> as_csv(pd.DataFrame({"order": [("cars", "pets")], "average_accuracy": [0.75]}))
    'order,average_accuracy\ncars > pets,0.75\n'
    """
    columns = {
        str(name): [" > ".join(map(str, value)) if _is_listed(value) else value for value in column]
        for name, column in table.items()
        if column.dtype == object and any(map(_is_listed, column))
    }
    return table.assign(**columns).to_csv(index=False)


def _is_listed(value: object) -> bool:
    return isinstance(value, (tuple, list))


def packed(text: str) -> str:
    """Returns a text as base64 of its gzip, which a browser can unpack; always the same for it."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
