"""The states that a worker keeps in memory, so that it need not read them from the store again."""

from collections.abc import Callable, Collection, Iterator

from methods.base import State

SPARE = 2**30
"""Bytes of states that are kept although the present unit does not descend from them."""


class StateCache:
    """States by key; what was not in use for longest goes first."""

    def __init__(self, load: Callable[[str], State], spare: int = SPARE) -> None:
        """Starts empty.

        Args:
            load: Reads a state from the store.
            spare: Bytes of states that nobody needs at present.
        """
        self._load = load
        self._spare = spare
        self._states: dict[str, State] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __getitem__(self, key: str) -> State:
        state = self._states.pop(key) if key in self._states else self._load(key)
        self._states[key] = state
        return state

    def __setitem__(self, key: str, state: State) -> None:
        self._states[key] = state

    def make_room(self, needed: Collection[str]) -> None:
        """Drops states that are not `needed` until the rest of them fits into `spare`."""
        others = {key: size(self._states[key]) for key in self._states if key not in needed}
        total = sum(others.values())
        for key, freed in others.items():
            if total <= self._spare:
                break
            del self._states[key]
            total -= freed


def size(state: State) -> int:
    """Returns the bytes of all tensors."""
    return sum(tensor.nbytes for tensor in state.values())
