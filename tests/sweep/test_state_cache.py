"""What a worker keeps in memory: never less than it needs, hardly more than it may."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.base import State
from sweep.stage.state_cache import StateCache, size

BYTES = 40
KEYS = st.sampled_from("abcdef")


def state_of(key: str) -> State:
    return {"weights": torch.full((10,), float(ord(key)))}


@given(st.lists(st.tuples(st.sets(KEYS), st.lists(KEYS))), st.integers(0, 4))
def test_needed_states_stay_and_others_fit(units: list[tuple[set[str], list[str]]], spare: int):
    loads: list[str] = []
    cache = StateCache(lambda key: loads.append(key) or state_of(key), spare * BYTES)
    for needed, used in units:
        before = set(cache)
        cache.make_room(needed)
        assert set(cache) >= before & needed
        others = set(cache) - needed
        assert sum(size(cache[key]) for key in others) <= spare * BYTES
        assert len(others) == min(spare, len(before - needed))
        for key in used:
            there, count = key in set(cache), len(loads)
            assert torch.equal(cache[key]["weights"], state_of(key)["weights"])
            assert len(loads) == count + (not there)


def test_what_was_not_in_use_for_longest_goes_first() -> None:
    cache = StateCache(state_of, 2 * BYTES)
    for key in "abca":
        assert cache[key]
    cache["d"] = state_of("d")
    cache.make_room(["c"])
    assert set(cache) == {"c", "a", "d"}
