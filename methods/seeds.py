"""Randomness that depends on what is computed, never on what ran before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*parts: object) -> int:
    """Returns a 63-bit seed that is a fixed function of `parts` (compared by their text)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Start torch's own generator from `seed` inside, and put it back afterwards.

    For initial weights that a library draws by itself, without taking a generator.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
