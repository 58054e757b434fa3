"""How the features of a task move while later tasks are learnt, as pictures in the plane.

t-SNE (van der Maaten & Hinton, JMLR 2008) of the features of one task twice over, right after it
was learnt and after the last task, images and texts of choices together: close points are close in
the embedding space, far ones may lie anywhere. Studies keep single features where `evaluation:
{measures: [features]}` asks for them.
"""

import numpy as np
import pandas as pd

from analysis.data.results import RUN, STAGE, Results

PERPLEXITY = 15.0
"""Neighbours that count, of some 150 points."""


def feature_maps(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the features of every task but the last, of one run per (backbone, method).

    The run is the one that ends worst on average over all methods that have it.

    Args:
        results: with features.
        runs: what `metrics` returns.

    Returns:
        One row per (backbone, method, replicate, order, task, modality, sample): choice (the class
        of the sample), x, y (after the stage that learnt the task), x_end, y_end (after the last).
    """
    rows = []
    shown = results.features if len(runs) else pd.DataFrame()
    stages = dict(iter(shown.groupby(STAGE))) if len(shown) else {}
    for head, mine in runs.groupby(RUN[:2]):
        worst_first = runs[runs["backbone"] == head[0]].groupby(RUN[2:])["average_accuracy"].mean()
        there = set(zip(mine["replicate"], mine["order"], strict=True))
        replicate, order = next(run for run in worst_first.sort_values().index if run in there)
        after = stages.get((*head, replicate, order))
        for place, task in enumerate(order[:-1], start=1):
            before = stages.get((*head, replicate, order[:place]))
            if before is not None and after is not None:
                found = _embedded(before, after, task)
                facts = dict(zip(RUN, (*head, replicate, order), strict=True)) | {"task": task}
                rows += [facts | row for row in found.to_dict("records")]
    return pd.DataFrame(rows, columns=[*RUN, "task", *_SAMPLE, "choice", *_PLACES])


def _embedded(before: pd.DataFrame, after: pd.DataFrame, task: str) -> pd.DataFrame:
    both = before[before["eval_task"] == task].merge(
        after[after["eval_task"] == task], on=_SAMPLE, suffixes=("", "_after")
    )
    vectors = np.stack([*both["vector"], *both["vector_after"]]).astype(np.float64)
    from sklearn.manifold import TSNE  # half a second, which only studies with features take

    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=0)
    start, end = np.split(tsne.fit_transform(vectors), 2)
    places = pd.DataFrame(np.hstack([start, end]), columns=_PLACES)
    return both[[*_SAMPLE, "choice"]].join(places)


_SAMPLE = ["modality", "sample"]
_PLACES = ["x", "y", "x_end", "y_end"]
