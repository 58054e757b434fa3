"""Tiny fusion models whose processors take images of any size, as `tests.methods.tiny_families`.

Processors are made without their readers of videos, which need torchvision.
"""

from collections.abc import Callable, Mapping
from typing import Any

import transformers as hf
from transformers.convert_slow_tokenizer import bytes_to_unicode

from methods.backbones.multimodal.stills import without_videos
from tests.methods.tiny_families import (
    SIZE,
    TOWER,
    VISION,
    clip_images,
    llama_tokenizer,
    words_of,
)

Tiny = tuple[Any, Any]
EDGES = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
"""Fewest and most pixels of an image, of Qwen-VL."""
GRID = {"patch_size": 8, "merge_size": 2, "size": EDGES}
PINPOINTS = [[SIZE, SIZE], [SIZE, 2 * SIZE], [2 * SIZE, SIZE], [2 * SIZE, 2 * SIZE]]
"""Heights and widths that LLaVA-OneVision arranges tiles in; LLaVA-NeXT lacks the first."""
QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_tokenizer(kind: Any, *more: str, **options: Any) -> Any:
    """Returns a tokenizer with a token per byte, and `more` special ones."""
    special = [*QWEN, *more]
    vocabulary = {token: i for i, token in enumerate((*bytes_to_unicode().values(), *special))}
    return kind(
        vocab=vocabulary,
        merges=[],
        unk_token=QWEN[0],
        bos_token=QWEN[0],
        eos_token=QWEN[2],
        pad_token=QWEN[0],
        additional_special_tokens=list(special),
        **options,
    )


def turns(image: str) -> str:
    """Returns the chat template of Qwen-VL, LLaVA-OneVision and InternVL."""
    return (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
        + image
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %} [/INST]{% else %} "
    "{{ message['content'][0]['text'] }}</s>{% endif %}{% endfor %}"
)
"""Like that of llava-hf/llava-v1.6-mistral-7b-hf."""
IDEFICS_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""Like that of HuggingFaceM4/idefics2-8b, and of SmolVLM."""


def ended_by(model: Any, tokenizer: Any, token: str) -> Any:
    """Returns a model whose answers end with a token of its chat template, as in its files."""
    model.generation_config.eos_token_id = [
        tokenizer.eos_token_id,
        tokenizer.convert_tokens_to_ids(token),
    ]
    return model


def llava_next() -> Tiny:
    """LLaVA-NeXT: the image in several tiles and as a whole."""
    tokenizer = llama_tokenizer("<image>", letters="INST[]/")
    processor = hf.LlavaNextProcessor(
        hf.LlavaNextImageProcessorPil(
            **{name: getattr(clip_images(), name) for name in ("size", "crop_size")},
            image_grid_pinpoints=PINPOINTS[1:],
        ),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=MISTRAL_TEMPLATE,
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION),
        text_config=hf.LlamaConfig(**words_of(tokenizer), tie_word_embeddings=False),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=PINPOINTS[1:],
    )
    return processor, hf.LlavaNextForConditionalGeneration(config)


def llava_onevision() -> Tiny:
    """LLaVA-OneVision: the same with SigLIP and Qwen2."""
    tokenizer = byte_tokenizer(hf.Qwen2Tokenizer, "<image>", "<video>")
    processor = without_videos(hf.LlavaOnevisionProcessor)(
        hf.LlavaOnevisionImageProcessorPil(
            size={"height": SIZE, "width": SIZE}, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer,
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=turns("<image>\n"),
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=hf.Qwen2Config(**words_of(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=PINPOINTS,
    )
    return processor, hf.LlavaOnevisionForConditionalGeneration(config)


ROWS = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
FRAMES = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *ROWS)
EDGE = {"vision_config": {**TOWER, "image_size": SIZE, "patch_size": 8}, "scale_factor": 2}
TILES = {"size": {"longest_edge": 2 * SIZE}, "max_image_size": {"longest_edge": SIZE}}


def smolvlm() -> Tiny:
    """SmolVLM: every image in rows and columns of tiles, and as a whole."""
    tokenizer = byte_tokenizer(hf.GPT2Tokenizer, *FRAMES)
    processor = without_videos(hf.SmolVLMProcessor)(
        hf.SmolVLMImageProcessorPil(**TILES),
        tokenizer,
        video_processor=None,
        image_seq_len=4,
        chat_template="<|im_start|>" + IDEFICS_TEMPLATE,
    )
    config = hf.SmolVLMConfig(
        **EDGE,
        text_config=hf.LlamaConfig(**words_of(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = hf.SmolVLMForConditionalGeneration(config)
    return processor, ended_by(model, tokenizer, "<end_of_utterance>")


def idefics3() -> Tiny:
    """Idefics 3, of which SmolVLM came."""
    tokenizer = byte_tokenizer(hf.GPT2Tokenizer, *FRAMES)
    processor = hf.Idefics3Processor(
        hf.Idefics3ImageProcessorPil(**TILES),
        tokenizer,
        image_seq_len=4,
        chat_template="<|im_start|>" + IDEFICS_TEMPLATE,
    )
    config = hf.Idefics3Config(
        **EDGE,
        text_config=hf.LlamaConfig(**words_of(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = hf.Idefics3ForConditionalGeneration(config)
    return processor, ended_by(model, tokenizer, "<end_of_utterance>")


def idefics2() -> Tiny:
    """Idefics 2: five parts of an image, each read by a perceiver."""
    tokenizer = llama_tokenizer(letters="AU")
    processor = hf.Idefics2Processor(
        hf.Idefics2ImageProcessorPil(
            size={"shortest_edge": SIZE, "longest_edge": 2 * SIZE}, do_image_splitting=True
        ),
        tokenizer,
        image_seq_len=3,
        chat_template=IDEFICS_TEMPLATE,
    )
    perceiver = {"resampler_n_latents": 3, "resampler_depth": 1, "resampler_n_heads": 2}
    config = hf.Idefics2Config(
        vision_config={**VISION, "image_size": 2 * SIZE},
        perceiver_config={
            **perceiver,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
            "hidden_size": TOWER["hidden_size"],
        },
        text_config=hf.MistralConfig(**words_of(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = hf.Idefics2ForConditionalGeneration(config)
    return processor, ended_by(model, tokenizer, "<end_of_utterance>")


def internvl() -> Tiny:
    """InternVL: as many tiles as the size of an image asks for."""
    image = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = byte_tokenizer(hf.Qwen2Tokenizer, *image.values(), extra_special_tokens=image)
    processor = without_videos(hf.InternVLProcessor)(
        hf.GotOcr2ImageProcessorPil(size={"height": SIZE, "width": SIZE}, max_patches=4),
        tokenizer,
        image_seq_length=4,
        chat_template=turns("<IMG_CONTEXT>\n"),
    )
    vision = {**TOWER, "image_size": [SIZE, SIZE], "patch_size": [8, 8]}
    config = hf.InternVLConfig(
        vision_config=vision,
        text_config=hf.Qwen2Config(**words_of(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    return processor, hf.InternVLForConditionalGeneration(config)


VISUAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def qwen(processor: Any, **vision: Any) -> tuple[Any, dict[str, Any]]:
    """Returns a processor of Qwen-VL, and what the configurations of its models have in common."""
    images = hf.Qwen2VLImageProcessorPil(**GRID)
    tokenizer = byte_tokenizer(hf.Qwen2Tokenizer, *VISUAL)
    names = ("vision_start", "vision_end", "image", "video")
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in zip(names, VISUAL, strict=True)
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
    grid = {"depth": 2, "num_heads": 2, "patch_size": 8, "spatial_merge_size": 2, **vision}
    text = {**words_of(tokenizer), "rope_parameters": rope}
    made = without_videos(processor)(images, tokenizer, chat_template=turns(IMAGE))
    return made, {**ids, "text_config": text, "vision_config": grid}


def qwen2_vl() -> Tiny:
    """Qwen2-VL: patches of an image have positions over time, height and width."""
    processor, shared = qwen(hf.Qwen2VLProcessor, embed_dim=32, hidden_size=32)
    return processor, hf.Qwen2VLForConditionalGeneration(hf.Qwen2VLConfig(**shared))


def qwen2_5_vl() -> Tiny:
    """Qwen2.5-VL: the same, with windows in its vision tower."""
    processor, shared = qwen(
        hf.Qwen2_5_VLProcessor,
        hidden_size=32,
        out_hidden_size=32,
        intermediate_size=64,
        window_size=32,
        fullatt_block_indexes=[1],
    )
    return processor, hf.Qwen2_5_VLForConditionalGeneration(hf.Qwen2_5_VLConfig(**shared))


def qwen3_vl() -> Tiny:
    """Qwen3-VL, whose deeper layers see the image again."""
    processor, shared = qwen(
        hf.Qwen3VLProcessor,
        hidden_size=32,
        out_hidden_size=32,
        intermediate_size=64,
        num_position_embeddings=36,
        deepstack_visual_indexes=[0, 1],
    )
    return processor, hf.Qwen3VLForConditionalGeneration(hf.Qwen3VLConfig(**shared))


ANY_SIZE: Mapping[str, Callable[[], Tiny]] = {
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "smolvlm": smolvlm,
    "idefics3": idefics3,
    "idefics2": idefics2,
    "internvl": internvl,
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
}
"""By `model_type`."""
SIDES = {name: 48 if name.startswith("qwen") else SIZE for name in ANY_SIZE}
"""Height and width to which images are brought first, where the study says nothing."""
