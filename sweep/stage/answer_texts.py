"""Reads what is compared out of answers: their words, numbers, letters and boxes."""

import math
import re
from functools import lru_cache

_NUMBERS = "zero one two three four five six seven eight nine ten"
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS.split())}
_ARTICLES = {"a", "an", "the"}
_SHORT = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's "
    "how'd how'll how's i'd i'm i've isn't it'd it'll let's ma'am might've mightn't must've "
    "mustn't needn't o'clock oughtn't shan't she's should've shouldn't somebody'd somebody's "
    "someone'd someone's something's that'd that's there'd there're there's they'd they'll "
    "they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd "
    "where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't "
    "y'all you'd you'll you're you've"
)
_CONTRACTIONS = {word.replace("'", ""): word for word in _SHORT.split()}
_PUNCTUATION = r";/[]\"{}()=+_-><@`,?!"
_NUMBER_WITH_COMMA = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_WORD = re.compile(r"[^\W_]+")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_BOX = re.compile(rf"\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{3}})\s*\]")
# "A dog" and "I see" begin with words, "A is right" with a letter.
_ALONE = r"(?<![\w'-])(?:[A-Za-z](?![\w'-])(?!\s+(?!is\b)\w)|[B-HJ-Z](?![\w'-]))"
_LETTER = re.compile(f"({_ALONE})")
_SAID_LETTER = re.compile(rf"(?:answer|option|choice)\W+(?:is\W+)?({_ALONE})", re.IGNORECASE)


def plain_text(text: str) -> str:
    """Returns a text in lower case, with single spaces, and without a full stop at its end.

    >>> plain_text("  A red   bus. ")
    'a red bus'
    """
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def words_in(text: str) -> list[str]:
    """Returns the runs of letters and digits, in lower case.

    >>> words_in("A man's T-shirt, No. 7")
    ['a', 'man', 's', 't', 'shirt', 'no', '7']
    """
    return _WORD.findall(text.lower())


@lru_cache(maxsize=1 << 16)  # the same few answers come again and again
def vqa_text(text: str) -> str:
    """Returns an answer as the evaluation of VQA compares it.

    Lower case, number words as digits, no articles, contractions with their apostrophe, and no
    punctuation other than colons and decimal points.

    >>> vqa_text("The dog's, two  1,000 dont.")
    "dog's 2 1000 don't"
    """
    text = text.replace("\n", " ").replace("\t", " ").strip()
    has_number = _NUMBER_WITH_COMMA.search(text) is not None
    kept = text
    for mark in _PUNCTUATION:
        touches_space = f"{mark} " in text or f" {mark}" in text
        kept = kept.replace(mark, "" if touches_space or has_number else " ")
    kept = _FULL_STOP.sub("", kept)
    words = [_DIGITS.get(word, word) for word in kept.lower().split()]
    words = [word for word in words if word not in _ARTICLES]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)


def letter_in(text: str) -> str:
    """Returns the letter of the choice that an answer names, as a capital; "" for none.

    The one after "answer", "option" or "choice", else the first that stands alone.

    >>> letter_in("(b)"), letter_in("C. a bus"), letter_in("The answer is D."), letter_in("A bus")
    ('B', 'C', 'D', '')
    """
    found = _SAID_LETTER.search(text) or _LETTER.search(text)
    return found[1].upper() if found else ""


def box_in(text: str) -> tuple[float, ...] | None:
    """Returns the first box in a text; None: there is none.

    >>> box_in("<box>[0.1, 0.2, 0.5, 0.6]</box>")
    (0.1, 0.2, 0.5, 0.6)
    """
    found = _BOX.search(text)
    return tuple(float(part) for part in found[1].split(",")) if found else None


def number_in(text: str) -> float | None:
    """Returns the number that a text is; None: it is none.

    >>> number_in("1,200."), number_in("12 %"), number_in("12 buses")
    (1200.0, 0.12, None)
    """
    plain = plain_text(text)
    try:
        number = float(plain.removesuffix("%").replace(",", ""))
    except ValueError:
        return None
    if not math.isfinite(number):  # the words "nan" and "infinity"
        return None
    return number / 100 if plain.endswith("%") else number
