"""ConDU with all deltas unified at once, so that the order of tasks does not matter.

See condu.py: the deltas that are unified are always the experts' own, never what an earlier
unification left of them. The difference between the two is what iterating costs. `task` is an
option here as there.
"""

from typing import ClassVar, Literal

from methods.merging.condu import ConDU, unify
from methods.merging.masked import Unified
from methods.merging.task_vectors import TaskVectors


class ConDUOnce(ConDU):
    """Unify all experts at once; decouple that of a known task, or those of similar classes."""

    combines_over: ClassVar[Literal["set", "sequence"] | None] = "set"

    def unify(self, vectors: TaskVectors) -> Unified:
        """Returns one unification."""
        return unify(vectors.tasks, vectors.items())
