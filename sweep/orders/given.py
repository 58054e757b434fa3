"""Takes orders as given: one by one, or by the name of a published one."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from sweep.errors import InputError, unknown
from sweep.orders.base import Design
from sweep.orders.order import Order

_NAMED = {
    # Order I and Order II of Zheng et al., "Preventing Zero-Shot Transfer Degradation in Continual
    # Learning of Vision-Language Models" (ICCV 2023, arXiv 2303.06628).
    "mtil-1": "Aircraft Caltech101 CIFAR100 DTD EuroSAT Flowers Food MNIST OxfordPet StanfordCars "
    "SUN397",
    "mtil-2": "StanfordCars Food MNIST OxfordPet Flowers SUN397 Aircraft Caltech101 DTD EuroSAT "
    "CIFAR100",
    # Chen et al., "CoIN: A Benchmark of Continual Instruction Tuning" (NeurIPS 2024, 2403.08350);
    # the order is that of the authors' training scripts.
    "coin": "ScienceQA TextVQA ImageNet GQA VizWiz Grounding VQAv2 OCRVQA",
    # The benchmark UCIT of Guo et al., "HiDe-LLaVA" (ACL 2025, 2503.12941); the order is the one
    # in which public code for it names the tasks.
    "ucit": "ImageNet-R ArxivQA VizWiz IconQA CLEVR-Math Flickr30k",
}
NAMED: dict[str, Order] = {name: tuple(order.split()) for name, order in _NAMED.items()}
"""Published orders of named tasks; case and punctuation of the names do not matter."""

_NUMBERED = {
    # Orders A to E of the ten tasks of CIFAR-100-Split in Yoon et al., "Scalable and Order-robust
    # Continual Learning with Additive Parameter Decomposition" (ICLR 2020, arXiv 1902.09432).
    "apd-a": "0123456789",
    "apd-b": "1745208693",
    "apd-c": "7051843629",
    "apd-d": "5829403761",
    "apd-e": "2954806137",
}
NUMBERED: dict[str, tuple[int, ...]] = {
    name: tuple(map(int, order)) for name, order in _NUMBERED.items()
}
"""Published orders of unnamed tasks: indices into the benchmark's list of tasks."""


class Fixed(Design):
    """Orders given one by one, or by the name of a published one; the same in every replicate."""

    fits_any_tasks: ClassVar[bool] = False
    name: str = "fixed"
    given: tuple[Order | str, ...] = Field(
        alias="orders",
        min_length=1,
        description=f"Each a list of tasks, or one of {', '.join([*NAMED, *NUMBERED])}.",
    )
    all_tasks: bool = Field(
        default=True, description="Every order must hold all tasks; false: any of them, each once."
    )

    def orders(self, tasks: Sequence[str], rng: np.random.Generator) -> list[Order]:
        """Returns the given orders, checked against the tasks."""
        orders = [
            published(order, tasks) if isinstance(order, str) else order for order in self.given
        ]
        for order in orders:
            self._check(order, tasks)
        if len(set(orders)) < len(orders):
            raise InputError("design 'fixed': the same order is given twice; give it once.")
        return orders

    def _check(self, order: Order, tasks: Sequence[str]) -> None:
        for task in order:
            if task not in tasks:
                raise unknown("task in design 'fixed'", task, tasks)
        if self.all_tasks and sorted(order) != sorted(tasks):
            raise InputError(
                f"design 'fixed': order [{', '.join(order)}] must name each of the study's "
                f"tasks exactly once: {', '.join(tasks)}."
            )
        if not order or len(set(order)) < len(order):
            raise InputError(
                f"design 'fixed': order [{', '.join(order)}] must name one or more tasks, "
                "each once."
            )


def published(name: str, tasks: Sequence[str]) -> Order:
    """Returns a published order, in the names that a benchmark gives its tasks.

    Raises:
        InputError: there is no such order, or it is for other tasks.
    """
    if name in NUMBERED:
        places = NUMBERED[name]
        if len(places) != len(tasks):
            raise InputError(
                f"design 'fixed': order '{name}' is for {len(places)} tasks, "
                f"but the benchmark has {len(tasks)}."
            )
        return tuple(tasks[place] for place in places)
    if name not in NAMED:
        raise unknown("published order", name, [*NAMED, *NUMBERED])
    known = {_bare(task): task for task in tasks}
    missing = [task for task in NAMED[name] if _bare(task) not in known]
    if missing:
        raise InputError(
            f"design 'fixed': order '{name}' needs a task '{missing[0]}'; "
            f"the benchmark has {', '.join(tasks)}."
        )
    return tuple(known[_bare(task)] for task in NAMED[name])


def _bare(task: str) -> str:
    return "".join(letter for letter in task.casefold() if letter.isalnum())
