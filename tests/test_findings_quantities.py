"""What the rows of docs/findings.md measure, against sums by hand over runs of a made-up study."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from analysis import gains, metrics, steadiness, tiny_study
from analysis.data.results import Results
from analysis.mechanisms.contribution_table import mean_tau

ROOT = Path(__file__).parent.parent
TASKS = ("cars", "pets", "textures")
ORDERS = list(permutations(TASKS))


@pytest.fixture
def quantities(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import findings.quantities

    return findings.quantities


def runs_of(results: Results, method: str) -> Iterator[tuple[int, tuple[str, ...], np.ndarray]]:
    for replicate in range(4):
        for order in ORDERS:
            yield replicate, order, results.matrix("clip", method, replicate, order).to_numpy()


def with_pairs(results: Results) -> Results:
    """Matching pairs agree by 0.5 at the start; what was learnt k stages ago by 0.7 - 0.1 k."""
    known = results.stages[results.stages["split"] == "task"]
    values = [
        0.7 - 0.1 * (len(prefix) - 1 - prefix.index(task)) if task in prefix else 0.5
        for prefix, task in zip(known["prefix"], known["eval_task"], strict=True)
    ]
    pairs = known.assign(split="alignment", metric="cosine", value=values)
    return replace(results, stages=pd.concat([results.stages, pairs], ignore_index=True))


def with_similarity(results: Results, folder: Path, score: str) -> Results:
    """Neighbours of the n-th order are similar by n; another measure says the opposite."""
    orders = {"backbone": "clip", "order": list(map(list, ORDERS))}
    made_up = pd.DataFrame(orders | {"measure": "made up", score: np.arange(6.0)})
    other = made_up.assign(**{"measure": "other", score: -made_up[score]})
    table = pa.Table.from_pandas(pd.concat([made_up, other]), preserve_index=False)
    (folder / "similarity").mkdir()
    pq.write_table(table, folder / "similarity" / "orders.parquet")
    (folder / "study.yaml").write_text("design: {name: similarity, measure: made up}")
    return replace(results, folder=fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()))


def test_last_against_first(quantities: ModuleType) -> None:
    results = tiny_study()
    expected = np.mean([R[3, 2] - R[3, 0] for *_, R in runs_of(results, "finetune")])
    found = quantities.last_minus_first("finetune")(quantities.Sample.of(results))
    assert found == pytest.approx(expected)
    assert found > 0.2


def test_means_shares_and_spread(quantities: ModuleType) -> None:
    results = tiny_study()
    sample = quantities.Sample.of(results)
    forgetting = {
        method: np.mean(
            [
                np.mean([R[i + 1 : 3, i].max() - R[3, i] for i in range(2)])
                for *_, R in runs_of(results, method)
            ]
        )
        for method in ("finetune", "replay")
    }
    share = quantities.share("forgetting_max", "replay", "finetune")
    assert share(sample) == pytest.approx(forgetting["replay"] / forgetting["finetune"])
    twice = quantities.mean_of(share, quantities.minus(share, lambda sample: 1.0))
    assert twice(sample) == pytest.approx(share(sample) - 0.5)
    ratio = steadiness(metrics(results), "finetune")["ratio"].iloc[0]
    assert np.exp(quantities.spread("replay", "finetune")(sample)) == pytest.approx(ratio)
    assert quantities.best_of_a_run()(sample) == 1.0


def test_pairs(quantities: ModuleType) -> None:
    sample = quantities.Sample.of(with_pairs(tiny_study()))
    assert quantities.pairs_when_learnt("finetune")(sample) == pytest.approx(0.7)
    assert quantities.mode("pair_cosine", "finetune")(sample) == pytest.approx(0.6)
    assert quantities.lost_pairs("finetune")(sample) == pytest.approx(-0.1)


def test_interference_is_that_of_all_stages(quantities: ModuleType) -> None:
    results = tiny_study()
    lost = [R[k - 1, k - 2] - R[k, k - 2] for *_, R in runs_of(results, "finetune") for k in (2, 3)]
    found = quantities.mode("interference", "finetune")(quantities.Sample.of(results))
    assert found == pytest.approx(np.mean(lost))


def test_agreement_of_gains(quantities: ModuleType) -> None:
    results = tiny_study()
    mine = next(p for p in gains(results, metrics(results)) if p.head["method"] == "finetune")
    found = quantities.agreement_of("gain", "finetune")(quantities.Sample.of(results))
    assert found == pytest.approx(mean_tau(mine.flat))


def test_most_and_least_similar_neighbours(quantities: ModuleType, tmp_path: Path) -> None:
    results = with_similarity(tiny_study(), tmp_path, "adjacent")
    accuracy = {order: [] for order in ORDERS}
    for _, order, R in runs_of(results, "finetune"):
        accuracy[order].append(R[3].mean())
    means = [np.mean(accuracy[order]) for order in ORDERS]
    quantity = quantities.most_similar_minus_least("average_accuracy", "finetune")
    expected = np.mean(means[4:]) - np.mean(means[:2])
    assert quantity(quantities.Sample.of(results)) == pytest.approx(expected)


def test_a_proposed_order(quantities: ModuleType, tmp_path: Path) -> None:
    """The first of all has the lowest path cost."""
    results = with_similarity(tiny_study(), tmp_path, "path_cost")
    ends = {(r, order): R[3].mean() for r, order, R in runs_of(results, "replay")}
    first = np.mean([ends[r, ORDERS[0]] for r in range(4)])
    quantity = quantities.proposed("made up", "path_cost", "replay")
    found = quantity(quantities.Sample.of(results))
    assert found == pytest.approx(first - np.mean(list(ends.values())))


def test_methods_that_were_not_run_are_named(quantities: ModuleType) -> None:
    with pytest.raises(KeyError, match="ewc"):
        quantities.difference("bwt", "ewc", "finetune")(quantities.Sample.of(tiny_study()))
