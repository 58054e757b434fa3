"""Measures what an evaluation of a fusion model costs by the number of choices.

    python benchmarks/scoring_choices.py --images 8

A LLaVA with random weights, two thin layers in each tower, and as many image tokens as LLaVA-1.5
(576) answers questions and embeds the images, as an evaluation does. Before, the prompt was read
again for every chunk of choices, and the images were encoded again to embed them; that is done here
by plain code beside the backbone's own. Both give the same scores, which is checked. It prints, by
number of choices,

- how many times the language model reads the prompt of an image, before and now;
- how many times the vision tower reads an image;
- seconds of a processor per image, and how many times less that is now.

On a small cloud machine with two cores, one image, other work beside it:

    choices  prompts read  images read  seconds per image  ratio
         10        1 -> 1       2 -> 1     0.033 -> 0.025    1.3
        100        4 -> 1       2 -> 1     0.091 -> 0.055    1.7
       1000       36 -> 1       2 -> 1     0.747 -> 0.471    1.6

The keys and values of a prompt are repeated for every choice, in both; what is left with many
choices is that, and the choices themselves. Here layers are thin, so that this is most of it: by
tokens read, 36 prompts of 580 tokens and 1000 choices of 3 were 24 000, and are 3 600 now.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from methods.backbones import fusion, load_backbone
from methods.backbones.fusion import Fusion
from methods.data import Batch, Split, Task
from methods.testing.tiny_models import tokenizer_of

SIZE, PATCH = 336, 14
CHOICES = (10, 100, 1000)
BATCH = 8
WORDS = [f"{first}{second}" for first in "abcdefghij" for second in "klmnopqrst"]
THIN = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8)
    images = parser.parse_args().images
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        backbone = load_backbone(save(Path(folder)))
    assert isinstance(backbone, Fusion)
    backbone.eval()
    print("choices  prompts read  images read  seconds per image  ratio")
    for count in CHOICES:
        task = task_of(count, images)
        calls = count_calls(backbone)
        expected, before = timed(lambda task=task: evaluate(backbone, task, score_before))
        read_before = tuple(calls)
        calls[:] = [0, 0]
        found, now = timed(lambda task=task: evaluate(backbone, task, None))
        read_now = tuple(calls)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        prompts, shown = (
            f"{one / images:.0f} -> {other / images:.0f}"
            for one, other in zip(read_before, read_now, strict=True)
        )
        seconds = f"{before / images:.3f} -> {now / images:.3f}"
        print(f"{count:7}  {prompts:>12}  {shown:>11}  {seconds:>17}  {before / now:5.1f}")


def save(folder: Path) -> str:
    """Returns the folder of a thin LLaVA whose images are those of LLaVA-1.5."""
    tokenizer = tokenizer_of(["what", "is", "it", "?", *WORDS], "<bos> $A")
    size = {"height": SIZE, "width": SIZE}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**THIN, image_size=SIZE, patch_size=PATCH),
        text_config=LlamaConfig(
            **THIN, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor.save_pretrained(folder)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def task_of(count: int, images: int) -> Task:
    """Returns a task with so many choices of two words."""
    pictures = np.random.default_rng(0).integers(0, 256, (images, SIZE, SIZE, 3), dtype=np.uint8)
    split = Split(pictures, np.zeros(images, dtype=np.int64))
    choices = tuple(f"{one} {other}" for one in WORDS for other in WORDS)[:count]
    return Task("names", choices, ("{}",), "what is it ?", split, split)


Score = Callable[[Fusion, Batch], Tensor]


@torch.no_grad()
def evaluate(backbone: Fusion, task: Task, score: Score | None) -> Tensor:
    """Returns the scores of all images, which are embedded as well.

    Args:
        backbone: That is evaluated.
        task: On which.
        score: How it was done before; None: as it is done now.
    """
    rows = []
    for ids in torch.split(torch.arange(len(task.test)), BATCH):
        labels = torch.from_numpy(task.test.labels[ids.numpy()])
        batch = Batch(task, backbone.pixels(task.test.images(ids.numpy())), labels, ids)
        if score:
            rows.append(score(backbone, batch))
            backbone.embed_images(batch.pixels)
        else:
            with backbone.frozen_texts([task]):
                rows.append(backbone.logits(batch))
                backbone.embed_images(batch.pixels)
    return torch.cat(rows)


def score_before(backbone: Fusion, batch: Batch) -> Tensor:
    """Returns scores, with the prompts read for every chunk of choices."""
    prompts = backbone._prompts(batch)
    answers = backbone.dialogue.choices(batch.task.choices)
    length = prompts["attention_mask"].shape[1] + answers.shape[-1]
    at_once = max(1, fusion._TOKENS_AT_ONCE // length)
    rows = []
    for ids in torch.split(torch.arange(len(batch)), max(1, at_once // len(answers))):
        some = {key: value[ids] for key, value in prompts.items()}
        parts = torch.split(answers.expand(len(ids), -1, -1), at_once, dim=1)
        columns = [backbone._likelihoods(backbone._read(some), part) for part in parts]
        rows.append(torch.cat(columns, dim=1))
    return torch.cat(rows)


def count_calls(backbone: Fusion) -> list[int]:
    """Returns two numbers that count prompts and images as the model reads them."""
    calls = [0, 0]
    model = backbone.model.model

    def prompts(_: object, __: object, given: dict[str, Tensor]) -> None:
        embedded = given["inputs_embeds"]
        calls[0] += len(embedded) if embedded.shape[1] > (SIZE // PATCH) ** 2 else 0

    def images(_: object, given: tuple[Tensor, ...]) -> None:
        calls[1] += len(given[0])

    backbone._one_by_one  # looked at once, with a blank image  # noqa: B018
    for part in (model.language_model, model.vision_tower):
        part._forward_pre_hooks.clear()
        part._forward_pre_hooks_with_kwargs.clear()
    model.language_model.register_forward_pre_hook(prompts, with_kwargs=True)
    model.vision_tower.register_forward_pre_hook(images)
    return calls


def timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Returns a result, and the seconds of a processor that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
