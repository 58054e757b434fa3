"""OPCM: what a projection leaves of an expert, and how lengths and sequences work out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.backbones import Backbone, load_backbone
from methods.merging import opcm
from methods.merging.opcm import OPCM, outside
from methods.merging.task_vectors import TaskVectors
from tests.methods.merges import method_of, vectors_of


@pytest.fixture(scope="module")
def backbone(models: Path) -> Backbone:
    return load_backbone(str(models / "clip"))


def floats(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def merging(backbone: Backbone, alpha: float = 0.5) -> OPCM:
    """A method for which the weight w is a linear layer's, and v is not."""
    method = method_of("opcm", backbone, alpha=alpha)
    assert isinstance(method, OPCM)
    method.matrices = {"w"}
    return method


def experts(tasks: str, seed: int = 0) -> TaskVectors:
    """Of every task the same expert wherever it comes."""
    made = {
        "w": [floats(ord(task), 4, 6).tolist() for task in tasks],
        "v": [floats(ord(task) + 99, 5).tolist() for task in tasks],
    }
    return vectors_of(made, tasks, seed)


def length(vector: dict[str, Tensor]) -> Tensor:
    return torch.cat([change.flatten() for change in vector.values()]).norm()


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    alpha=st.floats(0, 0.95),
    seed=st.integers(0, 999),
)
def test_projection_is_that_in_the_full_bases(
    rows: int, columns: int, alpha: float, seed: int
) -> None:
    held, change = floats(seed, rows, columns), floats(seed + 1000, rows, columns)
    u, s, vt = np.linalg.svd(held.double().numpy(), full_matrices=True)
    met = u.T @ change.double().numpy() @ vt.T
    np.fill_diagonal(met, 0)
    leading = int((np.cumsum(s) / s.sum() > alpha).argmax())
    met[:leading, :leading] = 0
    expected = torch.from_numpy(u @ met @ vt).float()
    torch.testing.assert_close(outside(held, change, alpha), expected, rtol=1e-3, atol=1e-4)


@given(seed=st.integers(0, 999))
def test_what_is_left_is_orthogonal_to_what_was_there(seed: int) -> None:
    held, change = floats(seed, 5, 3), floats(seed + 1000, 5, 3)
    left = outside(held, change, 0.5)
    assert abs(float((held * left).sum())) < 1e-4
    torch.testing.assert_close(outside(held, left, 0.5), left, rtol=1e-4, atol=1e-5)


def test_directions_of_no_size_keep_nothing_clear() -> None:
    change = floats(0, 5, 3)
    assert torch.equal(outside(torch.zeros(5, 3), change, 0.5), change)
    one = torch.zeros(5, 3)
    one[2, 1] = -4
    expected = change.clone()
    expected[2, 1] = 0
    torch.testing.assert_close(outside(one, change, 0.5), expected)


def test_one_expert_is_what_it_was(backbone: Backbone) -> None:
    vectors = experts("a")
    merged = merging(backbone).merge(vectors)
    for weight, rows in vectors.items():
        assert torch.equal(merged[weight], rows[0])


def test_the_merged_vector_has_the_mean_length(backbone: Backbone) -> None:
    for tasks in ("ab", "abc", "cabd"):
        vectors = experts(tasks)
        lengths = [
            length({weight: rows[i] for weight, rows in vectors.items()}) for i in range(len(tasks))
        ]
        merged = merging(backbone).merge(vectors)
        torch.testing.assert_close(length(merged), torch.stack(lengths).mean())


def test_other_weights_are_summed_up(backbone: Backbone) -> None:
    vectors = experts("abc")
    merged, total = merging(backbone).merge(vectors)["v"], vectors["v"].sum(dim=0)
    torch.testing.assert_close(merged / merged.norm(), total / total.norm())


def test_order_matters(backbone: Backbone) -> None:
    one, other = (merging(backbone).merge(experts(tasks))["w"] for tasks in ("abc", "bac"))
    assert (one - other).abs().max() > 0.01


def test_beginnings_are_merged_once(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    projected: list[Tensor] = []
    monkeypatch.setattr(
        opcm, "outside", lambda *given: projected.append(given[1]) or outside(*given)
    )
    method, steps = merging(backbone), []
    for tasks, seed in (
        ("a", 0),
        ("ab", 0),
        ("abc", 0),
        ("abd", 0),
        ("b", 0),
        ("ab", 0),
        ("ab", 1),
    ):
        before = len(projected)
        merged = method.merge(experts(tasks, seed))
        steps.append(len(projected) - before)
        fresh = merging(backbone).merge(experts(tasks, seed))
        assert all(torch.equal(merged[weight], fresh[weight]) for weight in fresh)
        del projected[before + steps[-1] :]
    assert steps == [0, 1, 1, 1, 0, 1, 1]
