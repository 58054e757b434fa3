"""A tiny BLIP that compares images with texts, with the processor that its checkpoints have."""

from typing import Any

import transformers as hf

from tests.methods.tiny_families import SIZE, VISION, bert_tokenizer, texts_of


def blip_retrieval() -> tuple[Any, Any]:
    """BLIP for retrieval: two towers, and a head for matching that is not asked here."""
    images = hf.BlipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    processor = hf.BlipProcessor(images, bert_tokenizer())
    text = texts_of(processor.tokenizer, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config = hf.BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=16)
    return processor, hf.BlipForImageTextRetrieval(config)
