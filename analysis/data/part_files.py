"""Reads the tables of a run folder, which are many small files."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

SEPARATOR = "\x1f"
"""Between tasks while a list of them is one text."""


def read_parts(
    folder: fs.FileSystem, part: str, schema: pa.Schema, chosen: pc.Expression | None = None
) -> pa.Table:
    """Returns all (or the chosen) rows of a folder of part files that are complete."""
    files = folder.get_file_info(fs.FileSelector(part, allow_not_found=True))
    paths = sorted(
        file.path
        for file in files
        if file.extension == "parquet" and not file.base_name.startswith((".", "_"))
    )
    return ds.dataset(paths, schema, format="parquet", filesystem=folder).to_table(filter=chosen)


def as_frame(table: pa.Table, sequence: str) -> pd.DataFrame:
    """Returns a table as DataFrame, its list column `sequence` as tuples (equal ones shared)."""
    texts = pc.binary_join(table[sequence], SEPARATOR).to_pandas()
    codes, unique = pd.factorize(texts)
    tuples = np.empty(len(unique), object)
    tuples[:] = [tuple(text.split(SEPARATOR)) if text else () for text in unique]
    frame: pd.DataFrame = table.drop_columns([sequence]).to_pandas()
    frame[sequence] = pd.Series(tuples[codes], dtype=object)
    return frame[list(table.column_names)]
