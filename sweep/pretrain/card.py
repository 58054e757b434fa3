"""The model card."""

from collections.abc import Mapping
from pathlib import Path

_CARD = """\
---
library_name: transformers
pipeline_tag: zero-shot-image-classification
license: apache-2.0
---

# tiny-clip

TODO
"""


def write_card(out: Path, figures: Mapping[str, float], steps: int, seed: int) -> None:
    """Write README.md beside the weights."""
    rows = [f"| {name} | {value:.3f} |" for name, value in figures.items()]
    (out / "README.md").write_text(_CARD + "\n".join(rows))
