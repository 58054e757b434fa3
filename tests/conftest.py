"""What several tests share: tiny models, saved once."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.models import save_clip, save_llava
from tests.toy import VOCABULARY

settings.register_profile("default", max_examples=50, deadline=None, database=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP in `clip` and a tiny LLaVA in `llava`."""
    folder = tmp_path_factory.mktemp("models")
    save_clip(folder / "clip", VOCABULARY)
    save_llava(folder / "llava", VOCABULARY)
    return folder
