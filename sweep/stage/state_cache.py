"""Keeps states in memory, so that a worker need not read them from the store again."""

from collections.abc import Callable, Collection, Iterator

from methods.base import State

SPARE = 2**30
"""Bytes of states to keep besides those that the current unit needs: each worker keeps its own."""


class StateCache:
    """States by key; drops the least recently used ones first."""

    def __init__(self, load: Callable[[str], State], spare: int = SPARE) -> None:
        """Starts empty.

        Args:
            load: Reads a state from the store.
            spare: Bytes of states to keep besides those that are needed.
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
        """Keeps a state that is in the store, or will be; a large one is read from there again."""
        if size(state) <= self._spare:
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
