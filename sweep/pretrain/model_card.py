"""Writes the model card of tiny-clip."""

from collections.abc import Mapping
from pathlib import Path

from sweep.tasks.world.corpus import vocabulary

_CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: zero-shot-image-classification
---

# tiny-clip

A CLIP of {parameters:.2f} million parameters for 32x32 images of a procedural world: shapes,
colors, textures, counts, letters, handwritten digits, relations, scenes, sketches, arrows and
positions. It is made for fast experiments in continual learning: it knows the common half of the
concepts well, has seldom seen the rare half, and can be fine-tuned in a second on one CPU core.
It is of no use for real photos.

## Use

`AutoModel`, `AutoTokenizer` and `AutoImageProcessor` load this folder. The tokenizer knows the
{words} words of the world's captions and prompts and nothing else; case matters.

## Recipe

`sweep pretrain tiny-clip --out FOLDER --steps {steps} --seed SEED`

{steps} steps of 256 new pictures each; symmetric contrastive loss in which equal captions match one
another; Muon for the hidden weights, AdamW for the rest; linear warm-up, then linear decay to zero.
Rare words are a few in a hundred. Of the handwritten digits
(Alpaydin and Kaynak, UCI 1998, as in scikit-learn) only the scans kept for training are seen.

## Figures

Zero-shot accuracy on the test images of the world's tasks and held-out suites, and recall at 1 of
256 image-caption pairs. The weights are those of the first seed.

"""


def write_card(
    out: Path, figures: Mapping[int, Mapping[str, float]], steps: int, parameters: int
) -> None:
    """Writes README.md beside the weights.

    Args:
        out: The model's folder.
        figures: By seed of the run; the first one is the run whose weights are in `out`.
        steps: Optimizer steps of every run.
        parameters: Size of the model.
    """
    text = _CARD.format(parameters=parameters / 1e6, words=len(vocabulary()), steps=steps)
    names = next(iter(figures.values()))
    rows = [["", *(f"seed {seed}" for seed in figures)], ["---", *("---:" for _ in figures)]]
    rows += [[name, *(f"{run[name]:.3f}" for run in figures.values())] for name in names]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    (out / "README.md").write_text(f"{text}{table}\n")
