"""Randomness that depends on what is computed, never on what ran before."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that is a fixed function of `parts` (compared by their text)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
