"""Do similar tasks harm or help each other more? Over pairs of tasks, and over orders.

Cells of a matrix of task pairs that share a task are not independent, so tasks, not cells, are
permuted: rows and columns together. What similarity does over orders is tested in the same way: the
interval of a slope over replicates is about these tasks, and a similarity that is made up has a
slope for them, too (see `relabelling`).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import ArrayLike
from pyarrow import fs

from analysis.data.results import Results
from analysis.inference.intervals import correlation
from analysis.inference.replicates import centred, with_same_tasks
from analysis.orders.order_models import adjacency
from analysis.orders.predictors import dose_response, ends, order_scores
from analysis.orders.relabelling import share_as_large, slope_p, task_permutations

SCORE = "adjacent"
"""Mean similarity of neighbours in the order."""
HEAD = ["backbone", "method", "measure"]


def adjacencies(results: Results) -> pd.DataFrame:
    """Returns how similar the neighbours of every planned order are; see `order_scores`."""
    scores = order_scores(results)
    return scores[scores["score"] == SCORE]


def task_pairs(results: Results, contributions: pd.DataFrame) -> pd.DataFrame:
    """Returns how similar the tasks of every pair are, and what learning one does to the other.

    Args:
        results: of a study; without similarity/tasks.parquet the frame is empty.
        contributions: what `contributions` returns for them.

    Returns:
        One row per (backbone, method, measure, trained, task), trained != task: similarity of
        trained to task, contribution (mean over orders), runs.
    """
    names = [*HEAD, "trained", "task", "similarity", "contribution", "runs"]
    path, folder = "similarity/tasks.parquet", results.folder
    if folder is None or folder.get_file_info(path).type != fs.FileType.File:
        return pd.DataFrame(columns=names)
    measured = pq.read_table(path, filesystem=folder).to_pandas()
    measured = measured.rename(columns={"task": "trained", "other": "task"})
    gained = contributions[contributions["trained"] != contributions["task"]]
    both = measured.merge(gained, on=["backbone", "trained", "task"])
    named: pd.DataFrame = both.rename(columns={"mean": "contribution"})[names]
    return named


def effects(runs: pd.DataFrame, scores: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Returns what similarity does, by orders and by pairs of tasks.

    Args:
        runs: what `metrics` returns.
        scores: what `adjacencies` returns.
        pairs: what `task_pairs` returns.

    Returns:
        One row per (backbone, method, measure): r and p (Mantel, of similarity and contribution
        over pairs of three or more tasks), slope, low, high, sd (of average accuracy per standard
        deviation of the similarity of neighbours, see `dose_response`), p_slope (the share of
        permutations of the tasks with which similarity would explain as much), replicates, runs.
    """
    used = {
        (part["backbone"].iloc[0], part["method"].iloc[0]): part
        for part, _ in with_same_tasks(runs)
    }
    found = []
    for key, part in pairs.groupby(HEAD, sort=False):
        similar, gained = (
            part.pivot(index="trained", columns="task", values=values).to_numpy()
            for values in ("similarity", "contribution")
        )
        varied = min(np.nanstd(similar), np.nanstd(gained)) > 1e-9
        r, p = mantel(similar, gained, 999) if len(similar) > 2 and varied else (np.nan, np.nan)
        own = used.get((key[0], key[1]))
        chance = np.nan if own is None else _p_slope(own, similar)
        found.append(dict(zip(HEAD, key, strict=True)) | {"r": r, "p": p, "p_slope": chance})
    tests = pd.DataFrame(found, columns=[*HEAD, "r", "p", "p_slope"])
    slopes = dose_response(runs, scores).drop(columns=["metric", "score"])
    names = [*HEAD, "r", "p", "slope", "low", "high", "sd", "p_slope", "replicates", "runs"]
    both = tests.merge(slopes, how="outer", on=HEAD, sort=False)[names]
    return both.assign(p_slope=both["p_slope"].where(both["slope"].notna()))


def _p_slope(runs: pd.DataFrame, similar: np.ndarray) -> float:
    """Returns the p value of what the similarity of neighbours does to average accuracy."""
    tasks = sorted(runs["order"].iloc[0])
    if len(similar) != len(tasks):
        return np.nan
    replicate = runs["replicate"].to_numpy()
    orders = np.array([[tasks.index(task) for task in order] for order in runs["order"]])
    columns = [adjacency(orders), ends(runs, tasks), runs[["average_accuracy"]].to_numpy(float)]
    x, covariates, y = (centred(column, replicate) for column in columns)
    x, y = (part - covariates @ np.linalg.lstsq(covariates, part)[0] for part in (x, y))
    return slope_p(x, similar, y[:, 0]) if y.std() > 1e-9 else np.nan


def mantel(x: ArrayLike, y: ArrayLike, num: int = 4999) -> tuple[float, float]:
    """Returns Mantel's r of two matrices of task pairs, and its two-sided p.

    r is the Pearson correlation of the off-diagonal cells; p the share of permutations of the
    tasks of x with |r| as large, the identity included. Matrices need not be symmetric. NaN where
    a cell is missing, or where all cells of a matrix are the same.

    Args:
        x: [T, T], for example similarities; the diagonal is ignored.
        y: [T, T], for example mean contributions of the row's task to the column's.
        num: random permutations, where there are more than EXACT tasks.

    >>> similar = [[0, 3, 1], [3, 0, 2], [1, 2, 0]]
    >>> r, p = mantel(similar, similar)
    >>> round(r, 6), round(p, 3)
    (1.0, 0.333)
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    off = ~np.eye(len(x), dtype=bool)
    if not (np.ptp(x[off]) > 0 and np.ptp(y[off]) > 0):  # a missing cell is neither
        return np.nan, np.nan
    names = task_permutations(len(x), num)
    others = [correlation(x[np.ix_(p, p)][off], y[off]) for p in names]
    return others[0], share_as_large(np.abs(others))


def mrqap(y: ArrayLike, predictors: Mapping[str, ArrayLike], num: int = 1999) -> pd.DataFrame:
    """Returns the regression of a matrix of task pairs on others, with permutation p values.

    Double semi-partialling (Dekker, Krackhardt & Snijders 2007): each predictor is freed of the
    others, the tasks of what is left are permuted, and its t value is compared.

    Args:
        y: [T, T]; diagonals are ignored.
        predictors: [T, T] each.
        num: random permutations, where there are more than EXACT tasks.

    Returns:
        Indexed by predictor: coefficient, t, p (two-sided), and r2 of the whole regression.

    >>> import numpy as np
    >>> similar = np.array([[0, 3, 1, 2], [3, 0, 2, 5], [1, 2, 0, 4], [2, 5, 4, 0]], float)
    >>> found = mrqap(2 * similar + 1, {"similar": similar})
    >>> found["coefficient"].round(6)
    predictor
    similar    2.0
    Name: coefficient, dtype: float64
    """
    y = np.asarray(y, float)
    off = ~np.eye(len(y), dtype=bool)
    names = list(predictors)
    X = {name: np.asarray(predictors[name], float) for name in names}
    coefficients, t, r2 = _least_squares(np.column_stack([X[n][off] for n in names]), y[off])
    rows = []
    for i, name in enumerate(names):
        others = [X[other][off] for other in names if other != name]
        design = np.column_stack([np.ones(off.sum()), *others])
        fitted, *_ = np.linalg.lstsq(design, X[name][off], rcond=None)
        left = np.zeros_like(y)
        left[off] = X[name][off] - design @ fitted
        found = []
        for p in task_permutations(len(y), num):
            permuted = np.column_stack([left[np.ix_(p, p)][off], *others])
            found.append(_least_squares(permuted, y[off])[1][0])
        p = share_as_large(np.abs([t[i], *found[1:]]))
        rows.append({"predictor": name, "coefficient": coefficients[i], "t": t[i], "p": p})
    return pd.DataFrame(rows).set_index("predictor").assign(r2=r2)


def _least_squares(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns coefficients and t values, without those of the intercept, and R2."""
    design = np.column_stack([np.ones(len(y)), X])
    inverse = np.linalg.pinv(design.T @ design)
    solution = inverse @ design.T @ y
    left = ((y - design @ solution) ** 2).sum()
    error = np.sqrt(np.diag(inverse) * left / (len(y) - design.shape[1]))
    return solution[1:], (solution / error)[1:], float(1 - left / ((y - y.mean()) ** 2).sum())
