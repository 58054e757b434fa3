"""How a vision-language model fails when it learns one task after another, mode by mode.

Liu et al., "Continual Learning for VLMs: A Survey and Taxonomy Beyond Forgetting" (2025, arXiv
2508.04227) tell three failure modes apart and ask for each to be diagnosed by itself: features of
the two modalities drift apart, modules that tasks share interfere, and zero-shot ability erodes.
Every mode has measures of its own here, at every stage of every run; what to measure is left open
there, so where a measure comes from is said with it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.data.results import Results, as_runs
from analysis.data.score_array import EvaluationKey
from analysis.inference.replicates import over_replicates, with_same_tasks
from analysis.mechanisms.embedding_alignment import Space, spaces
from analysis.orders.blocks import Blocks


class ModeMeasure(NamedTuple):
    """Describes a measure of one failure mode."""

    mode: str
    label: str
    formula: str


MEASURES = {
    "pair_cosine": ModeMeasure(
        "drift", "Cosine of matching pairs", "mean over tasks of the cosine of image and own text"
    ),
    "centroid_cosine": ModeMeasure(
        "drift", "Cosine of task means", "mean over tasks t of <m_I(t), m_T(t)>"
    ),
    "modality_gap": ModeMeasure(
        "drift",
        "Modality gap",
        "|mean over t of m_I(t) - mean over t of m_T(t)| (Liang et al. 2022, arXiv 2203.02053)",
    ),
    "recall_divergence": ModeMeasure(
        "drift",
        "Recall divergence",
        "change since stage 0 of R@1 from image to text, minus that from text to image",
    ),
    "cka_image": ModeMeasure("drift", "CKA of images", "linear CKA of image embeddings to stage 0"),
    "cka_text": ModeMeasure("drift", "CKA of texts", "linear CKA of text embeddings to stage 0"),
    "interference": ModeMeasure(
        "interference", "Lost of the task before", "R[k-1, i] - R[k, i] of the task i learnt at k-1"
    ),
    "zero_shot_erosion": ModeMeasure(
        "erosion", "Zero-shot erosion", "mean over held-out suites of R[0] - R[k]"
    ),
    "retrieval_erosion": ModeMeasure(
        "erosion", "Retrieval erosion", "mean over both directions of R@1 at stage 0 - at k"
    ),
}
"""By name; CKA only where a study measures it."""


def failure_modes(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns every measure at every stage.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, measure, stage) that is defined: mode, mean (of replicate
        means), low, high (t interval over replicates), order_sd (see `robustness.spread`),
        runs. Only methods whose orders hold the same tasks.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = failure_modes(results, runs).query("measure == 'interference'")
    >>> found[["method", "stage", "mean", "low", "high"]].round(3)
          method  stage   mean    low   high
    8   finetune      2  0.318  0.317  0.318
    9   finetune      3  0.318  0.317  0.318
    18    replay      2  0.121  0.118  0.124
    19    replay      3  0.121  0.118  0.124
    """
    found = {
        (space.runs["backbone"].iloc[0], space.runs["method"].iloc[0]): space
        for space in spaces(results, runs)
    }
    rows = []
    for used, _ in with_same_tasks(runs):
        head = {name: used[name].iloc[0] for name in ("backbone", "method")}
        blocks = Blocks.of(used)
        space = found.get((head["backbone"], head["method"]))
        for name, values in _measured(results, used, space):
            for stage in np.flatnonzero(~np.isnan(values).any(axis=0)):
                mine = values[:, stage]
                row = head | {"mode": MEASURES[name].mode, "measure": name, "stage": int(stage)}
                row |= over_replicates(mine, used)._asdict()
                variance = float(blocks.split(mine[:, None]).order[0])
                rows.append(row | {"order_sd": max(0.0, variance) ** 0.5, "runs": len(used)})
    names = ["backbone", "method", "mode", "measure", "stage", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=[*names, "order_sd", "runs"])


def _measured(
    results: Results, runs: pd.DataFrame, space: Space | None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields measures of one method's runs [runs, T + 1]; NaN at stages without one."""
    scores, keys = results.scores, as_runs(runs)
    where = scores.locate(keys)
    R = scores.matrices(keys, where)

    def mean_of(evaluations: list[EvaluationKey]) -> np.ndarray:
        known = [evaluation for evaluation in evaluations if evaluation in scores.columns]
        if not known:
            return np.full(R.shape[:2], np.nan)
        mean: np.ndarray = scores.along(where, known).mean(axis=2)
        return mean

    i2t, t2i = (mean_of(scores.retrieval((recall,))) for recall in ("i2t_r1", "t2i_r1"))
    interference = np.full(R.shape[:2], np.nan)
    now, before = (np.diagonal(R[:, k:], axis1=1, axis2=2) for k in (2, 1))
    interference[:, 2:] = before[:, : now.shape[1]] - now
    probes = mean_of(scores.probes)
    tasks = sorted(runs["order"].iloc[0])
    yield "pair_cosine", mean_of([("alignment", task, "cosine") for task in tasks])
    if space is not None:
        images, texts = space.means.swapaxes(0, 1)  # [stages, T, D]
        yield "centroid_cosine", (images * texts).sum(axis=2).mean(axis=1)[space.where]
        gap = np.linalg.norm(images.mean(axis=1) - texts.mean(axis=1), axis=1)
        yield "modality_gap", gap[space.where]
    yield "recall_divergence", _change(i2t) - _change(t2i)
    for modality in ("image", "text"):
        yield f"cka_{modality}", mean_of([("cka", "all tasks", modality)])
    yield "interference", interference
    yield "zero_shot_erosion", -_change(probes)
    yield "retrieval_erosion", -_change((i2t + t2i) / 2)


def _change(values: np.ndarray) -> np.ndarray:
    """Returns the change of every stage since stage 0."""
    change: np.ndarray = values - values[:, :1]
    return change
