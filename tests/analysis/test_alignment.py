"""Alignment contributions: explicit expectations, symmetries, frozen towers, the regression."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load, metrics
from analysis.data.results import Results
from analysis.mechanisms.contribution_table import contribution_table
from analysis.mechanisms.embedding_alignment import KINDS, alignment_drift, alignments
from analysis.mechanisms.failure_modes import MEASURES, failure_modes
from analysis.mechanisms.transitions import transition_models, transitions
from tests.analysis.embedded import samples_after, write_embeddings
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a", "b", "c", "d")
ORDERS = random_orders(TASKS, 8, 3)
FROZEN = {"ewc": "image"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    out = tmp_path_factory.mktemp("world")
    methods = {name: METHODS[name] for name in ("finetune", "ewc")}
    write_study(out, ORDERS, World(tasks=TASKS), methods)
    write_embeddings(out, ORDERS, methods, FROZEN)
    return load(str(out))


@pytest.fixture(scope="module")
def runs(results: Results) -> pd.DataFrame:
    return metrics(results)


@pytest.mark.parametrize("kind", KINDS)
def test_mean_embeddings_give_the_expectation_over_all_pairs(
    results: Results, runs: pd.DataFrame, kind: str
) -> None:
    x, y = kind.split("_")
    (found,) = (
        f for f in alignments(results, runs) if f.head == f.head | {"kind": kind, "method": "ewc"}
    )
    run = found.runs.iloc[5]
    for values, prefix in ((found.values[5], run["order"]), (found.start, ())):
        samples = samples_after(prefix, TASKS, run["replicate"], FROZEN["ewc"])
        for i, s in enumerate(found.players):
            for j, t in enumerate(found.targets):
                pairs = [p @ q for p in samples[s, x] for q in samples[t, y]]
                assert values[i, j] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_cross_modal_tables_are_transposes(results: Results, runs: pd.DataFrame) -> None:
    found = {(f.kind, f.head["method"]): f for f in alignments(results, runs)}
    for method in ("finetune", "ewc"):
        one, other = found["image_text", method], found["text_image", method]
        assert one.values == pytest.approx(other.values.swapaxes(1, 2), abs=1e-12)
        assert one.start == pytest.approx(other.start.T, abs=1e-12)
        assert np.ptp(one.values - one.values.swapaxes(1, 2)) > 0.01  # and no more than that


def test_a_frozen_tower_is_not_moved_by_the_order(results: Results, runs: pd.DataFrame) -> None:
    found = contribution_table(alignments(results, runs)).set_index(["method", "kind"])
    for column in ("order_sd", "seed_sd", "drift"):
        assert found.loc[("ewc", "image_image"), column].abs().max() < 1e-12
    assert (found.loc[("ewc", "image_image"), "sign"] == 0).all()
    assert (found.loc[("finetune", "image_image"), "order_sd"] > 0.01).all()
    assert (found.loc[("ewc", "image_text"), "order_sd"] > 0.01).all()


def test_drift_is_that_of_the_tables(results: Results, runs: pd.DataFrame) -> None:
    found = alignment_drift(results, runs).set_index(["method", "kind", "pairs", "stage"])
    assert (found.xs(0, level="stage")[["mean", "size"]] == 0).all(axis=None)
    for part in alignments(results, runs):
        off = ~np.eye(len(TASKS), dtype=bool)
        moved = (part.values - part.start)[:, off]
        row = found.loc[(part.head["method"], part.kind, "between", len(TASKS))]
        assert row["mean"] == pytest.approx(moved.mean())
        assert row["size"] == pytest.approx(np.abs(moved).mean())


def test_transitions_are_stages_and_their_changes(results: Results, runs: pd.DataFrame) -> None:
    found = transitions(results, runs)
    prefixes = {(r, o[:k]) for r, block in enumerate(ORDERS) for o in block for k in (2, 3, 4)}
    mine = found[found["method"] == "ewc"]
    assert set(zip(mine["replicate"], mine["prefix"], strict=True)) == prefixes
    assert len(mine) == len(prefixes)
    row = mine.iloc[7]
    order = next(o for o in ORDERS[row["replicate"]] if o[: len(row["prefix"])] == row["prefix"])
    R = results.matrix("tiny-clip", "ewc", row["replicate"], order)
    k = len(row["prefix"])
    assert (row["before"], row["new"]) == (order[k - 2], order[k - 1])
    assert row["accuracy_before"] == R[row["before"]].iloc[k] - R[row["before"]].iloc[k - 1]
    assert row["accuracy_new"] == R[row["new"]].iloc[k] - R[row["new"]].iloc[k - 1]
    parent = samples_after(order[: k - 1], TASKS, row["replicate"], "image")
    mean = {key: vectors.mean(axis=0) for key, vectors in parent.items()}
    score = mean[row["before"], "image"] @ mean[row["new"], "text"]
    assert row["adaptive_image_text"] == pytest.approx(score, abs=1e-6)
    assert found[["loss_before", "loss_new"]].isna().all(axis=None)


def regressed(noise: float, seed: int = 0, replicates: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size = 30 * replicates
    frame = pd.DataFrame(rng.random((size, 4)), columns=list(_SCORES))
    frame = frame.assign(backbone="b", method="m", replicate=np.arange(size) % replicates)
    truth = 0.1 + 2 * frame["frozen_image_text"] - frame["frozen_text_image"]
    blank = dict.fromkeys(("accuracy_new", "loss_before", "loss_new"), np.nan)
    response = truth + noise * rng.standard_normal(size)
    pair = {"before": "a", "new": "b"}  # of two tasks there is too little to permute
    return frame.assign(complete=True, accuracy_before=response, **pair, **blank)


_SCORES = (
    *("frozen_image_text", "frozen_text_image"),
    *("adaptive_image_text", "adaptive_text_image"),
)


def test_the_regression_finds_what_is_there_and_nothing_else() -> None:
    frozen, adaptive = transition_models(regressed(0.0)).itertuples()
    coefficients = (frozen.alpha, frozen.image_text, frozen.text_image)
    assert coefficients == pytest.approx((0.1, 2, -1))
    assert (frozen.r2, frozen.r2_out, frozen.sign) == pytest.approx((1, 1, 1))
    assert (frozen.transitions, frozen.replicates) == (120, 4)
    assert adaptive.r2 < 0.2
    assert adaptive.r2_out < 0.1


def test_intervals_of_the_regression_are_over_replicates() -> None:
    found = regressed(0.5)
    fits = []
    for _, block in found.groupby("replicate"):
        X = np.column_stack([np.ones(len(block)), block[list(_SCORES[:2])]])
        fits.append(np.linalg.lstsq(X, block["accuracy_before"], rcond=None)[0][1])
    row = next(transition_models(found).itertuples())
    expected = stats.t.interval(0.95, 3, np.mean(fits), stats.sem(fits))
    assert (row.image_text_low, row.image_text_high) == pytest.approx(expected)


def test_regressions_that_cannot_be_fitted_are_left_out() -> None:
    found = regressed(0.5)
    same = found.assign(frozen_text_image=found["frozen_image_text"])  # one number, twice
    assert set(transition_models(same)["scores"]) == {"adaptive"}


def test_failure_modes_by_hand(results: Results, runs: pd.DataFrame) -> None:
    found = failure_modes(results, runs).set_index(["method", "measure", "stage"])["mean"]
    assert {"pair_cosine", "cka_image", "cka_text"} == set(MEASURES) - set(found.index.levels[1])
    mine = runs[runs["method"] == "finetune"]
    lost, probes, gaps = [], [], []
    for run in mine.itertuples():
        R = results.matrix("tiny-clip", "finetune", run.replicate, run.order)
        lost.append(R[run.order[1]].iloc[2] - R[run.order[1]].iloc[3])
        samples = samples_after(run.order[:3], TASKS, run.replicate)
        centres = [
            np.mean([samples[task, modality].mean(axis=0) for task in TASKS], axis=0)
            for modality in ("image", "text")
        ]
        gaps.append(np.linalg.norm(centres[0] - centres[1]))
        probes.append(run.zero_shot_erosion)
    assert found["finetune", "interference", 3] == pytest.approx(np.mean(lost))
    assert found["finetune", "modality_gap", 3] == pytest.approx(np.mean(gaps), abs=1e-6)
    assert found["finetune", "zero_shot_erosion", 4] == pytest.approx(np.mean(probes))
    assert ("finetune", "interference", 1) not in found.index


def test_both_directions_of_retrieval_are_compared(tmp_path: Path, results: Results) -> None:
    """Divergence is 0 while both recalls fall alike, and the difference once one falls more."""
    stages = results.stages.copy()
    assert failure_of(results, "recall_divergence")[4] == pytest.approx(0, abs=1e-12)
    worse = (stages["metric"] == "t2i_r1") & (stages["stage"] == 4)
    stages.loc[worse, "value"] -= 0.05
    changed = Results(stages, results.orders)
    assert failure_of(changed, "recall_divergence")[4] == pytest.approx(0.05)
    erosion = failure_of(changed, "retrieval_erosion")[4]
    assert erosion == pytest.approx(failure_of(results, "retrieval_erosion")[4] + 0.025)


def failure_of(results: Results, measure: str) -> dict[int, float]:
    found = failure_modes(results, metrics(results))
    mine = found[(found["method"] == "ewc") & (found["measure"] == measure)]
    return dict(zip(mine["stage"], mine["mean"], strict=True))
