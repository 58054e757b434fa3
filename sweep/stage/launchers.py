"""Keeps out what other launchers left in the environment of a shell."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LAUNCHED_AS = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "PMI_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_SIZE",
)
"""Environment variables in which launchers tell a process of its peers."""


@contextmanager
def unasked_settings_hidden() -> Iterator[None]:
    """Hides variables from which Accelerate takes settings, such as steps to divide losses by.

    They come from `accelerate launch` or a shell's start-up file. Without peers also the world of
    another launcher is hidden, such as that of a job script: it would wait for peers for ever.
    """
    hidden = [name for name in os.environ if name.startswith("ACCELERATE_")]
    if not torch.distributed.is_initialized():
        hidden += [name for name in LAUNCHED_AS if name in os.environ]
    before = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(before)
