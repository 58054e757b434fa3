"""How the table of pictures is made: archives, thumbnails, names, and which side they are on."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweep.errors import InputError
from sweep.tasks.pictures.allotment import allot
from sweep.tasks.pictures.archives import ARCHIVES, check_archives, read_archive
from sweep.tasks.pictures.build import caption
from sweep.tasks.pictures.clip_words import said_by
from sweep.tasks.pictures.collected import Picture
from sweep.tasks.pictures.emoji_names import name_emoji
from sweep.tasks.pictures.thumbnails import digest_of, encoded, thumbnail


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tar_of(files: dict[str, bytes], mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def member(name: str, content: bytes) -> bytes:
    """A member of an `ar` archive, as Debian's packages are."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def test_archives_of_all_kinds_are_read(tmp_path: Path) -> None:
    files = {"package/a.txt": b"one", "package/b.txt": b"two!"}
    (tmp_path / "x.tgz").write_bytes(tar_of(files, "w:gz"))
    inside = tar_of({f"./{name}": content for name, content in files.items()}, "w:xz")
    parts = [("debian-binary", b"2.0"), ("control.tar.xz", b"odd"), ("data.tar.xz", inside)]
    (tmp_path / "x.deb").write_bytes(b"!<arch>\n" + b"".join(member(*part) for part in parts))
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    for kind in ("tgz", "deb", "whl"):
        assert dict(read_archive(tmp_path / f"x.{kind}")) == files
    (tmp_path / "bad.deb").write_bytes(b"PK")
    with pytest.raises(InputError, match="is no Debian package"):
        list(read_archive(tmp_path / "bad.deb"))
    with pytest.raises(InputError, match=r"allowed: \.tgz, \.deb, \.whl"):
        list(read_archive(tmp_path / "x.rar"))


def test_archives_that_are_missing_or_others_are_named(tmp_path: Path) -> None:
    first = next(iter(ARCHIVES.values()))
    with pytest.raises(InputError, match=f"is not in .*; fetch it: {first.fetch}"):
        check_archives(tmp_path)
    (tmp_path / first.file).write_bytes(b"another one")
    with pytest.raises(InputError, match="is not what the pictures were made of"):
        check_archives(tmp_path)


def test_thumbnails_are_cropped_on_white_and_shrunk() -> None:
    page = np.zeros((200, 200, 4), np.uint8)
    page[50:150, 80:120] = (255, 0, 0, 255)
    small = thumbnail(png(page))
    assert small is not None
    assert small.shape == (32, 32, 3)
    assert (small[0, 0] == 255).all()  # what is transparent becomes white
    red = (small[:, :, 0] > 200) & (small[:, :, 1] < 50)
    assert red.sum() == pytest.approx(30 * 12, abs=40)  # it fills the height


def test_huge_files_are_left_out_before_they_are_decoded() -> None:
    header = png(np.zeros((4, 4, 3), np.uint8))
    claims = header[:16] + (13000).to_bytes(4, "big") * 2 + header[24:]
    assert thumbnail(claims) is None


def test_blank_files_are_left_out() -> None:
    assert thumbnail(png(np.full((64, 64, 3), 255, np.uint8))) is None
    assert thumbnail(png(np.zeros((64, 64, 4), np.uint8))) is None


def test_encoded_pixels_come_back_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    opened = Image.open(io.BytesIO(encoded(pixels))).convert("RGB")
    assert (np.asarray(opened) == pixels).all()


def test_puns_and_skin_tones_have_no_name() -> None:
    assert said_by("kallisti-grenade_1_nurbl_01") is None
    assert name_emoji("EMOJI MODIFIER FITZPATRICK TYPE-3", "skin-tone") is None
    found = said_by("violin_ganson"), said_by("violin_colour_ganson")
    # Near copies are on one side.
    assert [said.noun for said in found if said] == ["violin", "violin"]


def pictures() -> list[Picture]:
    """Two drawings of each of forty animals, and the same drawing of one under two names."""
    made = []
    for number in range(40):
        for style in ("noto", "twemoji"):
            rng = np.random.default_rng([number, style == "noto"])
            pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
            made.append(drawn(f"animal {number}", style, pixels))
    made += [drawn(name, "noto", made[0].pixels) for name in ("copy one", "copy two", "copy three")]
    return made


def drawn(name: str, style: str, pixels: np.ndarray) -> Picture:
    said = (name, name, "mammal")
    return Picture(pixels, *said, style, f"{name}.png", "someone", "MIT", "0" * 64)


def test_all_drawings_of_a_name_are_on_one_side_and_copies_stand_once() -> None:
    rows = allot(pictures())
    sides: dict[str, set[str]] = {}
    for row in rows:
        side = row.pool or row.tasks[0][2]
        sides.setdefault(row.picture.name, set()).add(side)
    assert {len(found) for found in sides.values()} == {1}
    assert {side for found in sides.values() for side in found} == {
        *("train", "test", "retrieval", "pretrain")
    }
    digests = [digest_of(row.picture.pixels) for row in rows]
    assert len(set(digests)) == len(digests)
    again = allot(list(reversed(pictures())))
    assert [row.order for row in again] == [row.order for row in rows]


def test_captions_say_of_what_kind_a_thing_is() -> None:
    assert caption(drawn("zebra", "noto", np.zeros((32, 32, 3), np.uint8))) == "zebra, a mammal"
