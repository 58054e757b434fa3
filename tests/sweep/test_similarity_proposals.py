"""Orders that predictions propose, against all orders."""

from itertools import permutations

import numpy as np
import pytest

from sweep.errors import InputError
from sweep.similarity.order_scores import SCORES
from sweep.similarity.proposals import propose

S = np.cov(np.random.default_rng(0).normal(size=(5, 9)))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("best", [True, False])
def test_no_order_is_better_or_worse(score: str, best: bool) -> None:
    """Easy is low, but for the gradient: there the least typical task comes first."""
    values = SCORES[score](S, np.array(list(permutations(range(5)))))
    proposed = SCORES[score](S, np.array([propose(S, score, best)]))[0]
    lowest = best != (score == "typicality_gradient")
    assert proposed == pytest.approx(values.min() if lowest else values.max())


def test_what_cannot_be_proposed_is_named() -> None:
    with pytest.raises(InputError, match=r"Unknown score 'linear'; .*'linear_error'"):
        propose(S, "linear", True)
    with pytest.raises(InputError, match=r"score linear_error .* 9 tasks have too many"):
        propose(np.eye(9), "linear_error", True)
    assert len(propose(np.eye(9), "path_cost", True)) == 9
