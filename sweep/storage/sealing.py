"""Writes facts as JSON with a checksum, by which a changed byte is noticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sweep.storage.folder import DamagedError

CHECKSUM = "sha256"
"""Key of the checksum: the SHA-256 of all other facts."""


def sealed(facts: Mapping[str, Any]) -> bytes:
    """Returns facts as JSON, with their checksum.

    >>> unsealed(sealed({"key": "a", "value": 0.1}))
    {'key': 'a', 'value': 0.1}
    """
    return json.dumps({**facts, CHECKSUM: _checksum(facts)}, indent=1).encode()


def unsealed(content: bytes) -> dict[str, Any]:
    """Returns the facts; those written before there were checksums are taken as they are.

    Raises:
        DamagedError: they are not what was written.

    >>> unsealed(sealed({"value": 0.1}).replace(b"0.1", b"0.9"))
    Traceback (most recent call last):
    ...
    sweep.storage.folder.DamagedError: the checksum is wrong
    """
    try:
        facts = json.loads(content)
        found = facts.pop(CHECKSUM, None)
    except (ValueError, AttributeError, TypeError):
        raise DamagedError("it is empty or cut off") from None
    if found is not None and found != _checksum(facts):
        raise DamagedError("the checksum is wrong")
    return dict(facts)


def _checksum(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
