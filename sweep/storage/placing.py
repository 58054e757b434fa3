"""Puts the rows of stages at all the places that they have in the results.

What depends on a set of tasks alone is computed once and stands at the prefixes of thousands of
orders: so many rows are repeated by pyarrow, and not one by one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

PART_ROWS = 500_000
"""Most rows of a part."""


def at_places(
    places: Sequence[Sequence[dict[str, Any]]],
    rows: pa.Table,
    counts: Sequence[int],
    schema: pa.Schema,
) -> Iterator[pa.Table]:
    """Yields tables of at most so many rows: of every stage all rows, at each of its places.

    Args:
        places: Of every stage, the columns that say where it stands.
        rows: Rows of all stages, one after the other.
        counts: How many of them each stage has.
        schema: Of the result; columns that are in neither are null.

    >>> rows = pa.table({"value": [0.1, 0.2, 0.3]})
    >>> schema = pa.schema([("at", pa.string()), ("value", pa.float64())])
    >>> (table,) = at_places([[{"at": "a"}, {"at": "b"}], [{"at": "c"}]], rows, [1, 2], schema)
    >>> table.to_pydict()
    {'at': ['a', 'b', 'c', 'c'], 'value': [0.1, 0.1, 0.2, 0.3]}
    """
    fields = [field for field in schema if field.name not in rows.column_names]
    heads = pa.Table.from_pylist([place for own in places for place in own], pa.schema(fields))
    at, of = [np.arange(0)], [np.arange(0)]
    first = start = 0
    for own, count in zip(places, counts, strict=True):
        at.append(np.repeat(np.arange(first, first + len(own)), count))
        of.append(np.tile(np.arange(start, start + count), len(own)))
        first, start = first + len(own), start + count
    all_at, all_of = np.concatenate(at), np.concatenate(of)
    for begin in range(0, len(all_at), PART_ROWS):
        part = slice(begin, begin + PART_ROWS)
        sides = heads.take(pa.array(all_at[part])), rows.take(pa.array(all_of[part]))
        columns = {name: side[name] for side in sides for name in side.column_names}
        yield pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
