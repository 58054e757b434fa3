"""What several tests share: tiny models, saved once."""

from pathlib import Path

import pytest
from hypothesis import settings

from methods.testing import tiny_models

settings.register_profile("default", max_examples=50, deadline=None, database=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def models() -> Path:
    """A folder with a tiny CLIP in `clip` and a tiny LLaVA in `llava`."""
    return tiny_models()
