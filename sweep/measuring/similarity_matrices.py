"""Measures the similarity of a benchmark's tasks once per machine; the cache's key is a recipe."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils.memory import clear_device_cache

from sweep.cache import CACHE, appearing_complete
from sweep.errors import InputError
from sweep.measuring.checking import check_measures
from sweep.measuring.expert_training import entry, train_experts
from sweep.orders.order import Order
from sweep.registry import resolve
from sweep.similarity.base import Material, Measure
from sweep.similarity.embedded import embed
from sweep.similarity.order_scores import SCORES
from sweep.similarity.sampled import sample
from sweep.source_code import code_of
from sweep.study.backbones import Source
from sweep.study.expert_sources import ExpertSource
from sweep.study.pinned import Pinned, own_code
from sweep.study.schema import Similarities, Study

VERSION = 2
"""Part of every recipe: raise it when the same inputs would give other numbers."""
DIGITS = 4
"""Decimal digits of the largest number that are stored, for all numbers of a matrix; different
machines agree in more than that."""

ORDERS_SCHEMA = pa.schema(
    [
        ("backbone", pa.string()),
        ("measure", pa.string()),
        ("order", pa.list_(pa.string())),
        *((score, pa.float64()) for score in SCORES),
    ]
)
"""Columns of similarity/orders.parquet."""

Tables = Mapping[str, np.ndarray]
"""By measure, S: float [T, T], tasks in the order of the benchmark."""


def recipe(study: Study, backbone: str, pinned: Pinned, measures: Iterable[str]) -> dict[str, Any]:
    """Returns everything that the similarities of a study's tasks by these measures depend on."""
    config, source = study.similarity or Similarities(), pinned.sources[backbone]
    measured = list(measures)
    facts: dict[str, Any] = {
        "version": VERSION,
        "backbone": source.config.path,
        "weights": source.identity,
        "answer": source.config.answer,
        "data": pinned.data["benchmark"],
        "tasks": list(pinned.tasks),
        "split": "train",
        "images": config.images,
        "measures": measured,
    }
    if code := {name: found for name in measured if (found := own_code("measures", name))}:
        facts |= {"code": code}
    materials = {resolve("measures", measure).material for measure in measured}
    if "gradients" in materials and study.training.towers:
        facts |= {"towers": sorted(study.training.towers)}
    if "experts" in materials:
        loaded = pinned.of_backbone(backbone)
        facts |= (
            {"loaded": [expert.fingerprint for expert in loaded.values()]}
            if loaded
            else {
                "experts": entry(study).model_dump(mode="json"),
                "experts_code": code_of(entry(study).kind),
                "training": study.training.settings,
                "seed": study.replicate_seed(0),
            }
        )
    return facts


def similarities(
    study: Study, backbone: str, pinned: Pinned, measures: Sequence[str] | None = None
) -> Tables:
    """Returns similarities between all tasks of a study, by measure, on one of its backbones.

    Reads what has been measured on this machine before. Otherwise costs one forward pass over a
    sample of every task, backward passes, or the training of experts, as the measures need.

    Args:
        study: The tasks, the number of samples, and how experts are trained.
        backbone: Label of the backbone.
        pinned: The data and backbones of the study.
        measures: Some of MEASURES; those of the study's section `similarity` by default.

    Raises:
        InputError: a measure is not defined for one of the tasks, or gives what is not finite.
    """
    measures = measures or (study.similarity or Similarities()).measures
    check_measures(study, measures)
    files = {measure: _file(recipe(study, backbone, pinned, [measure])) for measure in measures}
    missing = [measure for measure, file in files.items() if not file.exists()]
    if missing:
        source = pinned.sources[backbone]
        source.verify()
        experts = pinned.of_backbone(backbone)
        for measure, S in _measure(study, backbone, source, missing, experts).items():
            if not np.isfinite(S).all():
                raise InputError(
                    f"similarity measure '{measure}' is NaN or infinite for some tasks on backbone "
                    f"'{backbone}', so nothing can be said by it; leave it out."
                )
            _save(S, files[measure])
        clear_device_cache(garbage_collection=True)  # lanes may need all the device's memory
    return {measure: np.load(file) for measure, file in files.items()}


def _file(facts: Mapping[str, Any]) -> Path:
    text = json.dumps(facts, sort_keys=True)
    return CACHE / f"similarity-{hashlib.sha256(text.encode()).hexdigest()}.npy"


def _save(S: np.ndarray, file: Path) -> None:
    largest = float(np.abs(S).max())
    rounded = S.round(DIGITS - math.ceil(math.log10(largest))) if largest else S
    with appearing_complete(file) as unfinished:
        np.save(unfinished, rounded)


def _measure(
    study: Study,
    label: str,
    source: Source,
    names: Sequence[str],
    loaded: Mapping[str, ExpertSource],
) -> Tables:
    images = (study.similarity or Similarities()).images
    measures: dict[str, Measure] = {name: resolve("measures", name) for name in names}
    materials = {measure.material for measure in measures.values()}
    given: dict[Material, tuple[object, ...]] = {}
    if materials & {"embeddings", "gradients"}:
        backbone = source.load()
        if torch.accelerator.is_available():
            backbone = backbone.to(torch.accelerator.current_accelerator())
        samples = sample(backbone, study.benchmark.load().tasks, images)
        parameters = dict(backbone.named_parameters())
        if study.training.towers:
            backbone.learn_in(study.training.towers)
        weights = [parameters[name] for name in backbone.trainable()]
        if "embeddings" in materials:
            given["embeddings"] = (embed(backbone, samples),)
        given["gradients"] = (backbone.train(), weights, samples)
    if "experts" in materials:
        given["experts"] = (train_experts(study, label, source, images, CACHE, loaded),)
    return {name: measure.compute(*given[measure.material]) for name, measure in measures.items()}


def task_rows(backbone: str, tables: Tables, tasks: Sequence[str]) -> pa.Table:
    """Returns one row per measure and ordered pair of tasks.

    Columns: backbone, measure, task (i), other (j), similarity (S[i, j]), direction (which
    properties of the two are compared; "" if the tasks can be exchanged).
    """
    rows = [
        {
            "backbone": backbone,
            "measure": measure,
            "task": task,
            "other": other,
            "similarity": float(S[i, j]),
            "direction": resolve("measures", measure).direction,
        }
        for measure, S in tables.items()
        for i, task in enumerate(tasks)
        for j, other in enumerate(tasks)
    ]
    return pa.Table.from_pylist(rows)


def order_rows(
    backbone: str, tables: Tables, tasks: Sequence[str], orders: Iterable[Order]
) -> pa.Table:
    """Returns a row per measure and order of two or more tasks, with all SCORES."""
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
