"""Measures similarity for a study's design, for a proposed order, and for the run folder."""

import json
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sweep.errors import unknown
from sweep.measuring.similarity_matrices import order_rows, recipe, similarities, task_rows
from sweep.orders.by_similarity import Similarity
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.registry import check
from sweep.similarity.bands import TINY, NullLaw
from sweep.similarity.order_scores import SCORES
from sweep.similarity.proposals import propose
from sweep.storage.folder import Folder
from sweep.study.pinned import Pinned, pin
from sweep.study.schema import Similarities, Study


def make_plan(study: Study) -> Plan:
    """Pins down data and backbones, measures the similarity that the design needs, and plans.

    Raises:
        InputError: the study cannot be run.

    >>> from sweep import Study
    >>> plan = make_plan(Study.load("quickstart"))
    >>> plan.counts()["orders"], len(plan.units)
    (24, 384)
    """
    study = study.anew()
    pinned = pin(study)
    return Plan(resolve_design(study, pinned), pinned)


def resolve_design(study: Study, pinned: Pinned) -> Study:
    """Returns the study with the similarity matrix that its design needs, if it needs one.

    The matrix becomes part of the study: it is written to study.yaml, and a resumed run uses it.

    Raises:
        InputError: the design names a backbone that the study does not have.
    """
    design = study.design
    if not isinstance(design, Similarity) or design.is_resolved:
        return study
    backbone = _label(study, design.backbone)
    similarity = study.similarity or Similarities()
    measures = dict.fromkeys([design.measure, *similarity.measures])
    similarity = similarity.model_copy(update={"measures": tuple(measures)})
    study = study.model_copy(update={"similarity": similarity})
    S = similarities(study, backbone, pinned, [design.measure])[design.measure]
    matrix = tuple(map(tuple, S.tolist()))
    return study.model_copy(update={"design": design.model_copy(update={"matrix": matrix})})


class Proposal(NamedTuple):
    """Holds the order that a score proposes, and how the score compares with that of others."""

    order: Order
    is_best: bool
    """Whether the score calls it the best order, rather than the worst."""
    value: float
    """Its score."""
    lower: float
    """Share of orders with a lower score."""
    higher: float
    mean: float
    """Over these orders."""
    sd: float
    orders: int
    """How many they are."""
    is_complete: bool
    """Whether they are all orders of these tasks, rather than a random sample."""


def proposed(study: Study, measure: str, score: str, best: bool, backbone: str | None) -> Proposal:
    """Returns the order of a study's tasks that a score of one measure calls best or worst.

    Raises:
        InputError: there is no such measure, score or backbone, or there are too many tasks.
    """
    check("measures", measure)
    if score not in SCORES:
        raise unknown("score", score, SCORES)
    study = study.anew()
    label = _label(study, backbone)
    pinned = pin(study)
    S = similarities(study, label, pinned, [measure])[measure]
    places = propose(S, score, best)
    law = NullLaw(S)
    value = float(SCORES[score](S, np.array([places]))[0])
    values = SCORES[score](S, law.orders)
    near = TINY * max(1.0, float(np.abs(values).max()))
    return Proposal(
        tuple(pinned.tasks[i] for i in places),
        best,
        value,
        float(np.mean(values < value - near)),
        float(np.mean(values > value + near)),
        float(values.mean()),
        float(values.std()),
        len(values),
        law.complete,
    )


def _label(study: Study, backbone: str | None) -> str:
    if backbone is not None and backbone not in study.backbones:
        raise unknown("backbone", backbone, study.backbones)
    return backbone or next(iter(study.backbones))


def save(plan: Plan, folder: Folder) -> None:
    """Writes similarity/: tasks.parquet, orders.parquet (scores of each), recipe.json.

    Writes nothing for a study that does not measure similarity.
    """
    study, pinned = plan.study, plan.pinned
    if not study.similarity:
        return
    planned = [run.order for run in plan.runs]
    pairs, scores, recipes = [], [], {}
    for backbone in pinned.sources:
        tables = similarities(study, backbone, pinned)
        pairs.append(task_rows(backbone, tables, pinned.tasks))
        scores.append(order_rows(backbone, tables, pinned.tasks, planned))
        recipes[backbone] = recipe(study, backbone, pinned, tables)
    folder.write_table(pa.concat_tables(pairs), "similarity", "tasks.parquet")
    folder.write_table(pa.concat_tables(scores), "similarity", "orders.parquet")
    folder.write(json.dumps(recipes, indent=1).encode(), "similarity", "recipe.json")
