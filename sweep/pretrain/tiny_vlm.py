"""Pretrains tiny-vlm: a LLaVA of 0.6 million parameters, on questions about both worlds."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from transformers import (
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from methods.backbones.fusion import Fusion
from methods.data import Batch, Split, Task
from methods.seeds import derive_seed, torch_seeded
from sweep.pretrain.augment import augment
from sweep.pretrain.caption_matching import Progress, train
from sweep.pretrain.english import COMMON_WORDS
from sweep.pretrain.held_out import names_shown
from sweep.pretrain.model_card import write_vlm_card
from sweep.pretrain.picture_pairs import PicturePairs, read_pairs
from sweep.pretrain.quality import AnswerFigures, answer_figures
from sweep.pretrain.questions import Asked, about_picture, about_scene, asked_of
from sweep.pretrain.room_to_learn import room
from sweep.pretrain.small_clip import SIDE
from sweep.pretrain.tokenizer import byte_tokenizer
from sweep.study.backbones import EMBEDDED
from sweep.tasks.pictures.real_pictures import TABLE, Pictures
from sweep.tasks.world import World
from sweep.tasks.world.corpus import questioned, sentences

STEPS = 1600
"""Optimizer steps: a few minutes on one core."""
SCENES = 40
"""Pictures of the made world in a step."""
PICTURES = 24
"""Pictures of collections in a step."""
RARE = 0.05
"""How often the answer to a question about the world is a rare one: seldom enough to leave
something to learn. A model that writes needs more of them than one that compares."""
LR = 2e-3
"""Peak learning rate of what starts from nothing."""
VISION_LR = 2e-4
"""Peak learning rate of the vision tower, which has learnt before."""
WEIGHT_DECAY = 0.05
"""Of matrices; biases and scales of norms do not decay."""
VOCABULARY = 1024
"""Most tokens, 256 of which are bytes."""
TOKENS = 128
"""Most tokens of an image, a question and its answer."""
ROOMS: Mapping[str, Mapping[str, Any]] = {
    "world": {"name": "world", "tasks": ["shapes", "letters", "relations"]},
}
"""Tasks of which is measured what is left to learn and to forget."""
_SHORT = 20
"""Letters of an answer that is padded to the length of short ones."""
_PATCH = 8
_WIDTH = 96
_IMAGE = "<image>"
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% endif %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% if message['role'] == 'user' %}{{ '\\n' }}{% else %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
"""The image, the question, a new line, and the answer with its end."""
_NOTHING = Split(torch.empty(0, 0, 0, 3, dtype=torch.uint8).numpy(), torch.empty(0).numpy())
_QUESTIONS = Task("questions", (), (), "", _NOTHING, _NOTHING, "answers", "exact_match")


def pretrain_tiny_vlm(
    out: Path, steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> dict[str, float]:
    """Pretrains on questions about both worlds and writes the model like one of the hub.

    Its vision tower starts from that of tiny-clip, as LLaVA's does from a CLIP.

    Args:
        out: Folder for weights, configuration, processor and model card.
        steps: Optimizer steps, of 64 questions each.
        seed: Seed of the initial weights, the pictures and the questions.
        progress: Called after every step.

    Returns:
        By task of either world, how often it chooses the right class.
    """
    pairs = read_pairs(TABLE)
    backbone, processor = untrained(pairs, seed)
    fit(backbone, pairs, steps, seed, progress)
    for part in (backbone.model, processor):
        part.save_pretrained(out)
    found = {
        f"{world}: {name}": figures
        for world, tasks in knowledge(backbone).items()
        for name, figures in tasks.items()
    }
    rooms = {world: room(str(out), benchmark, seed) for world, benchmark in ROOMS.items()}
    write_vlm_card(out, found, rooms, steps, backbone, len(pairs))
    return {name: figures.chosen.mean for name, figures in found.items()}


def knowledge(backbone: Fusion) -> dict[str, dict[str, AnswerFigures]]:
    """Returns what the model knows of all tasks, by benchmark."""
    made, collected = World(train=1).load().tasks, Pictures(train=1).load().tasks
    return {
        "world": {
            name: answer_figures(backbone, task, [str(i) for i in range(len(task.test))])
            for name, task in made.items()
        },
        "pictures": {
            name: answer_figures(backbone, task, names_shown(task, TABLE))
            for name, task in collected.items()
        },
    }


def untrained(pairs: PicturePairs, seed: int) -> tuple[Fusion, LlavaProcessor]:
    """Returns the model before training, and its processor; its tokenizer knows both worlds."""
    said = chain(sentences(), pairs.texts(), COMMON_WORDS.split())
    asked = chain.from_iterable(chain(*map(asked_of, pairs.captions)))
    tokenizer = byte_tokenizer([*said, *asked], VOCABULARY, TOKENS, _IMAGE)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
    )
    tower = {"hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "num_attention_heads": 4}
    vision = CLIPVisionConfig(
        image_size=SIDE, patch_size=_PATCH, num_hidden_layers=3, hidden_act="gelu", **tower
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        max_position_embeddings=TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **tower,
    )
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids(_IMAGE),
        image_seq_length=(SIDE // _PATCH) ** 2,
        vision_feature_layer=-1,  # so that no layer of so few is unused
    )
    with torch_seeded(derive_seed(seed, "weights")):
        model = LlavaForConditionalGeneration(config)
    trained = CLIPModel.from_pretrained(EMBEDDED / "tiny-clip").vision_model.state_dict()
    model.model.vision_tower.load_state_dict(trained)
    return Fusion(model, processor), processor


def fit(
    backbone: Fusion, pairs: PicturePairs, steps: int, seed: int, progress: Progress | None
) -> None:
    """Trains to answer questions: about new scenes, and about pictures changed a little."""
    may_flip = pairs.may_flip

    def loss_of(step: int) -> Tensor:
        own = derive_seed(seed, "pictures", step)
        generator, random = torch.Generator().manual_seed(own), Random(own)
        scenes, shown = questioned(SCENES, own, RARE)
        drawn = torch.randint(len(pairs), (PICTURES,), generator=generator)
        pictures = augment(pairs.images[drawn], may_flip[drawn], generator)
        asked = [about_scene(one, random) for one in shown]
        asked += [about_picture(pairs, number, random) for number in drawn.tolist()]
        pixels = torch.cat([torch.from_numpy(scenes).permute(0, 3, 1, 2), pictures])
        # Apart from one another: short answers would be padded to the length of captions.
        long = [number for number, (_, answer) in enumerate(asked) if len(answer) > _SHORT]
        short = sorted(set(range(len(asked))) - set(long))
        parts = [
            _batch(pixels[numbers], [asked[number] for number in numbers])
            for numbers in (short, long)
            if numbers
        ]
        return backbone.loss(*parts).mean()

    train(backbone, loss_of, [_optimizer(backbone)], steps, progress)


def _batch(pixels: Tensor, asked: list[Asked]) -> Batch:
    numbers = torch.arange(len(asked))
    questions, answers = zip(*asked, strict=True)
    texts = tuple((answer,) for answer in answers)
    return Batch(_QUESTIONS, pixels, torch.zeros_like(numbers), numbers, questions, texts)


def _optimizer(backbone: Fusion) -> Optimizer:
    groups = [
        {
            "params": [
                weight
                for name, weight in backbone.named_parameters()
                if (backbone.tower(name) == "vision") == sees and (weight.ndim > 1) == decays
            ],
            "lr": VISION_LR if sees else LR,
            "weight_decay": WEIGHT_DECAY if decays else 0.0,
        }
        for sees in (True, False)
        for decays in (True, False)
    ]
    return AdamW(groups, betas=(0.9, 0.98), fused=True)
