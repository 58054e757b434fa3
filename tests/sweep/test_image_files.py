"""Image files in folders: which are read, which are left out and why, which are refused."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweep import file_digests
from sweep.errors import InputError
from sweep.tasks.image_files import (
    LeftOut,
    check_pictures,
    image_files,
    is_hidden,
    open_picture,
    suffixes,
)


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "cats"
    found.mkdir()
    return found


def picture(file: Path, size: tuple[int, int] = (8, 8)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 10)).save(file)
    return file


def look_at(files: list[str]) -> None:
    check_pictures(file_digests.digests(files))


def names(folder: Path) -> list[str]:
    return [os.path.relpath(file, folder) for file in image_files(str(folder), LeftOut())]


def reasons(folder: Path) -> dict[str, int]:
    left_out = LeftOut()
    image_files(str(folder), left_out)
    return dict(left_out.counts)


@pytest.mark.parametrize(
    "hidden",
    [".ipynb_checkpoints", ".git", "__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", ".Trash-0"],
)
def test_hidden_and_system_folders_are_left_out_at_any_depth(folder: Path, hidden: str) -> None:
    picture(folder / "0.png")
    for place in (folder, folder / "deep" / "er"):
        picture(place / hidden / "0.png")
        picture(place / hidden / "below" / "1.png")
    assert names(folder) == ["0.png"]
    assert reasons(folder) == {"they are hidden or the system's": 2}


@pytest.mark.parametrize(
    "hidden", ["._x.jpg", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini"]
)
def test_hidden_and_system_files_are_left_out(folder: Path, hidden: str) -> None:
    assert is_hidden(hidden)
    picture(folder / "0.png")
    (folder / hidden).write_bytes(b"\0")
    assert names(folder) == ["0.png"]
    assert reasons(folder) == {"they are hidden or the system's": 1}


@pytest.mark.parametrize("suffix", ["tiff", "TIF", "gif", "jp2", "ppm", "jfif", "bmp", "webp"])
def test_whatever_pillow_reads_counts(folder: Path, suffix: str) -> None:
    file = picture(folder / f"0.{suffix}")
    assert names(folder) == [f"0.{suffix}"]
    look_at([str(file)])
    assert open_picture(str(file)).size == (8, 8)


def test_formats_that_pillow_never_decodes_are_no_images() -> None:
    assert {".png", ".jpg", ".jpeg", ".tif", ".avif"} <= suffixes()
    assert not {".h5", ".hdf", ".mpg", ".mpeg", ".grib", ".pdf", ".txt", ".csv", ""} & suffixes()


def test_other_files_are_counted_by_ending(folder: Path) -> None:
    picture(folder / "0.png")
    for name in ("a.txt", "b.TXT", "c.heic", "LICENSE"):
        (folder / name).write_text("text")
    assert names(folder) == ["0.png"]
    assert reasons(folder) == {
        "Pillow reads no files ending in .txt": 2,
        "Pillow reads no files ending in .heic": 1,
        "their names have no ending": 1,
    }


def test_reasons_have_an_example(folder: Path) -> None:
    picture(folder / "0.png")
    (folder / "sub").mkdir()
    (folder / "sub" / "a.heic").write_text("")
    left_out = LeftOut()
    image_files(str(folder), left_out)
    assert list(left_out.sentences(str(folder))) == [
        "Left out because Pillow reads no files ending in .heic: 1, such as 'sub/a.heic'."
    ]


def test_a_folder_called_like_an_image_is_a_folder(folder: Path) -> None:
    picture(folder / "0.png")
    (folder / "x.jpg").mkdir()
    assert names(folder) == ["0.png"]
    picture(folder / "x.jpg" / "1.png")
    assert names(folder) == ["0.png", "x.jpg/1.png"]


def test_a_pipe_called_like_an_image_is_left_out(folder: Path) -> None:
    os.mkfifo(folder / "x.jpg")
    assert names(folder) == []
    assert reasons(folder) == {"they are neither files nor folders": 1}


def test_links_are_followed(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "1.png")
    (folder / "more").symlink_to(tmp_path / "elsewhere")
    (folder / "0.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert names(folder) == ["0.png", "more/1.png"]


def test_links_in_a_circle_end(folder: Path) -> None:
    picture(folder / "sub" / "0.png")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "sub" / "here").symlink_to(".")
    assert names(folder) == ["sub/0.png"]
    assert reasons(folder) == {"they link to a folder that they are in": 2}


@pytest.mark.parametrize("target", ["nowhere.jpg", "gone.jpg", "/no/where"])
def test_a_link_to_nothing_is_named(folder: Path, target: str) -> None:
    (folder / "gone.jpg").symlink_to(target)
    with pytest.raises(InputError, match=rf"gone.jpg' is a link to '{target}', which cannot be"):
        names(folder)


def test_a_hidden_link_to_nothing_does_not_matter(folder: Path) -> None:
    (folder / ".#lock").symlink_to("user@host:1")
    assert names(folder) == []


def test_files_come_in_the_order_of_their_paths(folder: Path) -> None:
    for name in ("b.png", "a/2.png", "a/10.png", "a-b/0.png", "a.png"):
        picture(folder / name)
    assert names(folder) == ["a/10.png", "a/2.png", "a-b/0.png", "a.png", "b.png"]
    assert names(folder) == [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.png"))]


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def test_pictures_are_turned_upright(folder: Path) -> None:
    for orientation, size in ((1, (4, 8)), (3, (4, 8)), (6, (8, 4))):
        Image.new("RGB", (4, 8)).save(folder / "0.jpg", exif=exif(orientation))
        assert open_picture(str(folder / "0.jpg")).size == size


def spoilt_exif() -> bytes:
    """EXIF data that end in the middle of an entry."""
    return b"Exif\0\0" + exif(6).tobytes()[6:20]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize(
    "data", [spoilt_exif(), b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_broken_exif_data_do_no_harm(folder: Path, data: bytes) -> None:
    Image.new("RGB", (4, 8)).save(folder / "0.jpg", exif=data)
    look_at([str(folder / "0.jpg")])
    assert open_picture(str(folder / "0.jpg")).size in ((4, 8), (8, 4))


def test_one_pixel_is_an_image(folder: Path) -> None:
    look_at([str(picture(folder / "0.png", (1, 1)))])


def huge_png(file: Path, side: int) -> None:
    """Writes the head of a PNG file of so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x"))


def spoil(kind: str, file: Path) -> None:
    match kind:
        case "truncated":
            noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(file)
            file.write_bytes(file.read_bytes()[:-200])
        case "html":
            file.write_text("<!DOCTYPE html><title>404</title>")
        case "empty":
            file.write_bytes(b"")
        case "huge":
            huge_png(file, 13_500)
        case "floats":
            Image.fromarray(np.array([[0, 255]], np.float32)).save(file, "TIFF")
        case "integers":
            Image.fromarray(np.array([[-4, 90_000]], np.int32)).save(file, "TIFF")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "truncated"),
        ("html", "its content is of no kind that Pillow knows"),
        ("empty", "its content is of no kind that Pillow knows"),
        ("huge", "decompression bomb"),
        ("floats", "fractions from 0 to 255; allowed are those from 0 to 1"),
        ("integers", "whole numbers from -4 to 90000"),
    ],
)
def test_what_cannot_be_read_is_named(folder: Path, kind: str, message: str) -> None:
    file = folder / "0.jpg"
    spoil(kind, file)
    picture(folder / "1.jpg")
    with pytest.raises(InputError, match=message) as error:
        look_at([str(folder / "1.jpg"), str(file)])
    assert str(error.value).startswith(f"'{file}' cannot be read as an image: ")
    assert str(error.value).count(str(file)) == 1
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_contents_are_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = Image.open

    def counted(file: str) -> Image.Image:
        decoded.append(Path(file).name)
        return decode(file)

    monkeypatch.setattr("sweep.tasks.image_files.Image.open", counted)
    files = [str(picture(folder / f"{i}.png", (i + 1, 4))) for i in range(4)]
    look_at(files)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]
    decoded.clear()
    os.rename(files[3], folder / "renamed.png")
    look_at([*files[:3], str(folder / "renamed.png")])
    assert decoded == []
    Path(files[1]).write_text("no image")
    for _ in range(2):  # only success is remembered
        with pytest.raises(InputError, match=r"1\.png' cannot be read"):
            look_at(files[:3])


def test_names_of_other_encodings_can_be_read_and_said(folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    file = os.path.join(folder, name)
    picture(folder / "0.png").rename(file)
    assert image_files(str(folder), LeftOut()) == [file]
    assert open_picture(file).size == (8, 8)
    Path(file).write_text("no image")
    with pytest.raises(InputError) as error:
        look_at([file])
    assert str(error.value).encode()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [(14_000, 12_000), (20_000, 10_000)])
def test_an_image_that_is_far_too_large_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: tuple[int, int]
) -> None:
    """A small file; of the larger one Pillow raises an error of its own."""
    file = tmp_path / "huge.png"
    parts = {b"IHDR": struct.pack(">IIBBBBB", *side, 1, 0, 0, 0, 0), b"IDAT": b"", b"IEND": b""}
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
            for kind, part in parts.items()
        )
    )
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"huge\.png' cannot be read as an image: ") as error:
        open_picture(str(file))
    if side == (14_000, 12_000):
        assert "it has 168 million pixels, and at most 89 million are read" in str(error.value)
