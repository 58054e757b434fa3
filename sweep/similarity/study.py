"""What a study is told about the similarity of its tasks, and what it keeps of that."""

import json
from collections.abc import Iterable, Mapping

import pyarrow as pa

from sweep.errors import unknown
from sweep.orders import Similarity
from sweep.similarity.tables import Tables, order_rows, recipe, similarities, task_rows
from sweep.sources import Source
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
    backbone = design.backbone or next(iter(study.backbones))
    if backbone not in study.backbones:
        raise unknown("backbone in design 'similarity'", backbone, study.backbones)
    measuring = study.model_copy(update={"similarity": study.similarity or Similarities()})
    S = _tables(measuring, backbone, sources[backbone])[design.measure]
    matrix = tuple(map(tuple, S.tolist()))
    return measuring.model_copy(update={"design": design.model_copy(update={"matrix": matrix})})


def _tables(study: Study, backbone: str, source: Source) -> Tables:
    assert study.similarity
    answer = study.backbones[backbone].answer
    return similarities(source, answer, study.benchmark, study.similarity.images)


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
        tables = _tables(study, backbone, source)
        pairs.append(task_rows(backbone, tables, tasks))
        scores.append(order_rows(backbone, tables, tasks, planned))
        answer = study.backbones[backbone].answer
        recipes[backbone] = recipe(source, answer, study.benchmark, study.similarity.images)
    folder.write_table(pa.concat_tables(pairs), "similarity", "tasks.parquet")
    folder.write_table(pa.concat_tables(scores), "similarity", "orders.parquet")
    folder.write(json.dumps(recipes, indent=1).encode(), "similarity", "recipe.json")
