"""What several tests share: tiny models, saved once; one Ray; and how tests share the cores."""

import os

# Models are tiny here, more threads make nothing faster, and workers of pytest-xdist would fight
# for the cores. Child processes inherit it. It counts only if it is set before numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from methods.testing import tiny_models

settings.register_profile("default", max_examples=50, deadline=None, database=None)
settings.load_profile("default")

# Shells let what runs in the background ignore Ctrl-C, which processes of tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

MOST_WORKERS = 8
"""Of pytest-xdist; each takes 1 GB of memory and seconds to start."""
FIRST = "ray"
"""The marker of tests that start Ray."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many workers as cores for whole folders; a few tests are done sooner without."""
    files = [argument for argument in config.args if not Path(argument).is_dir()]
    if files or config.option.keyword:
        return 0
    return min(os.cpu_count() or 1, MOST_WORKERS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with Ray come first, one after the other.

    With `--dist worksteal` the first worker begins with them, and others steal from the end of its
    queue: no two tests start a Ray at the same time, which would fight for the cores.
    """
    items.sort(key=lambda item: item.get_closest_marker(FIRST) is None)


@pytest.fixture(scope="session")
def models() -> Path:
    """A folder with a tiny CLIP in `clip` and a tiny LLaVA in `llava`."""
    return tiny_models()


@pytest.fixture(scope="session")
def until_the_end() -> Iterator[ExitStack]:
    """What is closed after the last test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def shared_ray(until_the_end: ExitStack) -> None:
    """A Ray as `run` starts it, which stays for all tests that ask for no other."""
    import ray

    from sweep.engine import cluster
    from sweep.study.schema import Lanes

    if not ray.is_initialized():
        until_the_end.enter_context(cluster.connected(None, Lanes(count=2, cpus_per_worker=1)))


@pytest.fixture
def no_ray() -> Iterator[None]:
    """No Ray before and after a test that starts its own."""
    import ray

    ray.shutdown()
    yield
    ray.shutdown()
