"""Embeddings with known samples, and run folders that hold their means."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.data.results import EMBEDDINGS_SCHEMA
from tests.analysis.synthetic import Prefix

Samples = Mapping[tuple[str, str], np.ndarray]
"""Unit vectors [N, D] by (task, modality)."""


def samples_after(prefix: Prefix, tasks: Iterable[str], seed: int, frozen: str = "") -> Samples:
    """What a model makes of every task after a prefix; a modality may be frozen."""
    found = {}
    for i, task in enumerate(sorted(tasks)):
        for j, modality in enumerate(("image", "text")):
            moved = 0.0 if modality == frozen else 0.5
            base = np.random.default_rng([i, j]).standard_normal((7 - 2 * j, 6))
            path = [seed, j, *map(ord, chain(*prefix))] if prefix else [j]
            shift = np.random.default_rng(path).standard_normal((7 - 2 * j, 6))
            vectors = base + moved * bool(prefix) * shift
            found[task, modality] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def write_embeddings(
    out: Path,
    orders: list[list[Prefix]],
    methods: Iterable[str],
    frozen: Mapping[str, str] = {},
    backbone: str = "tiny-clip",
    features: bool = False,
) -> None:
    """The mean embeddings of all stages, and with `features` those of every sample.

    `frozen` is the modality that a method leaves alone. Samples belong to two classes in turn.
    """
    rows = []
    for method in methods:
        for replicate, block in enumerate(orders):
            for prefix in dict.fromkeys(o[:k] for o in block for k in range(len(o) + 1)):
                found = samples_after(prefix, block[0], replicate, frozen.get(method, ""))
                stage = {"backbone": backbone, "method": method, "replicate": replicate}
                stage |= {"prefix": list(prefix)}
                for (task, modality), vectors in found.items():
                    head = stage | {"eval_task": task, "modality": modality}
                    rows.append(head | {"vector": vectors.mean(axis=0)})
                    rows += [
                        head | {"sample": i, "choice": i % 2, "vector": vector}
                        for i, vector in enumerate(vectors)
                        if features
                    ]
    (out / "embeddings").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, EMBEDDINGS_SCHEMA)
    pq.write_table(table, out / "embeddings" / "part-0.parquet")
