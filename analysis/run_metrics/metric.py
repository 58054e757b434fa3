"""The metrics of a run, each as one object; one of your own is another object of the same kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.run_metrics import formulas


@dataclass(frozen=True)
class Metric:
    """Describes a metric of a run.

    >>> import numpy as np
    >>> def worst_task(R: np.ndarray) -> np.ndarray:
    ...     "Minimum over i of R[T, i]."
    ...     return R[..., -1, :].min(axis=-1)
    >>> from analysis import from_matrices, metrics
    >>> results = from_matrices([[[0.9, 0.2], [0.7, 0.8]]], [("cars", "pets")])
    >>> metrics(results, extra=[Metric("worst_task", "Worst task", worst_task)])["worst_task"]
    0    0.7
    Name: worst_task, dtype: float64
    """

    key: str
    """The name of its column."""
    title: str
    """What the report calls it."""
    function: Callable[[np.ndarray], np.ndarray]
    """From scores R [runs, T + 1, columns] to values [runs]: R[k, i] is the score on task i after k
    tasks, with the tasks in learning order and the untouched backbone as row 0. The first line of
    its docstring is the formula that the report prints."""
    higher_is_better: bool = True
    unit: str = "fraction"
    of: str = "task"
    """Which scores are given to `function`: of tasks ("task"), of a jointly trained reference
    minus those of the run ("reference"), of held-out probes ("probe"), recall at 1 in both
    directions ("retrieval"), one recall ("i2t_r5"), or AUROC of OOD detection: of ordered pairs of
    tasks ("ood"), or of learnt tasks against those that are not ("ood_unlearnt") and against probes
    ("ood_probe")."""
    lowest: float = -np.inf
    """The least value that is possible, as a fraction; below it no interval goes."""
    highest: float = np.inf
    """The largest one."""

    @property
    def formula(self) -> str:
        """Returns the formula, with R[k, i] as in `formulas`."""
        return (self.function.__doc__ or "").splitlines()[0]

    @property
    def sign(self) -> int:
        """Returns 1 if higher is better, else -1: what makes larger values better ones."""
        return 1 if self.higher_is_better else -1

    @property
    def limits(self) -> tuple[float, float]:
        """Returns the least and the largest value possible."""
        return self.lowest, self.highest


RECALLS = [f"{way}_r{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)]

_SHIPPED = (
    Metric("average_accuracy", "Average accuracy", formulas.average_accuracy),
    Metric(
        "average_incremental_accuracy",
        "Average incremental accuracy",
        formulas.average_incremental_accuracy,
    ),
    Metric("transfer", "Transfer (MTIL)", formulas.transfer),
    Metric("avg", "Avg (MTIL)", formulas.mtil_avg),
    Metric("last", "Last (MTIL)", formulas.average_accuracy),
    Metric("learning_accuracy", "Learning accuracy", formulas.learning_accuracy),
    Metric("learning", "Learning", formulas.learning),
    Metric("intransigence", "Intransigence", formulas.intransigence, False, of="reference"),
    Metric("forgetting_max", "Forgetting (from the best)", formulas.forgetting_max, False),
    Metric("forgetting_last", "Forgetting (from just learnt)", formulas.forgetting_last, False),
    Metric(
        "forgetting_chaudhry",
        "Forgetting (Chaudhry: from the best of all stages)",
        formulas.forgetting_chaudhry,
        False,
    ),
    Metric("bwt", "Backward transfer", formulas.backward_transfer),
    Metric("fwt", "Forward transfer", formulas.forward_transfer),
    Metric("diaz_accuracy", "A (Diaz-Rodriguez)", formulas.diaz_accuracy),
    Metric("diaz_bwt", "BWT (Diaz-Rodriguez)", formulas.diaz_bwt),
    Metric("diaz_bwt_plus", "BWT+ (Diaz-Rodriguez)", formulas.diaz_bwt_plus),
    Metric("diaz_rem", "REM (Diaz-Rodriguez)", formulas.diaz_rem),
    Metric("diaz_fwt", "FWT (Diaz-Rodriguez)", formulas.diaz_fwt),
    Metric("zsd_figure", "Zero-shot degradation (from the best)", formulas.zsd_figure, False),
    Metric("zsd_text", "Zero-shot degradation (from stage 1)", formulas.zsd_text, False),
    Metric("zero_shot_accuracy", "Zero-shot accuracy", formulas.average_accuracy, of="probe"),
    Metric("zero_shot_erosion", "Zero-shot erosion", formulas.erosion, False, of="probe"),
    Metric("retrieval_r1", "Retrieval R@1", formulas.average_accuracy, of="retrieval"),
    Metric("retrieval_erosion", "Retrieval erosion", formulas.erosion, False, of="retrieval"),
    *(
        Metric(
            recall,
            f"{'Text' if recall.startswith('i2t') else 'Image'} retrieval R@{recall[5:]}",
            formulas.average_accuracy,
            of=recall,
        )
        for recall in RECALLS
    ),
    Metric("ood_pairwise", "OOD AUROC of pairs of tasks", formulas.ood_pairwise, of="ood"),
    Metric(
        "ood_cumulative",
        "OOD AUROC of tasks not learnt yet",
        formulas.ood_cumulative,
        of="ood_unlearnt",
    ),
    Metric("ood_probes", "OOD AUROC of held-out suites", formulas.ood_probes, of="ood_probe"),
)

_SHARES = {
    *("average_accuracy", "average_incremental_accuracy", "transfer", "avg", "last"),
    *("learning_accuracy", "zero_shot_accuracy", "retrieval_r1", *RECALLS),
    *("diaz_accuracy", "diaz_bwt_plus", "diaz_rem", "diaz_fwt"),
    *("ood_pairwise", "ood_cumulative", "ood_probes"),
}
"""Metrics between 0 and 1; all others are differences of such, so between -1 and 1."""

METRICS: dict[str, Metric] = {
    metric.key: replace(metric, lowest=0.0 if metric.key in _SHARES else -1.0, highest=1.0)
    for metric in _SHIPPED
}
"""Every metric of a run by the name of its column."""


DECIMALS = 12
"""Of every metric: more than any test set can tell, fewer than sums agree in."""


def with_extra(extra: Sequence[Metric], noun: str = "accuracy") -> dict[str, Metric]:
    """Returns METRICS and further ones by the names of their columns.

    Args:
        extra: metrics of your own.
        noun: what titles call the scores of tasks.

    Raises:
        ValueError: two metrics have the same key.
    """
    known = {
        key: replace(metric, title=metric.title.replace("accuracy", noun))
        for key, metric in METRICS.items()
    }
    for metric in extra:
        if metric.key in known:
            raise ValueError(f"There is a metric '{metric.key}' already; give yours another key.")
        known[metric.key] = metric
    return known
