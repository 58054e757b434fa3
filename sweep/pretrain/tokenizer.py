"""Makes a tokenizer with one token per word."""

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

# <eos> must not have id 2: CLIPModel takes an end token of 2 for a bug in old checkpoints.
_SPECIAL = ("<pad>", "<bos>", "<unk>", "<eos>")


def word_tokenizer(words: Sequence[str], max_length: int) -> PreTrainedTokenizerFast:
    """Returns a tokenizer that knows the words and puts a text between <bos> and <eos>."""
    ids = {token: i for i, token in enumerate((*_SPECIAL, *words))}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[(t, ids[t]) for t in ("<bos>", "<eos>")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        unk_token="<unk>",
        eos_token="<eos>",
        model_max_length=max_length,
    )
