"""Collects pictures with what they show: emoji, clip art, scans, photographs and letters."""

import gzip
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sweep.tasks.pictures.archives import ARCHIVES, read_archive
from sweep.tasks.pictures.clip_words import said_by
from sweep.tasks.pictures.emoji_names import name_emoji
from sweep.tasks.pictures.thumbnails import SIDE, fitted, rounded, thumbnail

EMOJI = ("twemoji", "noto", "fluent-3d", "fluent-flat", "emojione")
"""Drawing styles."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a collection, and what it shows."""

    pixels: np.ndarray
    """uint8 [32, 32, 3]."""
    name: str
    """The concept."""
    caption: str
    group: str
    """What kind of thing it is; "" if unclear."""
    source: str
    """Key of its archive, or of the package that brings it."""
    file: str
    """Inside the archive; of a table of scans, with the number of the scan."""
    author: str
    licence: str
    sha256: str
    """Of the file, or of the scan."""
    part: str = ""
    """Of its collection, where that has parts of its own: "train" or "test"."""


def _made(
    key: str,
    file: str,
    content: bytes,
    pixels: np.ndarray,
    said: tuple[str, str, str],
    part: str = "",
) -> Picture:
    archive = ARCHIVES[key]
    digest = hashlib.sha256(content).hexdigest()
    return Picture(pixels, *said, key, file, archive.author, archive.licence, digest, part)


_EMOJI_FILE = re.compile(
    r"package/(?:img/(?:google|twitter)/64|assets(?:/png)?)/([0-9a-f-]+)\.(?:png|webp|svg)"
)


def emoji(archives: Path) -> Iterator[Picture]:
    """Yields emoji without tones of skin, style by style."""
    listed = _read_one(archives / ARCHIVES["noto"].file, "package/emoji.json")
    known = {}
    for entry in json.loads(listed):
        said = name_emoji(entry["name"], entry["subcategory"])
        if said is not None:
            known[_code(entry["unified"])] = said
    for style in EMOJI:
        for file, content in read_archive(archives / ARCHIVES[style].file):
            found = _EMOJI_FILE.fullmatch(file)
            said = known.get(_code(found[1])) if found else None
            pixels = thumbnail(content) if said else None
            if said is not None and pixels is not None:
                yield _made(style, file, content, pixels, said)


def _read_one(path: Path, file: str) -> bytes:
    return next(content for name, content in read_archive(path) if name == file)


def _code(code: str) -> str:
    """Returns code points without those that only ask for a coloured drawing."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


_NOT_CLIP_ART = re.compile(
    r"/(?:shapes|special|unsorted|signs_and_symbols|geography|logos|buttons|roadsigns|cards|diagrams"
    r"|aiga-symbols|applications|religion|pantyhose|computer/icons)/"
)
_CARD = re.compile(r".*/cards/(\w+)/\w+_([cdhs])_(\w+)\.png")
SUITS = {"c": "clubs", "d": "diamonds", "h": "hearts", "s": "spades"}
RANKS = {"a": "ace", "k": "king", "q": "queen", "j": "jack"} | {
    str(i): word
    for i, word in enumerate(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=2
    )
}


def clip_art(archives: Path) -> Iterator[Picture]:
    """Yields clip art that its file name says something about, and playing cards."""
    for file, content in read_archive(archives / ARCHIVES["openclipart"].file):
        if not file.endswith(".png"):
            continue
        if card := _CARD.fullmatch(file):
            said = (
                f"{RANKS[card[3]]} card",
                f"{RANKS[card[3]]} of {SUITS[card[2]]}",
                SUITS[card[2]],
            )
            pixels = thumbnail(content)
        elif not _NOT_CLIP_ART.search(file) and (words := said_by(Path(file).stem)):
            said = (words.noun, words.caption, words.kind)
            pixels = thumbnail(content)
        else:
            continue
        if pixels is not None:
            yield _made("openclipart", file, content, pixels, said)


_GARMENTS = (
    *("t-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_FASHION = "usr/share/datasets/fashion-mnist/"


def clothing(archives: Path, train: int, test: int) -> Iterator[Picture]:
    """Yields the first photographs of every garment of Fashion-MNIST, of both of its parts."""
    files = {
        Path(file).name: gzip.decompress(content)
        for file, content in read_archive(archives / ARCHIVES["fashion-mnist"].file)
        if file.startswith(_FASHION)
    }
    for part, prefix, most in (("train", "train", train), ("test", "t10k", test)):
        labels = np.frombuffer(files[f"{prefix}-labels-idx1-ubyte.gz"], np.uint8, offset=8)
        scans = np.frombuffer(files[f"{prefix}-images-idx3-ubyte.gz"], np.uint8, offset=16)
        scans = scans.reshape(-1, 28, 28)
        for label, garment in enumerate(_GARMENTS):
            for i in np.flatnonzero(labels == label)[:most]:
                grey = np.pad(scans[i], (SIDE - 28) // 2)
                said = (f"photographed {garment} {part} {i}", garment, garment)
                file = f"{_FASHION}{prefix}-images-idx3-ubyte.gz#{i}"
                yield _made(
                    "fashion-mnist", file, scans[i].tobytes(), rounded(_rgb(grey)), said, part
                )


DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def digits(train: int, test: int) -> Iterator[Picture]:
    """Yields scans of handwritten digits, which come with scikit-learn.

    The last 30 % are for testing, as in the benchmark `world`.
    """
    from sklearn.datasets import load_digits  # slow to import

    grey, labels = load_digits(return_X_y=True)
    border = round(0.7 * len(labels))
    for part, start, end, most in (
        ("train", 0, border, train),
        ("test", border, len(labels), test),
    ):
        for label, word in enumerate(DIGITS):
            for i in start + np.flatnonzero(labels[start:end] == label)[:most]:
                scan = grey[i].reshape(8, 8)
                ink = Image.fromarray(np.uint8(255 - np.round(scan * 255 / 16)))
                pixels = rounded(np.asarray(fitted(ink.convert("RGB"))))
                said = (f"handwritten {word} {i}", word, word)
                yield Picture(
                    pixels,
                    *said,
                    "scikit-learn",
                    f"sklearn/datasets/data/digits.csv.gz#{i}",
                    "E. Alpaydin and C. Kaynak (Optical Recognition of Handwritten Digits, UCI)",
                    "CC-BY-4.0",
                    hashlib.sha256(scan.astype(np.uint8).tobytes()).hexdigest(),
                    part,
                )


def _rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


SCRIPTS = {
    "Latin": ("", "0041-005A 0061-007A 00DE 00DF 00E6 00F0 00F8 0153"),
    "Arabic": ("Arabic", "0621-063A 0641-064A"),
    "Hebrew": ("Hebrew", "05D0-05EA"),
    "Devanagari": ("Devanagari", "0905-0914 0915-0939"),
    "Tamil": (
        "Tamil",
        "0B85-0B8A 0B8E-0B90 0B92-0B94 0B95 0B99-0B9A 0B9C 0B9E-0B9F 0BA3-0BA4 0BA8-0BAA 0BAE-0BB9",
    ),
    "Thai": ("Thai", "0E01-0E2E 0E40-0E44"),
    "Georgian": ("Georgian", "10D0-10F0"),
    "Armenian": ("Armenian", "0531-0556 0561-0586"),
    "Ethiopic": ("Ethiopic", "1208-1246 1260-1286"),
    "Khmer": ("Khmer", "1780-17B3"),
}
"""Of every script: how its typeface is called, and its letters."""
_TYPEFACE = re.compile(r".*/Noto(Sans|Serif)(\w*)-(Regular|Bold)\.ttf")


def letters(archives: Path, most: int) -> Iterator[Picture]:
    """Yields letters of ten scripts, each drawn in up to four typefaces."""
    faces: dict[str, list[tuple[str, bytes]]] = {}
    for file, content in read_archive(archives / ARCHIVES["noto-fonts"].file):
        found = _TYPEFACE.fullmatch(file)
        if found:
            faces.setdefault(found[2], []).append((file, content))
    for script, (suffix, blocks) in SCRIPTS.items():
        letters = [chr(code) for block in blocks.split() for code in _codes(block)]
        letters.sort(key=lambda letter: hashlib.sha256(letter.encode()).digest())
        for letter in letters[:most]:
            for file, content in sorted(faces[suffix]):
                pixels = _drawn(letter, content)
                name = unicodedata.name(letter).lower()
                said = (name, f"{script} letter", script)
                yield _made("noto-fonts", f"{file}#{ord(letter):04x}", content, pixels, said)


def _codes(block: str) -> range:
    first, _, last = block.partition("-")
    return range(int(first, 16), int(last or first, 16) + 1)


def _drawn(letter: str, typeface: bytes) -> np.ndarray:
    font = ImageFont.truetype(io.BytesIO(typeface), 64, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = font.getbbox(letter)
    page = Image.new("L", (int(right - left), int(bottom - top)), 255)
    ImageDraw.Draw(page).text((-left, -top), letter, fill=0, font=font)
    # Letters keep their proportions; small ones do not fill the page.
    width, height = max(page.width, 56), max(page.height, 56)
    whole = Image.new("L", (width, height), 255)
    whole.paste(page, ((width - page.width) // 2, (height - page.height) // 2))
    return rounded(np.asarray(fitted(whole.convert("RGB"))))
