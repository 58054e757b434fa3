"""Finds image files in folders, says what it leaves out and why, and opens them."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL import __version__ as pillow

from methods.backbones.images import rgb
from sweep import file_digests
from sweep.errors import InputError
from sweep.texts import printable

_SYSTEM = {
    "__macosx",
    "@eadir",
    "@recycle",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
}
"""Files and folders that operating systems put between a user's own, in lower case."""
_NEVER_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow only identifies."""
_ORIENTATION = 0x0112
MOST_PIXELS = 89_478_485
"""Most pixels of an image, those of which Pillow warns: small files may hold more than memory."""
READABLE = f"read by Pillow {pillow}, as RGB, of at most {MOST_PIXELS} pixels"
"""What is noted about contents; another version may read less."""
_ODD = (
    OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning
)  # fmt: skip
"""What Pillow raises for files that are no images, or too large."""


@dataclass
class LeftOut:
    """What is not read, by reason."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, path: str) -> None:
        """Counts a file or folder."""
        self.counts[reason] += 1
        self.examples.setdefault(reason, path)

    def sentences(self, root: str) -> Iterator[str]:
        """Yields one sentence per reason, with a path below `root` as an example."""
        for reason, count in sorted(self.counts.items()):
            example = os.path.relpath(self.examples[reason], root)
            yield f"Left out because {reason}: {count:,}, such as '{printable(example)}'."


@cache
def suffixes() -> frozenset[str]:
    """Returns the endings of files that Pillow can decode, in lower case."""
    found = Image.registered_extensions().items()
    return frozenset(
        suffix for suffix, name in found if name in Image.OPEN and name not in _NEVER_DECODED
    )


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is hidden or the system's own.

    A dot before a digit hides nothing: ".22" is a class.

    >>> is_hidden(".ipynb_checkpoints"), is_hidden("Thumbs.db"), is_hidden("cat.jpg")
    (True, True, False)
    """
    is_dotted = name.startswith(".") and not name[1:2].isdigit()
    return is_dotted or name.casefold() in _SYSTEM


def text_of(entry: os.DirEntry[str]) -> str:
    """Returns a name as text: accents are one with their letters, however the disk stores them.

    Raises:
        InputError: it is not valid UTF-8.
    """
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        raise InputError(f"the name of '{printable(entry.path)}' is not valid UTF-8.") from None
    return unicodedata.normalize("NFC", entry.name)


def entries(folder: str, left_out: LeftOut) -> list[os.DirEntry[str]]:
    """Returns what a folder holds, sorted by name, without what is hidden.

    Raises:
        InputError: it cannot be read, or holds a link to nothing.
    """
    try:
        with os.scandir(folder) as found:
            everything = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(
            f"'{printable(folder)}' cannot be read: {error.strerror or error}."
        ) from None
    shown = []
    for entry in everything:
        if is_hidden(entry.name):
            left_out.add("they are hidden or the system's", entry.path)
        elif entry.is_symlink() and not os.path.exists(entry.path):
            path, target = printable(entry.path), printable(os.readlink(entry.path))
            raise InputError(f"'{path}' is a link to '{target}', which cannot be reached.")
        else:
            shown.append(entry)
    return shown


def image_files(folder: str, left_out: LeftOut, besides: Collection[str] = ()) -> list[str]:
    """Returns all image files below a folder, in the order of their paths; links are followed.

    Args:
        folder: Where to look.
        left_out: Counts what is no image.
        besides: Names of files that are read as something else.

    Raises:
        InputError: a folder cannot be read, or holds a link to nothing.
    """
    return [
        entry.path
        for entry in all_files(folder, left_out)
        if entry.name not in besides and _is_image(entry, left_out)
    ]


def has_images(inside: Iterable[os.DirEntry[str]]) -> bool:
    """Returns whether there is an image file among what a folder holds."""
    return any(not entry.is_dir() and _is_image(entry, LeftOut()) for entry in inside)


def all_files(
    folder: str, left_out: LeftOut, above: tuple[tuple[int, int], ...] = ()
) -> Iterator[os.DirEntry[str]]:
    """Yields all files below a folder that are not hidden, in the order of their paths.

    Args:
        folder: Where to look; links are followed.
        left_out: Counts what is hidden, and links that lead round in a circle.
        above: The folders that this one is in.

    Raises:
        InputError: a folder cannot be read, or holds a link to nothing.
    """
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        left_out.add("they link to a folder that they are in", folder)
        return
    for entry in entries(folder, left_out):
        if entry.is_dir():
            yield from all_files(entry.path, left_out, (*above, here))
        else:
            yield entry


def _is_image(entry: os.DirEntry[str], left_out: LeftOut) -> bool:
    """Returns whether something that is no folder is an image file; counts it if it is not."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if not entry.is_file():
        left_out.add("they are neither files nor folders", entry.path)
    elif suffix not in suffixes():
        reason = (
            f"Pillow reads no files ending in {suffix}" if suffix else "their names have no ending"
        )
        left_out.add(printable(reason), entry.path)
    else:
        return True
    return False


def open_picture(file: str) -> Image.Image:
    """Decodes an image file, turned as its EXIF data say; one of more than 8 bits becomes RGB.

    Raises:
        InputError: it cannot be read as an image.
    """
    return _open(file, f"'{printable(file)}'")


def open_content(content: bytes, place: str) -> Image.Image:
    """Decodes the content of an image file, as `open_picture` does.

    Args:
        content: All its bytes.
        place: Where it stands; errors name it.

    Raises:
        InputError: it cannot be read as an image.
    """
    return _open(BytesIO(content), place)


def _open(source: str | BytesIO, place: str) -> Image.Image:
    try:
        with Image.open(source) as image:
            _check_size(image)
            image.load()
            found = upright(image)
            return rgb(found) if found.mode[0] in "IF" else found
    except _ODD as error:
        raise _no_image(place, error) from None


class Files(Sequence[Image.Image]):
    """Images in files, decoded at every access and turned as their EXIF data say."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        return open_picture(self.files[int(index)])


def upright(image: Image.Image) -> Image.Image:
    """Returns a picture turned as its EXIF data say, where these can be read."""
    try:
        if image.getexif().get(_ORIENTATION, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF data raise all kinds of errors, and the picture is fine
        return image


def check_there(files: Sequence[str], place: Callable[[int], str]) -> None:
    """Makes sure that files are there; a folder is listed once, however many of its files count.

    Args:
        files: Their paths.
        place: Where the file of a number is named.

    Raises:
        InputError: some are not there.
    """
    by_folder = defaultdict[str, dict[str, int]](dict)
    for number, file in enumerate(files):
        folder, name = os.path.split(file)
        by_folder[folder].setdefault(name, number)
    missing = sorted(
        number
        for folder, names in by_folder.items()
        for name, number in _not_listed(folder, names).items()
        if not os.path.isfile(os.path.join(folder, name))
    )
    if missing:
        first = printable(files[missing[0]])
        others = len(missing) - 1
        more = f", nor are {others:,} others" if others > 1 else ", nor is 1 other" * others
        raise InputError(f"{place(missing[0])}: the image '{first}' is not there{more}.")


def _not_listed(folder: str, names: dict[str, int]) -> dict[str, int]:
    """Returns the names that no file in a folder has; links and large letters are not followed."""
    if len(names) == 1:
        return names
    try:
        with os.scandir(folder or ".") as entries:
            there = {entry.name for entry in entries if entry.name in names and entry.is_file()}
    except OSError:
        return names
    return {name: number for name, number in names.items() if name not in there}


def check_pictures(digests: Mapping[str, bytes]) -> None:
    """Decodes every image whose content has not been decoded on this machine before.

    Args:
        digests: Image files with the digests of their contents.

    Raises:
        InputError: one cannot be read as an image.
    """
    known = file_digests.known(READABLE, set(digests.values()))
    new = {digest: file for file, digest in digests.items() if digest not in known}
    checked = []
    threads = ThreadPoolExecutor()
    try:
        for digest, _ in zip(new, threads.map(_decode, new.values()), strict=True):
            checked.append(digest)
    finally:
        threads.shutdown(cancel_futures=True)
        file_digests.note(READABLE, checked)


def decode_all(pictures: Sequence[Image.Image]) -> None:
    """Decodes pictures once, and keeps none.

    Raises:
        InputError: one cannot be read.
    """

    def decode(number: int) -> None:
        rgb(pictures[number])

    threads = ThreadPoolExecutor()
    try:
        for _ in threads.map(decode, range(len(pictures))):
            pass
    finally:
        threads.shutdown(cancel_futures=True)


def _decode(file: str) -> None:
    """Decodes at low resolution, which still reads every byte of the file."""
    try:
        with Image.open(file) as image:
            _check_size(image)
            image.draft("RGB", (1, 1))
            image.load()
            if image.mode not in ("L", "RGB"):
                rgb(image)
    except _ODD as error:
        raise _no_image(f"'{printable(file)}'", error) from None


def _check_size(image: Image.Image) -> None:
    """Makes sure, before an image is decoded, that it is none of hundreds of megapixels."""
    if (pixels := image.width * image.height) > MOST_PIXELS:
        raise ValueError(
            f"it has {pixels // 1_000_000} million pixels, and at most "
            f"{MOST_PIXELS // 1_000_000} million are read"
        )


def _no_image(place: str, error: Exception) -> InputError:
    reason = next(iter(str(error).strip().splitlines()), "it is broken").removesuffix(".")
    if isinstance(error, UnidentifiedImageError):
        reason = "its content is of no kind that Pillow knows"
    return InputError(f"{place} cannot be read as an image: {printable(reason)}.")
