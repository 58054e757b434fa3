"""Says what a proposed order is worth by what is known, beside the order itself."""

from collections.abc import Iterator, Mapping, Sequence

from analysis.orders.predictors import LARGEST
from sweep.cli.commands import command
from sweep.measuring.measure import Proposal

TESTED: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("image_text", "path_cost"): {"frozen_head": 2.5, "finetune": 92},
    ("centroid", "path_cost"): {"finetune": 76},
    ("logme", "linear_error"): {"finetune": 0.8},
    ("logme", "lagged"): {"finetune": 3.3},
    ("transfer", "linear_error"): {"finetune": 2.5},
}
"""Per cent of all orders that were better than the one proposed as best, by measure and score, in
the study t3: the table in analysis/README.md, which a test compares."""
RANDOM = 24
"""Orders of the check of a study with too many tasks to run all."""


def remarks(
    found: Proposal, measure: str, score: str, study: str, set_: Sequence[str] | None
) -> Iterator[str]:
    """Yields how the proposal compares with random orders, and what its score has been worth."""
    which = f"all {found.orders:,}" if found.is_complete else f"{found.orders:,} random"
    yield (
        f"This order has a {score} of {found.value:.4g} by {measure}; of {which} orders "
        f"{found.lower:.1%} have less and {found.higher:.1%} have more (mean {found.mean:.4g}, "
        f"SD {found.sd:.2g}). That is a prediction, not a result."
    )
    tested = TESTED.get((measure, score), {}) if found.is_best else {}
    for method, share in tested.items():
        yield (
            f"In the shipped study t3 (five tasks, all 120 orders), {share:g} % of all orders were "
            f"better than the one so proposed, with {method}."
        )
    yield (
        "In t3 none of 64 proposals (16 measures, 4 scores) was clearly better than a random order "
        "once their number is allowed for. Whether this score finds good orders of these tasks is "
        "not known; the report of this run would tell:"
    )
    if len(found.order) <= LARGEST:
        design = "design=exhaustive"
    else:
        design = f"design={{name: random, num_orders: {RANDOM}}}"
    changes = [*(set_ or ()), design, f"similarity.measures=[{measure}]"]
    yield command("run", study, changes, out=f"runs/{measure}-check")
