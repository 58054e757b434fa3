"""Tiny models of every family, with the processor that its checkpoints have, saved as they are.

Weights are random; classes of models, tokenizers and processors are transformers' own.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers as hf

from methods.seeds import torch_seeded

SIZE = 32
"""Height and width of images, in pixels."""
WORDS = ("a", "photo", "of", "drawing", "the", "cat", "dog", "red", "bird", ".", "what", "is", "?")
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**TOWER, "image_size": SIZE, "patch_size": 16}
LENGTH = 40
"""Most tokens of a text."""


def bert_tokenizer() -> Any:
    """Returns BERT's word pieces."""
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    vocabulary = {word: i for i, word in enumerate((*special, *WORDS))}
    return hf.BertTokenizer(vocab=vocabulary, model_max_length=LENGTH)


def roberta_tokenizer(length: int = LENGTH) -> Any:
    """Returns XLM-RoBERTa's unigrams."""
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces = [(f"▁{word}", -1.0) for word in WORDS] + [(letter, -9.0) for letter in ascii_lowercase]
    vocabulary = [*special, *pieces, (".", -2.0), ("▁", -5.0), ("<mask>", 0.0)]
    return hf.XLMRobertaTokenizer(vocab=vocabulary, model_max_length=length)


def clip_tokenizer() -> Any:
    """Returns CLIP's byte pairs, without a merge: a token per letter."""
    letters = [*ascii_lowercase, ".", "?"]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    return hf.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH)


def clip_images(**options: Any) -> Any:
    """Returns the image processor of CLIP."""
    size = {"height": SIZE, "width": SIZE}
    return hf.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size, **options)


def texts_of(tokenizer: Any, **options: Any) -> dict[str, Any]:
    """Returns the options of a tower that reads what a tokenizer makes of texts."""
    return {
        **TOWER,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": LENGTH,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **options,
    }


def clip() -> tuple[Any, Any]:
    """CLIP."""
    processor = hf.CLIPProcessor(clip_images(), clip_tokenizer())
    text = texts_of(processor.tokenizer, projection_dim=16)
    config = hf.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    return processor, hf.CLIPModel(config)


def metaclip_2() -> tuple[Any, Any]:
    """MetaCLIP 2, which reads many languages."""
    processor = hf.CLIPProcessor(clip_images(), roberta_tokenizer())
    text = texts_of(processor.tokenizer, projection_dim=16)
    config = hf.MetaClip2Config(text_config=text, vision_config=VISION, projection_dim=16)
    return processor, hf.MetaClip2Model(config)


def clipseg() -> tuple[Any, Any]:
    """CLIPSeg: the CLIP in it."""
    size = {"height": SIZE, "width": SIZE}
    images = hf.ViTImageProcessorPil(size=size)
    processor = hf.CLIPSegProcessor(images, clip_tokenizer())
    text = texts_of(processor.tokenizer)
    config = hf.CLIPSegConfig(text_config=text, vision_config=VISION, projection_dim=16)
    return processor, hf.CLIPSegModel(config)


def altclip() -> tuple[Any, Any]:
    """AltCLIP: XLM-RoBERTa reads the texts."""
    # The tower has two positions that no text uses; the tokenizer does not know.
    processor = hf.AltCLIPProcessor(clip_images(), roberta_tokenizer(LENGTH + 2))
    text = texts_of(
        processor.tokenizer,
        project_dim=24,
        max_position_embeddings=LENGTH + 2,
        hidden_dropout_prob=0.0,
    )
    vision = {**VISION, "projection_dim": 16}
    config = hf.AltCLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    return processor, hf.AltCLIPModel(config)


def chinese_clip() -> tuple[Any, Any]:
    """Chinese CLIP: BERT reads the texts."""
    size = {"height": SIZE, "width": SIZE}
    images = hf.ChineseCLIPImageProcessorPil(size=size, crop_size=size)
    processor = hf.ChineseCLIPProcessor(images, bert_tokenizer())
    text = texts_of(processor.tokenizer, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config = hf.ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    return processor, hf.ChineseCLIPModel(config)


def align() -> tuple[Any, Any]:
    """ALIGN: an EfficientNet, BERT, and a temperature to divide by."""
    size = {"height": SIZE, "width": SIZE}
    images = hf.EfficientNetImageProcessorPil(
        size={"height": 40, "width": 40},
        crop_size=size,
        do_center_crop=True,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    )
    processor = hf.AlignProcessor(images, bert_tokenizer())
    text = texts_of(
        processor.tokenizer,
        max_position_embeddings=64,  # its processor fills all texts up to that
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    vision = {
        "image_size": SIZE,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "kernel_sizes": [3, 3],
        "in_channels": [32, 16],
        "out_channels": [16, 24],
        "strides": [1, 2],
        "num_block_repeats": [1, 2],
        "expand_ratios": [1, 6],
        "hidden_dim": 24,
        "drop_connect_rate": 0.0,
    }
    config = hf.AlignConfig(
        text_config=text, vision_config=vision, projection_dim=24, temperature_init_value=0.07
    )
    return processor, hf.AlignModel(config)


def vision_text_dual_encoder() -> tuple[Any, Any]:
    """VisionTextDualEncoder: any two towers, here a ViT and BERT."""
    images = hf.ViTImageProcessorPil(size={"height": SIZE, "width": SIZE})
    processor = hf.VisionTextDualEncoderProcessor(images, bert_tokenizer())
    sure = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    text = hf.BertConfig(**texts_of(processor.tokenizer, **sure))
    vision = hf.ViTConfig(**VISION)
    config = hf.VisionTextDualEncoderConfig.from_vision_text_configs(
        vision, text, projection_dim=16
    )
    return processor, hf.VisionTextDualEncoderModel(config)


def siglip_1() -> tuple[Any, Any]:
    """SigLIP, whose tokenizer is one of sentencepiece."""
    import sentencepiece

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{one} {other}" for one in WORDS for other in WORDS]),
        model_writer=trained,
        vocab_size=33,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "spiece.model"
        file.write_bytes(trained.getvalue())
        tokenizer = hf.SiglipTokenizer(
            str(file), model_max_length=LENGTH, model_input_names=["input_ids"]
        )
    return _siglip(tokenizer)


def siglip() -> tuple[Any, Any]:
    """SigLIP 2 at a fixed resolution: a SigLIP with the tokenizer of Gemma."""
    return _siglip(siglip_2_tokenizer())


def _siglip(tokenizer: Any) -> tuple[Any, Any]:
    images = hf.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    processor = hf.SiglipProcessor(images, tokenizer)
    text = texts_of(tokenizer, projection_size=32)
    config = hf.SiglipConfig(text_config=text, vision_config=VISION)
    return processor, hf.SiglipModel(config)


def gemma_tokenizer(*more: str, **options: Any) -> Any:
    """Returns Gemma's tokenizer, with a token per letter."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *ascii_lowercase, "▁", ".", "?", "\n"]
    vocabulary = {token: i for i, token in enumerate((*tokens, *more))}
    return hf.GemmaTokenizer(vocab=vocabulary, merges=[], **options)


def aimv2() -> tuple[Any, Any]:
    """AIMv2, whose temperature has a bound, which is reached here."""
    processor = hf.CLIPProcessor(clip_images(), clip_tokenizer())
    config = hf.Aimv2Config(
        text_config=texts_of(processor.tokenizer),
        vision_config=VISION,
        projection_dim=16,
        logit_scale_init_value=4.0,
        max_logit_scale=20.0,
    )
    return processor, hf.Aimv2Model(config)


def siglip_2_tokenizer() -> Any:
    """Returns Gemma's tokenizer as SigLIP 2 has it."""
    return gemma_tokenizer(
        model_max_length=LENGTH,
        add_bos_token=False,
        add_eos_token=True,
        model_input_names=["input_ids"],
        padding_side="right",
    )


def words_of(tokenizer: Any, **options: Any) -> dict[str, Any]:
    """Returns the options of a language model that reads what a tokenizer makes of texts."""
    return texts_of(
        tokenizer, max_position_embeddings=256, head_dim=16, num_key_value_heads=1, **options
    )


def llava() -> tuple[Any, Any]:
    """LLaVA 1.5, with the template of its checkpoints."""
    tokenizer = llama_tokenizer("<image>")
    processor = hf.LlavaProcessor(
        clip_images(),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**VISION),
        text_config=hf.LlamaConfig(**words_of(tokenizer), tie_word_embeddings=False),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return processor, hf.LlavaForConditionalGeneration(config)


def llama_tokenizer(*more: str, letters: str = "ASITNUER") -> Any:
    """Returns Llama's tokenizer, with a token per letter; of capitals only some."""
    known = [*ascii_lowercase, "▁", ".", "?", ":", "\n", *letters]
    vocabulary = {token: i for i, token in enumerate(("<unk>", "<s>", "</s>", *known, *more))}
    return hf.LlamaTokenizer(
        vocab=vocabulary,
        merges=[],
        pad_token="<unk>",
        additional_special_tokens=list(more),
    )


def paligemma() -> tuple[Any, Any]:
    """PaliGemma: image and question see one another in both directions."""
    images = hf.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    images.image_seq_length = 4
    processor = hf.PaliGemmaProcessor(images, gemma_tokenizer())
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, projection_dim=32),
        text_config=hf.GemmaConfig(**words_of(processor.tokenizer)),
        image_token_id=processor.image_token_id,
        projection_dim=32,
    )
    return processor, hf.PaliGemmaForConditionalGeneration(config)


def paligemma_2() -> tuple[Any, Any]:
    """PaliGemma 2: the same with Gemma 2."""
    processor, first = paligemma()
    config = hf.PaliGemmaConfig(
        vision_config=first.config.vision_config,
        text_config=hf.Gemma2Config(**words_of(processor.tokenizer)),
        image_token_id=processor.image_token_id,
        projection_dim=32,
    )
    return processor, hf.PaliGemmaForConditionalGeneration(config)


def gemma3() -> tuple[Any, Any]:
    """Gemma 3, whose turns end with a token of their own."""
    image = {"boi": "<start_of_image>", "eoi": "<end_of_image>", "image": "<image_soft_token>"}
    tokenizer = gemma_tokenizer(
        "<start_of_turn>",
        "<end_of_turn>",
        *image.values(),
        extra_special_tokens={f"{name}_token": token for name, token in image.items()},
    )
    tokenizer.add_tokens(["<start_of_turn>", "<end_of_turn>"], special_tokens=True)
    processor = hf.Gemma3Processor(
        hf.Gemma3ImageProcessorPil(size={"height": SIZE, "width": SIZE}),
        tokenizer,
        chat_template=GEMMA_TEMPLATE,
        image_seq_length=4,
    )
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**VISION),
        text_config=hf.Gemma3TextConfig(
            **words_of(tokenizer, sliding_window=8, sliding_window_pattern=2)
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        mm_tokens_per_image=4,
        eos_token_id=ends,
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = ends
    return processor, model


LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n"
    "{% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Like that of llava-hf/llava-1.5-7b-hf."""
GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""Like that of google/gemma-3-4b-it."""
FUSION_MODELS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "llava": llava,
    "paligemma": paligemma,
    "paligemma_2": paligemma_2,
    "gemma3": gemma3,
}
"""By `model_type`; of PaliGemma there are two."""
DUAL_ENCODERS: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "aimv2": aimv2,
    "clip": clip,
    "metaclip_2": metaclip_2,
    "clipseg": clipseg,
    "altclip": altclip,
    "chinese_clip": chinese_clip,
    "align": align,
    "vision-text-dual-encoder": vision_text_dual_encoder,
    "siglip": siglip,
    "siglip_1": siglip_1,
}


@torch.no_grad()
def save(family: Callable[[], tuple[Any, Any]], folder: Path, seed: int = 0) -> str:
    """Returns the folder of a model and its processor.

    To the initial weights noise is added, so that images and texts differ for the model.
    """
    with torch_seeded(seed):
        processor, model = family()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter += 0.1 * torch.randn(parameter.shape)
        if any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.modules()):
            _measure(model)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def _measure(model: Any) -> None:
    """Take running statistics from random images, as a pretraining leaves them."""
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    model.train()
    colours = torch.randn(16, 3, 1, 1)
    model.get_image_features(pixel_values=colours + torch.randn(16, 3, SIZE, SIZE))
    model.eval()
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
