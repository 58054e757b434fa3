"""How many lanes a study gets on a cluster, and whether they take GPUs; Ray is a stand-in."""

import pytest

from sweep.engine import cluster
from sweep.engine.cluster import HEAD, fit_lanes
from sweep.errors import InputError
from sweep.study.schema import Lanes

HEAD_ALONE = {HEAD: 1.0}
"""What Ray says of a cluster of deploy/ before its first machine has come."""
CPUS = {HEAD: 1.0, "CPU": 4.0}
GPUS = {HEAD: 1.0, "CPU": 8.0, "GPU": 2.0}


def fitted(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, float], grows: bool = True, **asked: object
) -> tuple[object, object]:
    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: there)
    monkeypatch.setattr(cluster.ray, "available_resources", lambda: there)
    lanes = fit_lanes(Lanes.model_validate(asked), num_runs=6, grows=grows)
    return lanes.count, lanes.gpus_per_worker


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        (HEAD_ALONE, {"count": 4, "gpus_per_worker": 1}, (4, 1.0)),
        (HEAD_ALONE, {"count": 4, "gpus_per_worker": 0}, (4, 0.0)),
        (HEAD_ALONE, {"count": 40, "gpus_per_worker": 1}, (6, 1.0)),  # no more than runs
        (CPUS, {"count": 3}, (3, 0.0)),  # nothing has still to come
        (CPUS, {}, (4, 0.0)),
        (CPUS, {"count": 5, "gpus_per_worker": 0}, (5, 0.0)),
        (GPUS, {"count": 5}, (5, 1.0)),  # one machine has come, and shows what they are
        (GPUS, {}, (2, 1.0)),
    ],
)
def test_lanes_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
    there: dict[str, float],
    asked: dict[str, object],
    expected: tuple[int, float],
) -> None:
    assert fitted(monkeypatch, there, **asked) == expected


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (HEAD_ALONE, {"count": 4}, "room for 0 of 4 lanes; .* to 1, or to 0 for lanes on CPUs.$"),
        (CPUS, {"count": 5}, "room for 4 of 5 lanes; .* or lanes.count to at most 4.$"),
        (CPUS, {"count": 2, "cpus_per_worker": 3}, "room for 1 of 2 lanes"),
        # With no number of lanes there is nothing to wait for.
        (HEAD_ALONE, {}, "or set lanes.count and lanes.gpus_per_worker on a cluster"),
        (HEAD_ALONE, {"gpus_per_worker": 1}, "a lane needs 1 CPUs and 1 GPUs, the cluster has 0"),
    ],
)
def test_a_cluster_that_has_still_to_grow_is_not_taken_for_one_without_gpus(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, float], asked: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        fitted(monkeypatch, there, **asked)


def test_a_ray_of_our_own_has_what_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted(monkeypatch, CPUS, grows=False, count=9) == (4, 0.0)
