"""Formulas of the metrics of a run, from its accuracy matrix.

R[k, i] is the score on task i after k tasks, k = 0..T, with the tasks in learning order: task i
(1..T) is learnt at stage i, and row 0 is the untouched backbone. All functions take R as an array
[..., T + 1, T] and return [...]; means over no task (T = 1) are NaN, never 0.
"""

import numpy as np


def average_accuracy(R: np.ndarray) -> np.ndarray:
    """Mean over i of R[T, i].

    "Average accuracy" of GEM (Lopez-Paz & Ranzato 2017, arXiv 1706.08840), "Last" of MTIL
    (Zheng et al. 2023, arXiv 2303.06628).
    """
    return _mean(R[..., -1, :])


def average_incremental_accuracy(R: np.ndarray) -> np.ndarray:
    """Mean over k = 1..T of the mean over i <= k of R[k, i].

    The accuracy on the tasks seen so far, averaged over stages (iCaRL: Rebuffi et al. 2017,
    arXiv 1611.07725).
    """
    T = R.shape[-1]
    return _mean(np.stack([_mean(R[..., k, :k]) for k in range(1, T + 1)], axis=-1))


def mtil_avg(R: np.ndarray) -> np.ndarray:
    """Mean over i of the mean over k = 1..T of R[k, i].

    "Avg" of MTIL (arXiv 2303.06628): unseen tasks count, the untouched backbone does not.
    """
    return _mean(_mean(R[..., 1:, :], axis=-2))


def transfer(R: np.ndarray) -> np.ndarray:
    """Mean over i >= 2 of the mean over k = 1..i-1 of R[k, i].

    "Transfer" of MTIL (arXiv 2303.06628): how well tasks are known before they are learnt. The
    task learnt first has no such stage and does not count.
    """
    T = R.shape[-1]
    return _mean(_stack([_mean(R[..., 1 : i + 1, i]) for i in range(1, T)], R))


def backward_transfer(R: np.ndarray) -> np.ndarray:
    """Mean over i < T of R[T, i] - R[i, i].

    "BWT" of GEM (arXiv 1706.08840); negative = forgotten.
    """
    return _mean(R[..., -1, :-1] - _learnt(R)[..., :-1])


def forward_transfer(R: np.ndarray) -> np.ndarray:
    """Mean over i >= 2 of R[i-1, i] - R[0, i].

    "FWT" of GEM (arXiv 1706.08840) with the untouched backbone as the reference; GEM's reference
    is a randomly initialised network.
    """
    before = np.diagonal(R[..., :-1, :], axis1=-2, axis2=-1)
    return _mean((before - R[..., 0, :])[..., 1:])


def forgetting_max(R: np.ndarray) -> np.ndarray:
    """Mean over i < T of the maximum over k = i..T-1 of R[k, i], minus R[T, i].

    What was known best since a task was learnt, and is lost in the end. Chaudhry et al. 2018 also
    count what was lost before, see `forgetting_chaudhry`.
    """
    T = R.shape[-1]
    return _mean(_stack([R[..., i + 1 : T, i].max(axis=-1) for i in range(T - 1)], R) - _old(R))


def forgetting_chaudhry(R: np.ndarray) -> np.ndarray:
    """Mean over i < T of the maximum over k = 1..T-1 of R[k, i], minus R[T, i].

    "Forgetting" of Chaudhry et al. 2018 (arXiv 1801.10112, section 3.1.2). The maximum runs over
    all stages, so it also counts what was lost before a task was learnt, which a pre-trained
    backbone can lose. The best on task 1 below is 0.7, after task 1; on task 2 it is 0.9, after
    task 1 as well: (0.7 - 0.5 + 0.9 - 0.6) / 2.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.9, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> round(float(forgetting_chaudhry(R)), 3), round(float(forgetting_max(R)), 3)
    (0.25, 0.2)
    """
    T = R.shape[-1]
    return _mean(_stack([R[..., 1:T, i].max(axis=-1) for i in range(T - 1)], R) - _old(R))


def forgetting_last(R: np.ndarray) -> np.ndarray:
    """Mean over i < T of R[i, i] - R[T, i].

    Forgetting without the maximum, as in Avalanche (Lomonaco et al. 2021); equals -BWT.
    """
    return -backward_transfer(R)


def diaz_accuracy(R: np.ndarray) -> np.ndarray:
    """Mean over k = 1..T and i <= k of R[k, i].

    "A" of Diaz-Rodriguez et al. 2018 (arXiv 1810.13166): the accuracy on all tasks seen so far,
    with every entry of the matrix counted once; the average incremental accuracy counts every
    stage once.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> round(float(diaz_accuracy(R)), 3)  # (0.7 + 0.6 + 0.8 + 0.5 + 0.6 + 0.9) / 6
    0.683
    """
    return _mean(R[..., 1:, :][..., *np.tril_indices(R.shape[-1])])


def diaz_bwt(R: np.ndarray) -> np.ndarray:
    """Mean over k = 2..T and i < k of R[k, i] - R[i, i].

    "BWT" of Diaz-Rodriguez et al. 2018 (arXiv 1810.13166): GEM's looks at the last stage alone,
    this one at all of them.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> round(float(diaz_bwt(R)), 3)  # (0.6 - 0.7 + 0.5 - 0.7 + 0.6 - 0.8) / 3
    -0.167
    """
    since = R[..., 1:, :] - _learnt(R)[..., None, :]
    return _mean(since[..., *np.tril_indices(R.shape[-1], -1)])


def diaz_bwt_plus(R: np.ndarray) -> np.ndarray:
    """Maximum of 0 and the mean over k = 2..T and i < k of R[k, i] - R[i, i].

    "BWT+" of Diaz-Rodriguez et al. 2018 (arXiv 1810.13166): what later tasks improve.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> float(diaz_bwt_plus(R))
    0.0
    """
    return np.asarray(np.maximum(diaz_bwt(R), 0))


def diaz_rem(R: np.ndarray) -> np.ndarray:
    """1 + minimum of 0 and the mean over k = 2..T and i < k of R[k, i] - R[i, i].

    "REM", remembering, of Diaz-Rodriguez et al. 2018 (arXiv 1810.13166): 1 - |min(BWT, 0)|; 1 =
    nothing is forgotten.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> round(float(diaz_rem(R)), 3)
    0.833
    """
    return np.asarray(1 + np.minimum(diaz_bwt(R), 0))


def diaz_fwt(R: np.ndarray) -> np.ndarray:
    """Mean over k = 1..T-1 and i > k of R[k, i].

    "FWT" of Diaz-Rodriguez et al. 2018 (arXiv 1810.13166): the accuracy on tasks not learnt yet,
    without subtracting that of the untouched backbone.

    >>> R = np.array([[0.1, 0.2, 0.3], [0.7, 0.4, 0.3], [0.6, 0.8, 0.2], [0.5, 0.6, 0.9]])
    >>> round(float(diaz_fwt(R)), 3)  # (0.4 + 0.3 + 0.2) / 3
    0.3
    """
    return _mean(R[..., 1:, :][..., *np.triu_indices(R.shape[-1], 1)])


def zsd_figure(R: np.ndarray) -> np.ndarray:
    """Mean over i >= 2 of the maximum over j = 0..i-1 of R[j, i], minus R[i-1, i].

    Zero-shot degradation as a survey of continual vision-language models draws it: from the best
    so far, the untouched backbone included, to the last value before the task is learnt. The
    survey's text says something else, see `zsd_text`.
    """
    T = R.shape[-1]
    return _mean(_stack([R[..., : i + 1, i].max(axis=-1) - R[..., i, i] for i in range(1, T)], R))


def zsd_text(R: np.ndarray) -> np.ndarray:
    """Mean over i >= 2 of R[1, i] minus the minimum over j = 1..i-1 of R[j, i].

    Zero-shot degradation as the same survey words it: from the first trained model to the worst
    one before the task is learnt.
    """
    T = R.shape[-1]
    lost = [R[..., 1, i] - R[..., 1 : i + 1, i].min(axis=-1) for i in range(1, T)]
    return _mean(_stack(lost, R))


def learning_accuracy(R: np.ndarray) -> np.ndarray:
    """Mean over i of R[i, i].

    The accuracy on every task just after it was learnt: plasticity ("LA" of Riemer et al. 2019,
    arXiv 1810.11910).
    """
    return _mean(_learnt(R))


def learning(R: np.ndarray) -> np.ndarray:
    """Mean over i of R[i, i] - R[i-1, i].

    What training on a task gains on that task, at the moment it is learnt.
    """
    before = np.diagonal(R[..., :-1, :], axis1=-2, axis2=-1)
    return _mean(_learnt(R) - before)


def intransigence(A: np.ndarray) -> np.ndarray:
    """Mean over i of A[i, i] = R*[i, i] - R[i, i].

    Chaudhry et al. 2018 (arXiv 1801.10112): what a model trained jointly on tasks 1..i, R*, knows
    better about task i. Negative when learning in sequence is the better way.
    """
    return learning_accuracy(A)


def erosion(R: np.ndarray) -> np.ndarray:
    """Mean over i of R[0, i] - R[T, i].

    What training took away from the untouched backbone; here i are held-out evaluations.
    """
    return _mean(R[..., 0, :] - R[..., -1, :])


def ood_pairwise(A: np.ndarray) -> np.ndarray:
    """Mean over ordered pairs i != j of A[T, i, j], the AUROC of images of i against those of j.

    Images score by the classes of i: MCM of Ming et al. 2022 (arXiv 2211.13445), as Sekeh & Wisell
    2026 (arXiv 2606.14883) measure generalisation. Columns of A are pairs.
    """
    return _mean(A[..., -1, :])


def ood_cumulative(A: np.ndarray) -> np.ndarray:
    """Mean over k = 1..T-1 of A[k], the AUROC of images of learnt tasks against those of others.

    Images score by the classes of all tasks learnt so far; after the last stage nothing is left to
    be told from them.
    """
    return _mean(_mean(A[..., 1:-1, :], axis=-2))


def ood_probes(A: np.ndarray) -> np.ndarray:
    """Mean over k = 1..T and held-out suites p of A[k, p], the same for images of p."""
    return _mean(_mean(A[..., 1:, :], axis=-2))


def _learnt(R: np.ndarray) -> np.ndarray:
    """R[i, i]: every task at the stage that learnt it, [..., T]."""
    return np.diagonal(R[..., 1:, :], axis1=-2, axis2=-1)


def _old(R: np.ndarray) -> np.ndarray:
    """R[T, i]: what is left of every task but the last, [..., T - 1]."""
    return R[..., -1, :-1]


def _stack(columns: list[np.ndarray], R: np.ndarray) -> np.ndarray:
    """Columns [...] side by side, [..., len(columns)]; also when there are none."""
    return np.stack(columns, axis=-1) if columns else np.empty((*R.shape[:-2], 0))


def _mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """The mean along an axis; NaN without a warning when there is nothing to average."""
    if values.shape[axis] == 0:
        return np.full(np.delete(values.shape, axis), np.nan)
    return np.asarray(values.mean(axis=axis))
