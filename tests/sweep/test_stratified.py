"""Parts of the test samples: in proportion, the same for all, and their error by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.stage.stratified import sampling_error, stratified

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), [400, 300, 200, 90, 10]))


@given(size=st.integers(0, 1000), seed=st.integers(0, 1000))
def test_classes_stand_in_proportion(size: int, seed: int) -> None:
    ids = stratified(LABELS, size, seed)
    assert len(np.unique(ids)) == len(ids) == size
    assert (np.diff(ids) > 0).all()
    wanted = np.bincount(LABELS) * size / len(LABELS)
    assert np.abs(np.bincount(LABELS[ids], minlength=5) - wanted).max() <= 2


def test_a_smaller_part_is_in_a_larger_one_and_a_seed_gives_the_same() -> None:
    large, small = set(stratified(LABELS, 300, 1)), set(stratified(LABELS, 100, 1))
    assert small < large
    assert np.array_equal(stratified(LABELS, 300, 1), sorted(large))
    assert set(stratified(LABELS, 300, 2)) != large


def test_every_sample_has_the_same_chance() -> None:
    counts = np.zeros(len(LABELS))
    for seed in range(3000):
        counts[stratified(LABELS, 100, seed)] += 1
    rare = counts[LABELS == 4] / 3000
    assert rare.mean() == pytest.approx(0.1, abs=0.01)
    assert counts.std() / 3000 < 0.01


def test_the_error_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(1000) < 0.7).astype(float)
    means, errors = [], []
    for seed in range(2000):
        ids = stratified(np.zeros(1000, int), 250, seed)
        means.append(right[ids].mean())
        errors.append(sampling_error(right[ids], 1000))
    assert np.std(means) == pytest.approx(np.mean(errors), rel=0.05)
    assert np.mean(means) == pytest.approx(right.mean(), abs=0.002)


@pytest.mark.parametrize(
    ("share", "of", "size"), [(0.7, 1000, 250), (0.05, 900, 200), (0.5, 3000, 2400)]
)
def test_two_errors_hold_the_truth_in_95_of_100_parts(share: float, of: int, size: int) -> None:
    right = (np.random.default_rng(of).random(of) < share).astype(float)
    held = 0
    for seed in range(2000):
        part = right[stratified(np.zeros(of, int), size, seed)]
        held += abs(part.mean() - right.mean()) <= 1.96 * sampling_error(part, of)
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_classes_that_differ_make_the_error_smaller_than_said() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(1000) < np.array([0.95, 0.8, 0.3, 0.1, 0.5])[LABELS]).astype(float)
    parts = [stratified(LABELS, 250, seed) for seed in range(1000)]
    said = np.mean([sampling_error(right[ids], 1000) for ids in parts])
    assert np.std([right[ids].mean() for ids in parts]) < said


def test_all_samples_have_no_error() -> None:
    assert sampling_error(np.array([0.0, 1.0, 1.0]), 3) == 0.0
