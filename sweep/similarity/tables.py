"""Similarity of a benchmark's tasks: measured once per machine, and kept with its recipe."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from methods.backbones import load_backbone
from sweep.similarity.embedded import embed
from sweep.similarity.measures import MEASURES
from sweep.similarity.scores import SCORES
from sweep.sources import Source
from sweep.tasks import BenchmarkConfig
from sweep.work import Order

VERSION = 1
"""Part of every recipe: raise it when the same inputs would give other numbers."""
DECIMALS = 4
"""Kept of every number; machines agree in more than that."""
CACHE = Path(tempfile.gettempdir()) / "task-order-sweep"

ORDERS_SCHEMA = pa.schema(
    [
        ("backbone", pa.string()),
        ("measure", pa.string()),
        ("order", pa.list_(pa.string())),
        *((score, pa.float64()) for score in SCORES),
    ]
)

Tables = Mapping[str, np.ndarray]
"""Measure -> S, float [T, T], tasks in the order of the benchmark."""


def recipe(source: Source, answer: str, benchmark: BenchmarkConfig, images: int) -> dict[str, Any]:
    """Everything that similarities depend on."""
    return {
        "version": VERSION,
        "backbone": source.path,
        "weights": source.fingerprint,
        "answer": answer,
        "data": benchmark.fingerprint(),
        "tasks": list(benchmark.task_names()),
        "split": "train",
        "images": images,
        "measures": list(MEASURES),
    }


def similarities(
    source: Source,
    answer: Literal["score", "generate"],
    benchmark: BenchmarkConfig,
    images: int,
) -> Tables:
    """Every measure between all tasks of a benchmark, as one backbone sees them untouched.

    The first call on a machine loads the backbone and embeds `images` training samples of every
    task; later ones read what the first has written.
    """
    text = json.dumps(recipe(source, answer, benchmark, images), sort_keys=True)
    file = CACHE / f"similarity-{hashlib.sha256(text.encode()).hexdigest()}.npz"
    if not file.exists():
        source.verify()
        backbone = load_backbone(source.location, source.revision, answer=answer)
        if torch.accelerator.is_available():
            backbone = backbone.to(torch.accelerator.current_accelerator())
        embedded = embed(backbone, benchmark.load().tasks, images)
        found = {name: measure(embedded).round(DECIMALS) for name, measure in MEASURES.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            np.savez(Path(folder) / file.name, **found)  # type: ignore[arg-type]
            os.replace(Path(folder) / file.name, file)
    with np.load(file) as stored:
        return {name: stored[name] for name in MEASURES}


def task_rows(backbone: str, tables: Tables, tasks: Sequence[str]) -> pa.Table:
    """One row per measure and ordered pair of tasks: backbone, measure, task, other, similarity."""
    rows = [
        {
            "backbone": backbone,
            "measure": measure,
            "task": task,
            "other": other,
            "similarity": float(S[i, j]),
        }
        for measure, S in tables.items()
        for i, task in enumerate(tasks)
        for j, other in enumerate(tasks)
    ]
    return pa.Table.from_pylist(rows)


def order_rows(
    backbone: str, tables: Tables, tasks: Sequence[str], orders: Iterable[Order]
) -> pa.Table:
    """One row per measure and order of two or more tasks: backbone, measure, order, SCORES."""
    number = {task: i for i, task in enumerate(tasks)}
    by_length: dict[int, list[Order]] = {}
    for order in dict.fromkeys(orders):
        by_length.setdefault(len(order), []).append(order)
    by_length.pop(1, None)
    parts = [ORDERS_SCHEMA.empty_table()]
    for alike in by_length.values():
        rows = np.array([[number[task] for task in order] for order in alike])
        for measure, S in tables.items():
            heads = [backbone] * len(alike), [measure] * len(alike), alike
            scores = (score(S, rows) for score in SCORES.values())
            parts.append(pa.table([*heads, *scores], schema=ORDERS_SCHEMA))
    return pa.concat_tables(parts)
