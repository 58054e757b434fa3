"""Looks at texts as a backbone reads them: their length, and words that it does not know."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from methods.backbones.families import room_for_texts
from methods.backbones.pretrained import PretrainedBackbone
from methods.data import Split, Task

MOST_TEXTS = 2000
"""Different texts of samples that are looked at, of either split."""


@dataclass(frozen=True)
class PromptsRead:
    """The texts of a task, as one backbone reads them."""

    example: str
    """The first text: of the first choice, or sample."""
    num_texts: int
    longest: int
    """Tokens of the longest text, before it is cut."""
    room: int | None
    """Tokens that the text tower takes; None: as many as there are."""
    cut: tuple[str, ...]
    """Texts that are cut."""
    unknown: tuple[str, ...]
    """Words that the tokenizer does not know."""


def read_prompts(backbone: PretrainedBackbone, task: Task) -> PromptsRead:
    """Returns what a backbone makes of the texts of a task: of its choices, or of its samples.

    These are captions, questions, answers and choices of samples; the first MOST_TEXTS of them.

    >>> import numpy as np
    >>> from sweep.study.backbones import BackboneConfig, find_source
    >>> backbone = find_source(BackboneConfig(path="tiny-clip")).load()
    >>> none = Split(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64))
    >>> task = Task("pets", ("circle", "zebra"), ("a {}",), "", none, none)
    >>> found = read_prompts(backbone, task)
    >>> found.unknown, found.longest
    (('zebra',), 4)
    """
    texts, room = backbone.texts(task) if task.choices else [], _room(backbone)
    for split in (task.train, task.test):
        texts += islice(_texts_of(split, task, backbone), MOST_TEXTS)
    texts = list(dict.fromkeys(texts))
    tokenizer = backbone.tokenizer
    added = backbone.family == "dual-encoder"
    tokens = [tokenizer(text, add_special_tokens=added)["input_ids"] for text in texts]
    cut = [room is not None and len(ids) > room for ids in tokens]
    return PromptsRead(
        example=texts[0],
        num_texts=len(texts),
        longest=max(map(len, tokens)),
        room=room,
        cut=tuple(text for text, is_cut in zip(texts, cut, strict=True) if is_cut),
        unknown=tuple(dict.fromkeys(word for text in texts for word in _unknown(tokenizer, text))),
    )


def _texts_of(split: Split, task: Task, backbone: PretrainedBackbone) -> Iterator[str]:
    """Yields the texts of samples, each once."""
    # Dual encoders read choices in prompts, and compare no images with questions.
    are_prompts = backbone.family == "dual-encoder" and task.kind == "choices"
    known = set[str]()
    for number in range(len(split)):
        own = list(split.texts[number]) if split.texts else []
        if are_prompts:
            own = [template.format(text) for text in own for template in task.templates]
        asked = [split.questions[number]] if split.questions else []
        for text in (*asked, *own):
            if text not in known:
                known.add(text)
                yield text


def _room(backbone: PretrainedBackbone) -> int | None:
    if backbone.family != "dual-encoder":
        return None
    return room_for_texts(backbone.model.config, backbone.tokenizer)


def _unknown(tokenizer: object, text: str) -> list[str]:
    """Returns the words of a text that the tokenizer has one token for, that of unknown words."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None or not getattr(tokenizer, "is_fast", False):
        return []  # pieces of any word are known to the others, byte by byte
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)  # type: ignore[operator]
    pairs = zip(read["input_ids"], read["offset_mapping"], strict=True)
    words = [text[start:end] for token, (start, end) in pairs if token == unknown]
    return [word for word in words if any(map(str.isalnum, word))]
