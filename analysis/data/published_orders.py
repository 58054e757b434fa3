"""Orders that papers have published, by their names."""

import re
from collections.abc import Sequence

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
NAMED: dict[str, tuple[str, ...]] = {name: tuple(order.split()) for name, order in _NAMED.items()}
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

Order = tuple[str, ...]


def bare(task: str) -> str:
    """Returns the name of a task without case and punctuation."""
    return "".join(letter for letter in task.casefold() if letter.isalnum())


def split_path(text: str) -> Order:
    """Returns the tasks of an order that is written with > or commas between them.

    >>> split_path("cars > pets"), split_path("cars,pets"), split_path("II")
    (('cars', 'pets'), ('cars', 'pets'), ('II',))
    """
    text = re.sub(r"\s*(?:->|\u2192|>)\s*", ">", text.strip().strip("[]()"))
    parts = text.split(">") if ">" in text else text.split(",")
    return tuple(part.strip().strip("'\"") for part in parts)


def write_path(order: Sequence[str]) -> str:
    """Returns an order as one text."""
    return ">".join(order)


def find_published(label: str, orders: Sequence[Order]) -> Order | None:
    """Returns which of these orders is meant by the name of a published one, or by its tasks.

    >>> find_published("ucit", [("VizWiz", "IconQA")]) is None
    True
    >>> find_published("Cars,Pets", [("pets", "cars"), ("cars", "pets")])
    ('cars', 'pets')
    """
    wanted = tuple(map(bare, NAMED.get(label) or split_path(label)))
    return next((order for order in orders if tuple(map(bare, order)) == wanted), None)


def known_among(orders: Sequence[Order]) -> dict[str, Order]:
    """Returns those of these orders that papers have published, by their names."""
    found = {name: find_published(name, orders) for name in NAMED}
    return {name: order for name, order in found.items() if order is not None}
