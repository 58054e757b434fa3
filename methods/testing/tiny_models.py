"""Tiny models with random weights, saved as big ones are, to be loaded by the same path.

Words of the toy benchmark are in their vocabulary; everything else is unknown to them.
"""

import atexit
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPVisionConfig,
    GemmaConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipVisionConfig,
)
from transformers.utils import PushToHubMixin

from methods.seeds import torch_seeded

SIZE = 32
"""Height and width of images, in pixels."""
WORDS = ("red", "green", "blue")
"""The choices of all tasks of the toy benchmark."""
NAMES = "abcdef"
"""Of its tasks."""
VOCABULARY = (*WORDS, *NAMES, "what", "color", "is", "?")
SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<image>")
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**TOWER, "image_size": SIZE, "patch_size": 16, "projection_dim": 16}


@cache
def tiny_models() -> Path:
    """Returns a folder with a tiny `clip` and a tiny `llava`, kept until the process ends."""
    folder = TemporaryDirectory(prefix="tiny-models-")
    atexit.register(folder.cleanup)
    save_clip(Path(folder.name) / "clip", VOCABULARY)
    save_llava(Path(folder.name) / "llava", VOCABULARY)
    return Path(folder.name)


def tokenizer_of(words: Iterable[str], frame: str) -> PreTrainedTokenizerFast:
    """Returns a tokenizer of lower-cased `words`; everything else is <unk>."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *sorted(set(words))])}
    model = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [(token, vocabulary[token]) for token in ("<bos>", "<eos>")]
    model.post_processor = processors.TemplateProcessing(single=frame, special_tokens=special)
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        extra_special_tokens=["<image>"],
    )


def text_config(tokenizer: PreTrainedTokenizerFast, length: int = 20) -> dict[str, int]:
    """Options of a tower that reads texts of this tokenizer, up to `length` tokens."""
    return {
        **TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": length,
        "projection_dim": 16,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def save_clip(folder: Path, words: Iterable[str], seed: int = 0) -> str:
    """Returns a CLIP of about 60 thousand parameters."""
    tokenizer = tokenizer_of(words, "<bos> $A <eos>")
    config = CLIPConfig(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=16)
    with torch_seeded(seed):
        model = CLIPModel(config)
    return _save(folder, model, tokenizer, clip_images())


def save_siglip(folder: Path, words: Iterable[str], seed: int = 0) -> str:
    """Returns a SigLIP of about 70 thousand parameters."""
    tokenizer = tokenizer_of(words, "$A <eos>")
    config = SiglipConfig(text_config=text_config(tokenizer), vision_config=VISION)
    with torch_seeded(seed):
        model = SiglipModel(config)
    return _save(
        folder, model, tokenizer, SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    )


def save_llava(
    folder: Path, words: Iterable[str], seed: int = 0, chat_template: str | None = None
) -> str:
    """Returns a LLaVA of about 60 thousand parameters, with 4 image tokens."""
    tokenizer = tokenizer_of(words, "<bos> $A")
    text = LlamaConfig(**text_config(tokenizer, length=64), tie_word_embeddings=False)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    with torch_seeded(seed):
        model = LlavaForConditionalGeneration(config)
    processor = LlavaProcessor(
        clip_images(),
        tokenizer,
        patch_size=VISION["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    return _save(folder, model, processor)


def save_paligemma(folder: Path, words: Iterable[str], seed: int = 0) -> str:
    """Save a PaliGemma of 60 thousand parameters; attention in its prompt goes both ways."""
    images = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    images.image_seq_length = 4
    processor = PaliGemmaProcessor(images, tokenizer_of(words, "$A"))
    width = TOWER["hidden_size"]
    text = text_config(processor.tokenizer, length=64)
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**{**VISION, "projection_dim": width}),
        text_config=GemmaConfig(**text, head_dim=16, num_key_value_heads=1),
        image_token_id=processor.image_token_id,
        projection_dim=width,
    )
    with torch_seeded(seed):
        model = PaliGemmaForConditionalGeneration(config)
    return _save(folder, model, processor)


def clip_images() -> CLIPImageProcessorPil:
    """Returns the image processor of CLIP, for images of SIZE."""
    size = {"height": SIZE, "width": SIZE}
    return CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size)


def _save(folder: Path, *parts: PushToHubMixin) -> str:
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)
