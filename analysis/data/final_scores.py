"""Results that are only final scores: one number per order, without accuracy matrices."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
import pandas as pd

from analysis.data.published_orders import find_published, known_among, write_path
from analysis.data.results import ORDERS_SCHEMA, RESULTS_SCHEMA, Results

ROWS = ["method", "order", "seed", "value", "published"]


@dataclass(frozen=True, eq=False)
class OrderScores:
    """Holds one number per order, and which orders are published ones.

    Attributes:
        rows: one per method, order and seed (ROWS); `order` is how the order is called.
        score: what the numbers are called.
        tasks: of the orders, in learning order, by how the order is called; {} where orders have
            only labels.
        name: what the results are called.
        notes: sentences about how they were read.
        told: methods that are told which task test data are of, as far as known.

    >>> rows = [("er", "I", 0, 0.71, True), ("er", "II", 0, 0.64, False)]
    >>> OrderScores(pd.DataFrame(rows, columns=ROWS)).orders
    ['I', 'II']
    """

    rows: pd.DataFrame
    score: str = "score"
    tasks: Mapping[str, tuple[str, ...]] | None = None
    name: str = "scores"
    notes: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()

    @property
    def orders(self) -> list[str]:
        """Returns all orders, as they come."""
        return list(dict.fromkeys(self.rows["order"]))

    @property
    def methods(self) -> list[str]:
        """Returns all methods, as they come."""
        return list(dict.fromkeys(self.rows["method"]))

    @property
    def published(self) -> list[str]:
        """Returns the orders that are published ones."""
        return list(dict.fromkeys(self.rows.loc[self.rows["published"], "order"]))

    @property
    def means(self) -> pd.DataFrame:
        """Returns one row per method and order: value (a mean over seeds), seeds, published."""
        grouped = self.rows.groupby(["method", "order"], sort=False)
        return grouped.agg(
            value=("value", "mean"), seeds=("value", "size"), published=("published", "any")
        ).reset_index()

    def marked(self, labels: Sequence[str]) -> "OrderScores":
        """Returns the same with further orders marked as published.

        Args:
            labels: orders as they are called, as tasks "a>b>c" or "a,b,c", or by the name of a
                published order, such as "mtil-1".

        Raises:
            ValueError: there is no such order.
        """
        if not labels:
            return self
        found = {self._find(label) for label in labels}
        marks = self.rows["published"] | self.rows["order"].isin(found)
        return replace(self, rows=self.rows.assign(published=marks))

    def _find(self, label: str) -> str:
        if label in self.orders:
            return label
        by_tasks = {order: name for name, order in (self.tasks or {}).items()}
        order = find_published(label, list(by_tasks))
        if order is None:
            raise unknown_order(label, self.orders)
        return by_tasks[order]


NO_MATRICES = Results(
    pd.DataFrame(columns=RESULTS_SCHEMA.names), pd.DataFrame(columns=ORDERS_SCHEMA.names)
)
"""What there is of accuracy matrices where only scores are known."""


def unknown_order(label: str, known: Sequence[str]) -> ValueError:
    """Returns the error for an order that is none of those that there are."""
    near = get_close_matches(label, known, n=1, cutoff=0.5)
    shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ValueError(f"There is no order '{label}' among these: {shown}.{hint}")


def published_in(results: Results, labels: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """Returns the published orders of a study by their names.

    They are those that the study's design names, those whose tasks are those of a published order,
    and those of `labels`.

    Raises:
        ValueError: the study has no order of such a label.
    """
    orders = list(dict.fromkeys(results.orders["order"]))
    design = results.config.get("design") or {}
    planned = design.get("orders") if isinstance(design, Mapping) else None
    named = zip(planned if isinstance(planned, Sequence) else (), orders, strict=False)
    found = {name: order for name, order in named if isinstance(name, str)} | known_among(orders)
    for label in labels:
        order = found.get(label) or find_published(label, orders)
        if order is None:
            raise unknown_order(label, [*found, *map(write_path, orders)])
        if order not in found.values():
            found[label] = order
    return found


def order_scores_of(
    runs: pd.DataFrame,
    published: Mapping[str, tuple[str, ...]],
    metric: str,
    score: str,
    told: Collection[str] = (),
) -> OrderScores:
    """Returns a metric of runs as scores of orders, of replicates that hold a published order.

    Other replicates have another seed, so their orders are left out.

    Args:
        runs: the metrics of runs.
        published: published orders by their names.
        metric: its column.
        score: what it is called.
        told: methods that are told which task test data are of.
    """
    names = {order: name for name, order in published.items()}
    alike = {frozenset(order) for order in names}  # orders of fewer tasks have other scores
    runs = runs[np.array([frozenset(order) in alike for order in runs["order"]], bool)]
    several = runs["backbone"].nunique() > 1
    holding = runs.loc[runs["order"].isin(list(names)), ["backbone", "method", "replicate"]]
    kept = runs.merge(holding.drop_duplicates())
    label = [names.get(order, write_path(order)) for order in kept["order"]]
    method = kept["method"] + (" (" + kept["backbone"] + ")" if several else "")
    rows = pd.DataFrame(
        {
            "method": method,
            "order": label,
            "seed": kept["replicate"],
            "value": kept[metric],
            "published": kept["order"].isin(list(names)),
        }
    )
    marked = frozenset(method[kept["method"].isin(list(told))])
    return OrderScores(rows, score, dict(zip(label, kept["order"], strict=True)), told=marked)
