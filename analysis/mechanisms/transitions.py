"""Do cross-modal contributions predict what a transition from one task to the next does?

Theorem 1 of Sekeh & Wisell (2026, arXiv 2606.14883): on going from task s to task t the loss
changes by

    Delta = beta_IT Con_IT(s, t) + beta_TI Con_TI(s, t) + alpha,

tested by least squares over transitions. Left open there and decided here: a transition is the
stage that learns t right after s, Delta is the change from just before to just after it, and both
what happens to s (the task before: interference) and to t (the new task) are looked at, in accuracy
and, where recorded, in loss (of the image-text similarities). The scores
are those of the untouched backbone ("frozen") or of the model just before the stage ("adaptive").

All replicates go through the same pairs of tasks, so two scores that are made up explain a part of
what is the same in all of them, and predict it in replicates left out. Whether the scores have
anything to do with it is said by p: the share of permutations of their tasks that explain as much.
"""

import numpy as np
import pandas as pd

from analysis.data.results import Results
from analysis.inference.intervals import t_interval
from analysis.inference.replicates import are_complete, centred
from analysis.inference.significance import holm
from analysis.mechanisms.embedding_alignment import Space, spaces
from analysis.orders.relabelling import share_as_large, task_permutations

SCORES = ("frozen", "adaptive")
RESPONSES = {
    "accuracy_before": ("task", ""),
    "accuracy_new": ("task", ""),
    "loss_before": ("alignment", "loss"),
    "loss_new": ("alignment", "loss"),
}
"""Changes of the task before and of the new one: split and metric of the results table; "": the
task's score."""
WAYS = ("image_text", "text_image")
_COEFFICIENTS = ("alpha", *WAYS)
PERMUTATIONS = 499
"""Of the tasks, where there are too many to try all."""


def transitions(results: Results, runs: pd.DataFrame) -> pd.DataFrame:
    """Returns every stage that follows another one, once for all orders through it.

    Args:
        results: where the runs come from.
        runs: what `metrics` returns for them.

    Returns:
        One row per (backbone, method, replicate, prefix of two tasks or more): complete (whether
        the replicates are), before, new (the last two tasks), Con_IT and Con_TI of
        before to new as frozen_image_text, ..., adaptive_text_image, and RESPONSES (change from
        just before the stage to just after it; NaN where not recorded).

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = transitions(results, runs)
    >>> found[["before", "new", "frozen_image_text", "accuracy_before"]].round(2).head(3)
      before       new  frozen_image_text  accuracy_before
    0   cars      pets               0.70            -0.33
    1   pets  textures               0.70            -0.38
    2   cars  textures               0.17            -0.41
    """
    parts = [_transitions(results, space) for space in spaces(results, runs)]
    names = ["backbone", "method", "replicate", "prefix", "complete", "before", "new"]
    names += [f"{score}_{way}" for score in SCORES for way in WAYS] + list(RESPONSES)
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _transitions(results: Results, space: Space) -> pd.DataFrame:
    numbered = [
        (row[k], row[k - 1], row[0])
        for row, order in zip(space.where, space.runs["order"], strict=True)
        for k in range(2, len(order) + 1)
    ]
    now, parent, start = np.array(sorted(set(numbered)), int).reshape(-1, 3).T
    keys = list(space.stages)
    stages, parents = [keys[i] for i in now], [keys[i] for i in parent]
    found = pd.DataFrame(stages, columns=["backbone", "method", "replicate", "prefix"])
    found["before"] = [prefix[-2] for prefix in found["prefix"]]
    found["new"] = [prefix[-1] for prefix in found["prefix"]]
    found["complete"] = are_complete(space.runs)
    s, t = (found[name].map(space.tasks.index).to_numpy(int) for name in ("before", "new"))
    each = np.arange(len(found))
    for score, where in zip(SCORES, (start, parent), strict=True):
        for way in WAYS:
            found[f"{score}_{way}"] = space.table(way, where)[each, s, t]
    scores = results.scores
    for response, (split, metric) in RESPONSES.items():
        tasks = found[response.rsplit("_", 1)[1]]
        wanted = [(split, t, metric) if metric else scores.score(split, t) for t in tasks]
        columns = [scores.columns.get(evaluation, -1) for evaluation in wanted]
        after, before = ([scores.rows[stage] for stage in part] for part in (stages, parents))
        found[response] = scores.values[after, columns] - scores.values[before, columns]
    return found


def transition_models(found: pd.DataFrame) -> pd.DataFrame:
    """Returns the regression of every response on both scores, fitted in every replicate by itself.

    Args:
        found: what `transitions` returns.

    Returns:
        One row per (backbone, method, scores, response): the coefficients alpha, image_text and
        text_image, each the mean over replicates with its t interval, X_low and X_high; r2 and
        sign (share of transitions whose change has the sign that the fit gives it; no change at
        all counts as one half), means over replicates; r2_out (every replicate predicted by the
        mean of the others' coefficients; NaN for one replicate); p (the share of permutations of
        the tasks of the scores with an r2 as large; NaN for adaptive scores, which are others in
        every run, and where a pair of tasks has no transition), p_holm (the same, corrected for
        all of a backbone); transitions, replicates.

    >>> from analysis import metrics, tiny_study
    >>> results = tiny_study()
    >>> runs = metrics(results)
    >>> found = transition_models(transitions(results, runs))
    >>> found[["method", "scores", "response", "r2"]].round(2).head(2)
         method  scores         response    r2
    0  finetune  frozen  accuracy_before  0.92
    1  finetune  frozen     accuracy_new  0.74
    """
    rows = []
    for (backbone, method), group in found.groupby(["backbone", "method"]):
        for scores in SCORES:
            for response in RESPONSES:
                defined = group.dropna(subset=response)
                head = {"backbone": backbone, "method": method, "scores": scores}
                predictors = [f"{scores}_{way}" for way in WAYS]
                fitted = _fitted(defined, predictors, response)
                if fitted:
                    p = _p(defined, predictors, response) if scores == "frozen" else np.nan
                    fitted |= {"p": p}
                    rows.append(head | {"response": response} | fitted)
    table = pd.DataFrame(rows, columns=[name for name in _COLUMNS if name != "p_holm"])
    corrected = table.dropna(subset="p").groupby("backbone")["p"].transform(holm)
    return table.assign(p_holm=corrected.reindex(table.index))[_COLUMNS]


_COLUMNS = [
    *("backbone", "method", "scores", "response"),
    *(column + end for column in _COEFFICIENTS for end in ("", "_low", "_high")),
    *("r2", "sign", "r2_out", "p", "p_holm", "transitions", "replicates"),
]


def _fitted(found: pd.DataFrame, predictors: list[str], response: str) -> dict[str, object]:
    """Returns the row of one regression; {} where no replicate can be fitted."""
    blocks = []
    for _, block in found.groupby("replicate"):
        X = np.column_stack([np.ones(len(block)), block[predictors].to_numpy(float)])
        y = block[response].to_numpy(float)
        if len(y) > X.shape[1] and np.linalg.matrix_rank(X) == X.shape[1] and np.ptp(y) > 0:
            blocks.append((X, y, np.linalg.lstsq(X, y, rcond=None)[0]))
    if not blocks:
        return {}
    row: dict[str, object] = {
        "r2": np.mean([_r2(y, X @ beta) for X, y, beta in blocks]),
        "sign": np.mean([_sign(y, X @ beta) for X, y, beta in blocks]),
    }
    for column, values in zip(_COEFFICIENTS, np.array([b for *_, b in blocks]).T, strict=True):
        mean, low, high = t_interval(values).only_if(bool(found["complete"].all()))
        row |= {column: mean, f"{column}_low": low, f"{column}_high": high}
    row |= {"r2_out": _r2_out(blocks), "transitions": sum(len(y) for _, y, _ in blocks)}
    return row | {"replicates": len(blocks)}


def _p(found: pd.DataFrame, predictors: list[str], response: str) -> float:
    """Returns the share of permutations of the tasks of the scores that explain as much."""
    tasks = sorted({*found["before"], *found["new"]})
    s, t = (found[name].map(tasks.index).to_numpy(int) for name in ("before", "new"))
    T = len(tasks)
    tables = np.full((len(predictors), T, T), np.nan)
    tables[:, s, t] = found[predictors].to_numpy(float).T
    if np.isnan(tables[:, ~np.eye(T, dtype=bool)]).any():
        return np.nan
    names, replicate = task_permutations(T, PERMUTATIONS), found["replicate"].to_numpy()
    y = centred(found[response].to_numpy(float), replicate)
    r2 = np.zeros(len(names))
    for r in np.unique(replicate):
        mine = replicate == r
        pairs = names[:, s[mine]], names[:, t[mine]]
        X = np.stack([table[pairs] for table in tables], axis=2)  # [permutations, transitions, 2]
        X = X - X.mean(axis=1, keepdims=True)
        gram, product = X.swapaxes(1, 2) @ X, np.einsum("kij,i->kj", X, y[mine])
        solution = np.linalg.pinv(gram, rcond=1e-9, hermitian=True) @ product[:, :, None]
        explained, total = (product * solution[:, :, 0]).sum(axis=1), (y[mine] ** 2).sum()
        r2 += explained / total if total > 0 else 0
    return share_as_large(r2)


def _r2(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _sign(y: np.ndarray, predicted: np.ndarray) -> float:
    return float((1 + np.sign(y) * np.sign(predicted)).mean() / 2)


def _r2_out(blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    if len(blocks) < 2:
        return np.nan
    total = sum(beta for *_, beta in blocks)
    left = sum(
        float(((y - X @ ((total - beta) / (len(blocks) - 1))) ** 2).sum()) for X, y, beta in blocks
    )
    return float(1 - left / sum(((y - y.mean()) ** 2).sum() for _, y, _ in blocks))
