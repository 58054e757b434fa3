"""What a study is told about the similarity of its tasks, and what it keeps of that."""

import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

from sweep.errors import unknown
from sweep.orders import Similarity
from sweep.similarity.measures import MEASURES
from sweep.similarity.proposals import propose
from sweep.similarity.tables import order_rows, recipe, similarities, task_rows
from sweep.sources import Source, find_source
from sweep.store import Folder
from sweep.study import Similarities, Study
from sweep.work import Order


def settle(study: Study, sources: Mapping[str, Source]) -> Study:
    """The study with everything its design has to measure; the same if that is nothing.

    The matrix becomes part of the study: it is written to study.yaml, and a run goes on with it.

    Raises:
        InputError: the design names no backbone of the study.
    """
    design = study.design
    if not isinstance(design, Similarity) or design.settled:
        return study
    backbone = _label(study, design.backbone)
    similarity = study.similarity or Similarities()
    measures = dict.fromkeys([design.measure, *similarity.measures])
    similarity = similarity.model_copy(update={"measures": tuple(measures)})
    study = study.model_copy(update={"similarity": similarity})
    S = similarities(study, backbone, sources[backbone], [design.measure])[design.measure]
    matrix = tuple(map(tuple, S.tolist()))
    return study.model_copy(update={"design": design.model_copy(update={"matrix": matrix})})


def proposed(study: Study, measure: str, score: str, best: bool, backbone: str | None) -> Order:
    """The order of a study's tasks that a score of one measure calls best or worst.

    Raises:
        InputError: there is no such measure, score or backbone, or there are too many tasks.
    """
    if measure not in MEASURES:
        raise unknown("measure", measure, MEASURES)
    label = _label(study, backbone)
    S = similarities(study, label, find_source(study.backbones[label]), [measure])[measure]
    tasks = study.benchmark.task_names()
    return tuple(tasks[i] for i in propose(S, score, best))


def _label(study: Study, backbone: str | None) -> str:
    if backbone is not None and backbone not in study.backbones:
        raise unknown("backbone", backbone, study.backbones)
    return backbone or next(iter(study.backbones))


def keep(
    study: Study, sources: Mapping[str, Source], orders: Iterable[Order], folder: Folder
) -> None:
    """Write similarity/: tasks.parquet, orders.parquet (what is foretold of each), recipe.json.

    Nothing for a study that does not measure similarity.
    """
    if not study.similarity:
        return
    tasks, planned = study.benchmark.task_names(), list(orders)
    pairs, scores, recipes = [], [], {}
    for backbone, source in sources.items():
        tables = similarities(study, backbone, source)
        pairs.append(task_rows(backbone, tables, tasks))
        scores.append(order_rows(backbone, tables, tasks, planned))
        recipes[backbone] = recipe(study, backbone, source, tables)
    folder.write_table(pa.concat_tables(pairs), "similarity", "tasks.parquet")
    folder.write_table(pa.concat_tables(scores), "similarity", "orders.parquet")
    folder.write(json.dumps(recipes, indent=1).encode(), "similarity", "recipe.json")
