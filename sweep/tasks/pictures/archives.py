"""Reads the packages that the pictures come from: .tgz of npm, .deb of Debian, .whl of PyPI."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import InputError


@dataclass(frozen=True)
class Archive:
    """A package of a registry, at one version."""

    key: str
    """What its drawings are called: column `source`."""
    file: str
    sha256: str
    fetch: str
    """The command that fetches it."""
    licence: str
    """Of the images in it: an SPDX identifier."""
    author: str
    """Of the images in it, as the licence wants them named."""


ARCHIVES = {
    archive.key: archive
    for archive in (
        Archive(
            "noto",
            "emoji-datasource-google-16.0.0.tgz",
            "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
            "npm pack emoji-datasource-google@16.0.0",
            "Apache-2.0",
            "Google LLC (Noto Emoji)",
        ),
        Archive(
            "twemoji",
            "emoji-datasource-twitter-16.0.0.tgz",
            "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
            "npm pack emoji-datasource-twitter@16.0.0",
            "CC-BY-4.0",
            "Twitter, Inc and other contributors (Twemoji)",
        ),
        Archive(
            "fluent-3d",
            "lobehub-fluent-emoji-3d-1.1.0.tgz",
            "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
            "npm pack @lobehub/fluent-emoji-3d@1.1.0",
            "MIT",
            "Microsoft Corporation (Fluent Emoji)",
        ),
        Archive(
            "fluent-flat",
            "lobehub-fluent-emoji-flat-1.1.0.tgz",
            "8f9113c027c7c20eced0070354715a4093a459b8bef6332b91d45f38c9bdb147",
            "npm pack @lobehub/fluent-emoji-flat@1.1.0",
            "MIT",
            "Microsoft Corporation (Fluent Emoji)",
        ),
        Archive(
            "emojione",
            "emojione-2.2.7.tgz",
            "5fe002738e6e276f49ac37783799d2feab99a6131fdedccfa56569d745449ae5",
            "npm pack emojione@2.2.7",
            "CC-BY-4.0",
            "EmojiOne (Emoji provided free by EmojiOne)",
        ),
        Archive(
            "openclipart",
            "openclipart-png_1%3a0.18+dfsg-19_all.deb",
            "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
            "apt-get download openclipart-png=1:0.18+dfsg-19",
            "CC-PDDC",
            "",
        ),
        Archive(
            "fashion-mnist",
            "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            "apt-get download dataset-fashion-mnist=0.0~git20200523.55506a9-1",
            "MIT",
            "Zalando SE (Fashion-MNIST)",
        ),
        Archive(
            "noto-fonts",
            "fonts-noto-core_20201225-1_all.deb",
            "58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba",
            "apt-get download fonts-noto-core=20201225-1",
            "OFL-1.1",
            "Google LLC (Noto fonts)",
        ),
    )
}
"""By key."""


def check_archives(folder: Path) -> None:
    """Makes sure that every archive is in a folder, and is the one that was meant.

    Raises:
        InputError: one is missing or differs.
    """
    for archive in ARCHIVES.values():
        path = folder / archive.file
        if not path.is_file():
            raise InputError(f"{archive.file} is not in {folder}; fetch it: {archive.fetch}.")
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != archive.sha256:
            raise InputError(
                f"{path} is not what the pictures were made of: its SHA-256 is {found[:16]}..., "
                f"not {archive.sha256[:16]}...; fetch it again: {archive.fetch}."
            )


def read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the content of every file of an archive, in the archive's order.

    Raises:
        InputError: it is none of the kinds known.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
        return
    if path.suffix == ".deb":
        with path.open("rb") as opened:
            packed = _data_of_deb(opened.read(), path)
        tar = tarfile.open(fileobj=io.BytesIO(packed), mode="r:*")  # noqa: SIM115
    elif path.suffix in (".tgz", ".gz"):
        tar = tarfile.open(path, mode="r:gz")  # noqa: SIM115
    else:
        raise InputError(f"{path} is no archive that can be read; allowed: .tgz, .deb, .whl.")
    with tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield member.name.removeprefix("./"), content.read()


def _data_of_deb(content: bytes, path: Path) -> bytes:
    """Returns the member `data.tar.*` of a Debian package, which is an `ar` archive."""
    if not content.startswith(b"!<arch>\n"):
        raise InputError(f"{path} is no Debian package: it does not start with '!<arch>'.")
    place = 8
    while place + 60 <= len(content):
        header = content[place : place + 60]
        name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        if name.startswith("data.tar"):
            return content[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise InputError(f"{path} is no Debian package: it holds no data.tar.")
