"""What the beginnings of a sequence have become, for rules that merge one expert after the other.

All orders of eight experts have 109 600 beginnings. Each is one more expert merged into a shorter
one: going on from that gives the same, bit for bit, as merging all of them again.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from methods.merging.task_vectors import TaskVectors

T = TypeVar("T")
MOST_BYTES = 4 * 2**30
"""Most memory that what is kept may take; the shortest beginnings go first."""


class Beginnings(Generic[T]):
    """Holds what the beginnings of the last sequence have become."""

    def __init__(self, size: Callable[[T], int]) -> None:
        """Holds nothing yet.

        Args:
            size: Returns the bytes of what a sequence has become.
        """
        self._size = size
        self._held: dict[tuple[int, tuple[str, ...]], T] = {}

    def merge(
        self,
        vectors: TaskVectors,
        first: Callable[[TaskVectors], T],
        add: Callable[[T, TaskVectors], T],
    ) -> T:
        """Returns what a sequence becomes, from the longest beginning of it that is held.

        Args:
            vectors: Of the experts, in the order of the sequence.
            first: Returns what a single expert becomes.
            add: Returns what becomes of what has become of some, and one more expert.
        """
        tasks, seed = vectors.tasks, vectors.seed
        self._held = {
            (of, begun): made
            for (of, begun), made in self._held.items()
            if of == seed and begun == tasks[: len(begun)]
        }
        start = max((len(begun) for _, begun in self._held), default=0)
        for length in range(start + 1, len(tasks) + 1):
            one = vectors.only(tasks[length - 1])
            made = add(self._held[seed, tasks[: length - 1]], one) if length > 1 else first(one)
            self._held[seed, tasks[:length]] = made
            self._make_room()
        return self._held[seed, tasks]

    def _make_room(self) -> None:
        sizes = {key: self._size(made) for key, made in self._held.items()}
        for key in list(self._held)[:-1]:
            if sum(sizes.values()) <= MOST_BYTES:
                break
            del self._held[key], sizes[key]
