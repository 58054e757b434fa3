"""Contributions between tasks in the embedding space, and how training moves them.

Sekeh & Wisell, "Understanding Cross-Modal Contributions in Continual Vision-Language Models" (2026,
arXiv 2606.14883). The contribution of task s to task t is the expected cosine of an image or text
of s with an image or text of t; with unit embeddings that are drawn independently it is the inner
product of mean embeddings,

    Con_XY(s, t) = E[<f_X(x), f_Y(y)>] = <m_X(s), m_Y(t)>,  x of s, y of t,

so that all four tables are blocks of one Gram matrix, and Con_TI is Con_IT transposed. On the
untouched backbone the tables are "frozen" and know no order; after a stage they are "adaptive".

Left open there and decided here: a task's embeddings are those of its test images and of the texts
of all its choices, each counted once; within a task (s = t) draws are independent, too, with
replacement. (The similarity measure of that name makes other choices, from training images, for the
design of orders before anything is trained.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.data.results import Results
from analysis.data.score_array import StageKey
from analysis.inference.replicates import over_replicates, with_same_tasks
from analysis.mechanisms.contribution_table import Contributions

KINDS = ("image_text", "text_image", "image_image", "text_text")
"""Con_IT, Con_TI, Con_II and Con_TT."""
MODALITIES = ("image", "text")
ROUNDING = 1e-6
"""Of cosines of single-precision embeddings."""


@dataclass(frozen=True, eq=False)
class Space:
    """Holds mean embeddings of all tasks at all stages of the runs of one method.

    Attributes:
        runs: those that count, [runs].
        tasks: their names.
        means: [stages, 2, T, D]: mean unit embeddings of images, then texts.
        stages: the row of `means` of every stage.
        where: that of stages 0..T of every run, [runs, T + 1].
    """

    runs: pd.DataFrame
    tasks: list[str]
    means: np.ndarray
    stages: dict[StageKey, int]
    where: np.ndarray

    def table(self, kind: str, stages: np.ndarray) -> np.ndarray:
        """Returns Con_XY of every task (row) to every other at rows of `means`: [..., T, T]."""
        x, y = (MODALITIES.index(modality) for modality in kind.split("_"))
        used, place = np.unique(stages, return_inverse=True)
        found = self.means[used, x] @ self.means[used, y].swapaxes(1, 2)
        gathered: np.ndarray = found[place.reshape(stages.shape)]
        return gathered


def spaces(results: Results, runs: pd.DataFrame) -> Iterator[Space]:
    """Yields a space per (backbone, method) with complete embeddings and the same tasks.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.
    """
    known = dict(iter(results.embeddings.groupby(["backbone", "method"])))
    for used, tasks in with_same_tasks(runs):
        first = used.iloc[0]
        found = known.get((first["backbone"], first["method"]))
        if found is None:
            continue
        means, stages = _means(found[found["eval_task"].isin(tasks)], tasks)
        where = np.array(
            [
                [
                    stages.get((first["backbone"], first["method"], replicate, order[:k]), -1)
                    for k in range(len(order) + 1)
                ]
                for replicate, order in zip(used["replicate"], used["order"], strict=True)
            ]
        )
        if where.min() >= 0 and not np.isnan(means[np.unique(where)]).any():
            yield Space(used, tasks, means, stages, where)


def _means(found: pd.DataFrame, tasks: list[str]) -> tuple[np.ndarray, dict[StageKey, int]]:
    """Returns the vectors of one method as [stages, 2, T, D], and the row of every stage."""
    keys = list(zip(found["backbone"], found["method"], found["replicate"], found["prefix"],
                    strict=True))  # fmt: skip
    stages = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    vectors = np.stack(found["vector"].to_list()).astype(float)
    means = np.full((len(stages), len(MODALITIES), len(tasks), vectors.shape[1]), np.nan)
    row = [stages[key] for key in keys]
    modality = found["modality"].map(MODALITIES.index).to_numpy()
    means[row, modality, found["eval_task"].map(tasks.index).to_numpy()] = vectors
    return means, stages


def alignments(results: Results, runs: pd.DataFrame) -> Iterator[Contributions]:
    """Yields the contributions between tasks in embedding space, after the last stage of every run.

    Yields:
        Per (backbone, method) and kind of KINDS: values[run, s, t] = Con_XY(s, t) at the end,
        start[s, t] the same of the untouched backbone.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> part = next(alignments(results, runs))
    >>> part.kind, part.values.shape  # [runs, from task, to task]
    ('image_text', (24, 3, 3))
    >>> part.values.mean(axis=0).round(2)
    array([[ 0.84,  0.39, -0.2 ],
           [ 1.  ,  0.84,  0.39],
           [ 0.81,  1.  ,  0.84]])
    """
    for space in spaces(results, runs):
        for kind in KINDS:
            yield Contributions(
                kind=kind,
                runs=space.runs,
                players=space.tasks,
                targets=space.tasks,
                values=space.table(kind, space.where[:, -1]),
                start=space.table(kind, space.where[:1, 0])[0],
                noise=ROUNDING,
            )


def alignment_drift(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns how far the tables move away from the frozen ones, stage by stage.

    Returns:
        One row per (backbone, method, kind, pairs, stage), with pairs "within" (s = t) or
        "between" tasks: mean (of Con - Con at stage 0), low, high (t interval over replicates),
        size (mean of its absolute value), runs.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = alignment_drift(results, runs).query('stage == 3')
    >>> found[["method", "kind", "pairs", "stage", "mean"]].round(3).head(4)
          method        kind    pairs  stage   mean
    6   finetune  image_text   within      3 -0.141
    7   finetune  image_text  between      3 -0.095
    14  finetune  text_image   within      3 -0.141
    15  finetune  text_image  between      3 -0.095
    """
    rows = []
    for space in spaces(results, runs):
        head = {name: space.runs[name].iloc[0] for name in ("backbone", "method")}
        for kind in KINDS:
            frozen = space.table(kind, space.where[:1, 0])
            for stage, where in enumerate(space.where.T):
                moved = space.table(kind, where) - frozen
                for pairs in ("within", "between"):
                    chosen = np.eye(len(space.tasks), dtype=bool) ^ (pairs == "between")
                    if not chosen.any():
                        continue
                    mine = moved[:, chosen]
                    row = head | {"kind": kind, "pairs": pairs, "stage": stage}
                    row |= over_replicates(mine.mean(axis=1), space.runs)._asdict()
                    rows.append(row | {"size": float(np.abs(mine).mean()), "runs": len(mine)})
    return pd.DataFrame(rows, columns=_DRIFT)


_DRIFT = ["backbone", "method", "kind", "pairs", "stage", "mean", "low", "high", "size", "runs"]
