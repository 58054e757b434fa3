"""Writes the model cards of the embedded backbones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.inference.intervals import Interval
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.fusion import Fusion
from sweep.pretrain.held_out import PictureFigures
from sweep.pretrain.quality import AnswerFigures
from sweep.pretrain.room_to_learn import COLUMNS, TRAINING
from sweep.tasks.world.corpus import vocabulary

_TINY_CLIP = """\
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


_TINY_CLIP_PICTURES = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: zero-shot-image-classification
---

# tiny-clip-pictures

A CLIP of {parameters:.2f} million parameters for 32x32 pictures: emoji of several drawing styles,
clip art, letters of ten scripts, and a few photographs of clothes and handwritten digits. It is
made for fast experiments in continual learning on the benchmark `pictures`, or on a folder of
one's own: it can be fine-tuned in seconds on one CPU core. It has seen {pictures} pictures; do not
expect of it what a CLIP of 400 million pictures knows.

## Use

`AutoModel`, `AutoTokenizer` and `AutoImageProcessor` load this folder. The tokenizer has {words}
tokens, bytes among them, so that no text is unknown to it. Capitals are read as small letters.

## Recipe

`sweep pretrain tiny-clip-pictures --out FOLDER --steps {steps} --seed SEED`

{steps} steps of 256 pictures of the pool "pretrain" of `sweep/assets/pictures/pictures.parquet`,
each turned, shifted, scaled, lit and mirrored at random where its caption allows that, with a
sentence on what it shows or of what kind that is. Symmetric contrastive loss in which equal names
match one another; AdamW; linear warm-up, then linear decay to zero. All drawings of one name
are on one side: nothing that is drawn in the pool is drawn in a test picture or a retrieval pair
(of scans of clothes and digits, whose classes are all in the pool, six a class are). Sources,
authors and licences of all pictures stand in that table.

## What it knows of names that it has never seen drawn

How often the right one of {captions} captions is first, or among the first five. Intervals (95 %)
are over names. The weights are those of the first seed.

{recall}

## Room to learn and to forget

Accuracy on the tasks of `pictures`, untouched and after fine-tuning for {learning} a
task: on the task alone, on all tasks together, and on all of them one by one in the order of the
table. Intervals (95 %) are over names, for the seed of the weights; other columns are means over
seeds.

{room}
"""

_TINY_VLM = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---

# tiny-vlm

A LLaVA of {parameters:.2f} million parameters that answers questions about 32x32 pictures: of the
procedural world of tiny-clip, and of the emoji, clip art, letters, clothes and digits of
tiny-clip-pictures. It is made for fast experiments in continual learning with fusion models: it
has seldom seen the rare half of the world's concepts, and none of the pictures that the tasks of
`pictures` show. It is of no use for real photos.

## Use

`AutoModelForImageTextToText` and `AutoProcessor` load this folder. The chat template writes the
image, the question and a new line. The tokenizer has {words} tokens, bytes among them, so that no
text is unknown to it; capitals are read, and written, as small letters.

## Recipe

`sweep pretrain tiny-vlm --out FOLDER --steps {steps} --seed SEED`

The vision tower starts from that of tiny-clip; projector and language model (Llama, two layers of
width 96) from nothing. All are trained for {steps} steps, each on 40 new pictures of the world and
24 pictures of the pool "pretrain" of `sweep/assets/pictures/pictures.parquet` ({pictures} in all),
changed a little. Each is asked one question: that of its recipe or of a task, its kind or color,
whether it shows something, or for a description. AdamW; linear warm-up, then linear decay to zero.
The loss is the mean over the tokens of an answer.

## What it knows

On the test pictures of all tasks: how often it gives the likeliest of the classes rightly, and how
often its greedy answer is the right class, word by word. Intervals (95 %) are over pictures of the
world, and over names of `pictures`.

{knowledge}

## Room to learn

Accuracy on some of these tasks, untouched and after fine-tuning (of projector and language model)
for {learning} a task: on the task alone, on these of one world together, and on them one by one in
the order of the table.

{room}
"""


def write_vlm_card(
    out: Path,
    knowledge: Mapping[str, AnswerFigures],
    rooms: Mapping[str, Mapping[str, Mapping[str, float]]],
    steps: int,
    backbone: Fusion,
    pictures: int,
) -> None:
    """Writes README.md beside the weights of tiny-vlm.

    Args:
        out: The model's folder.
        knowledge: Of every task.
        rooms: By world and task, see `sweep.pretrain.room_to_learn.room`.
        steps: Optimizer steps of the run.
        backbone: The model.
        pictures: How many pictures of collections it has learnt from.
    """
    known = [
        [task, f"{own.chance:.2f}", *(interval_text(i, 2) for i in (own.chosen, own.written))]
        for task, own in knowledge.items()
    ]
    room = [
        [f"{world}: {task}", *(f"{scores[when]:.2f}" for when in COLUMNS)]
        for world, tasks in rooms.items()
        for task, scores in tasks.items()
    ]
    text = _TINY_VLM.format(
        parameters=backbone.model.num_parameters() / 1e6,
        pictures=f"{pictures:,}",
        words=len(backbone.tokenizer),
        steps=steps,
        learning=f"{TRAINING['steps']} steps of {TRAINING['batch_size']}, rate {TRAINING['lr']:g},",
        knowledge=_table(["", "chance", "chosen", "written"], known),
        room=_table(["", *COLUMNS], room),
    )
    (out / "README.md").write_text(text)


def write_tiny_clip_card(
    out: Path, figures: Mapping[int, Mapping[str, float]], steps: int, parameters: int
) -> None:
    """Writes README.md beside the weights of tiny-clip.

    Args:
        out: The model's folder.
        figures: By seed of the run; the first one is the run whose weights are in `out`.
        steps: Optimizer steps of every run.
        parameters: Size of the model.
    """
    text = _TINY_CLIP.format(parameters=parameters / 1e6, words=len(vocabulary()), steps=steps)
    names = next(iter(figures.values()))
    rows = [[name, *(f"{run[name]:.3f}" for run in figures.values())] for name in names]
    table = _table(["", *(f"seed {seed}" for seed in figures)], rows)
    (out / "README.md").write_text(f"{text}{table}\n")


def write_pictures_card(
    out: Path,
    figures: Mapping[int, PictureFigures],
    steps: int,
    backbone: DualEncoder,
    pictures: int,
) -> None:
    """Writes README.md beside the weights of tiny-clip-pictures.

    Args:
        out: The model's folder.
        figures: By seed of the run; the first one is the run whose weights are in `out`.
        steps: Optimizer steps of every run.
        backbone: The model.
        pictures: How many it has learnt from.
    """
    first = next(iter(figures.values()))
    recall = [
        [f"R@{k}", f"{chance:.3f}", *(interval_text(run.recall[k][0]) for run in figures.values())]
        for k, (_, chance) in first.recall.items()
    ]
    room = [
        [
            task,
            f"{first.chance[task]:.2f}",
            interval_text(first.untouched[task], digits=2),
            *(f"{_mean(figures, task, when):.2f}" for when in COLUMNS),
        ]
        for task in first.untouched
    ]
    text = _TINY_CLIP_PICTURES.format(
        parameters=backbone.model.num_parameters() / 1e6,
        pictures=f"{pictures:,}",
        words=len(backbone.tokenizer),
        steps=steps,
        captions=first.captions,
        learning=f"{TRAINING['steps']} steps of {TRAINING['batch_size']}, rate {TRAINING['lr']:g},",
        recall=_table(["", "chance", *(f"seed {seed}" for seed in figures)], recall),
        room=_table(["", "chance", "interval", *COLUMNS], room),
    )
    (out / "README.md").write_text(text)


def _mean(figures: Mapping[int, PictureFigures], task: str, when: str) -> float:
    return float(np.mean([run.room[task][when] for run in figures.values()]))


def interval_text(found: Interval, digits: int = 3) -> str:
    """Returns a mean with its interval, as the card says it."""
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
