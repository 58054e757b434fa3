"""Makes tokenizers: with one token per word, or with pieces that make up any text."""

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, normalizers
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
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


def byte_tokenizer(
    texts: Iterable[str], size: int, max_length: int, image_token: str | None = None
) -> PreTrainedTokenizerFast:
    """Returns a tokenizer of pieces that are frequent in the texts, and of the 256 bytes.

    No text is unknown to it: a word that is like no other is read byte by byte. Capitals are read
    as small letters, as by the tokenizer of CLIP. Sennrich et al., "Neural Machine Translation of
    Rare Words with Subword Units" (ACL 2016, arXiv 1508.07909), on bytes as in GPT-2.

    Args:
        texts: What it learns pieces from.
        size: Most tokens, those for the start, the end and padding included.
        max_length: Most tokens of a text.
        image_token: Stands for an image among the words of a fusion model, whose texts have no end
            until the answer is written. None: texts stand alone, between a start and an end.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<eos>", "<pad>", "<bos>", *([image_token] if image_token else [])]
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A" if image_token else "<bos> $A <eos>",
        special_tokens=[("<bos>", 2), ("<eos>", 0)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=max_length,
        extra_special_tokens=[image_token] if image_token else [],
    )
