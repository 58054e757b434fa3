"""How the table of pictures is made, from tiny archives in the formats of the real ones."""

import gzip
import hashlib
import io
import json
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFont

from sweep.errors import InputError
from sweep.tasks.pictures import build
from sweep.tasks.pictures.allotment import Row, allot
from sweep.tasks.pictures.archives import ARCHIVES, check_archives, read_archive
from sweep.tasks.pictures.clip_words import said_by
from sweep.tasks.pictures.collected import SCRIPTS, Picture
from sweep.tasks.pictures.emoji_names import name_emoji
from sweep.tasks.pictures.thumbnails import encoded, rounded, thumbnail

EMOJI = {
    "1f400": ("RAT", "animal-mammal"),
    **{f"1f6{i:02x}": (f"BEAST {i}", "animal-mammal") for i in range(40)},
    **{f"1f7{i:02x}": (f"BIRD {i}", "animal-bird") for i in range(20)},
    **{f"1f8{i:02x}": (f"SIGN {i}", "warning") for i in range(20)},
}
CLIP_ART = "usr/share/openclipart/png"


def png(seed: object, size: tuple[int, int] = (40, 30)) -> bytes:
    """A drawing that resembles no other one."""
    random = np.random.default_rng(list(repr(seed).encode()))
    file = io.BytesIO()
    pixels = random.integers(0, 200, (size[1] // 10, size[0] // 10, 3), np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def as_webp(content: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, "WEBP", lossless=True)
    return file.getvalue()


def as_png(pixels: np.ndarray) -> bytes:
    """Saves the time that smaller files take."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def tar(files: Mapping[str, bytes], compression: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def deb(files: Mapping[str, bytes], **others: bytes) -> bytes:
    """A Debian package: an `ar` archive, members of odd length padded."""
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd"} | others
    members |= {"data.tar.xz": tar({f"./{name}": file for name, file in files.items()}, "xz")}
    found = b"!<arch>\n"
    for name, content in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        found += header.encode() + content + b"\n" * (len(content) % 2)
    return found


def fashion() -> dict[str, bytes]:
    files = {}
    for prefix, count in (("train", 120), ("t10k", 60)):
        labels = np.arange(count, dtype=np.uint8) % 10
        scans = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        folder = "usr/share/datasets/fashion-mnist"
        files[f"{folder}/{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(
            bytes(8) + labels.tobytes()
        )
        files[f"{folder}/{prefix}-images-idx3-ubyte.gz"] = gzip.compress(
            bytes(16) + scans.tobytes()
        )
    return files


def huge_png() -> bytes:
    """The start of a file of 168 megapixels, which ends after its header."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 14000, 12000) + b"\x08\x02"


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """Tiny archives, by key."""
    listed = [
        {"name": name, "subcategory": sub, "unified": code.upper()}
        for code, (name, sub) in EMOJI.items()
    ]
    noto = {f"package/img/google/64/{code}.png": png(("noto", code)) for code in EMOJI}
    twemoji = {f"package/img/twitter/64/{code}-fe0f.png": png(("tw", code)) for code in EMOJI}
    twemoji["package/img/twitter/64/1f400-1f3fd.png"] = png("a tone of skin")
    fluent = {f"package/assets/{code}.webp": as_webp(png(("3d", code))) for code in EMOJI}
    old = {f"package/assets/png/{code}.png": png(("one", code)) for code in EMOJI}
    clips = {f"{CLIP_ART}/animals/mammals/dog_{i:02}.png": png(("dog", i)) for i in range(12)} | {
        f"{CLIP_ART}/food/fruit/kallisti-grenade_1_nurbl_01.png": png("a pun"),
        f"{CLIP_ART}/food/meats_and_eggs/hot_dog_juliane_krug_r.png": png("a sausage"),
        f"{CLIP_ART}/animals/mammals/cat_01.png": huge_png(),
        f"{CLIP_ART}/shapes/stars/star_dog.png": png("a star"),
        f"{CLIP_ART}/recreation/games/cards/white/white_h_q.png": png("queen", (30, 40)),
    }
    typeface = ImageFont.load_default(20).path  # type: ignore[union-attr]
    fonts = {
        f"usr/share/fonts/truetype/noto/NotoSans{suffix}-Regular.ttf": typeface.getvalue()
        for suffix, _ in SCRIPTS.values()
    }
    return {
        "noto": tar(noto | {"package/emoji.json": json.dumps(listed).encode()}, "gz"),
        "twemoji": tar(twemoji, "gz"),
        "fluent-3d": tar(fluent, "gz"),
        "fluent-flat": tar({"package/package.json": b"{}"}, "gz"),
        "emojione": tar(old, "gz"),
        "openclipart": deb(clips),
        "fashion-mnist": deb(fashion()),
        "noto-fonts": deb(fonts),
    }


@pytest.fixture
def archives(packed: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the tiny archives, which are those that are expected."""
    assert set(packed) == set(ARCHIVES)
    for key, content in packed.items():
        archive = replace(ARCHIVES[key], sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(ARCHIVES, key, archive)
        (tmp_path / archive.file).write_bytes(content)
    return tmp_path


@pytest.fixture(scope="module")
def rows(packed: Mapping[str, bytes], tmp_path_factory: Any) -> list[dict[str, Any]]:
    """What is made of the tiny archives."""
    folder = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as patch:
        for key, content in packed.items():
            archive = replace(ARCHIVES[key], sha256=hashlib.sha256(content).hexdigest())
            patch.setitem(ARCHIVES, key, archive)
            (folder / archive.file).write_bytes(content)
        patch.setattr(build, "encoded", as_png)
        build.main(folder, folder / "one.parquet")
        build.main(folder, folder / "two.parquet")
    assert (folder / "one.parquet").read_bytes() == (folder / "two.parquet").read_bytes()
    found: list[dict[str, Any]] = pq.read_table(folder / "one.parquet").to_pylist()
    return found


def test_archives_are_read_whatever_their_format(tmp_path: Path) -> None:
    files = {"a/one.txt": b"1", "b.txt": b"22"}
    (tmp_path / "x.tgz").write_bytes(tar(files, "gz"))
    (tmp_path / "x.deb").write_bytes(deb(files))
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    for kind in ("tgz", "deb", "whl"):
        assert dict(read_archive(tmp_path / f"x.{kind}")) == files


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.deb", b"PK", "does not start with '!<arch>'"),
        ("x.deb", b"!<arch>\n", "holds no data.tar"),
        ("x.rar", b"", "allowed: .tgz, .deb, .whl"),
    ],
)
def test_what_is_no_archive_is_said(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        list(read_archive(tmp_path / name))


def test_archives_that_are_missing_or_others_are_named_with_what_fetches_them(
    archives: Path,
) -> None:
    check_archives(archives)
    file = archives / ARCHIVES["emojione"].file
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"SHA-256 is .*fetch it again: npm pack emojione@2\.2\.7"):
        check_archives(archives)
    file.unlink()
    with pytest.raises(InputError, match=r"is not in .*fetch it: npm pack emojione@2\.2\.7"):
        check_archives(archives)


def test_the_command_says_what_is_missing_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sweep.tasks.pictures.build", str(tmp_path), "out.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("emoji-datasource-google-16.0.0.tgz is not in ")
    assert len(done.stderr.splitlines()) == 1


def test_every_collection_is_in_the_table(rows: list[dict[str, Any]]) -> None:
    assert {row["source"] for row in rows} == {*ARCHIVES, "scikit-learn"} - {"fluent-flat"}
    assert {task["task"] for row in rows for task in row["tasks"]} >= {
        *("clothing", "digits", "animals", "style")
    }
    of_files = {row["file"] for row in rows}
    assert len(of_files) == len(rows)


def test_concepts_are_on_one_side_in_all_styles(rows: list[dict[str, Any]]) -> None:
    sides: dict[str, set[str]] = {}
    for row in rows:
        if row["source"] not in ("fashion-mnist", "scikit-learn"):
            side = {use["split"] for use in row["tasks"]} or {row["pool"]}
            sides.setdefault(row["name"], set()).update(side)
    assert {len(side) for side in sides.values()} == {1}
    beasts = [side for name, side in sides.items() if name.startswith("beast")]
    assert {"test"} in beasts
    assert {"train"} in beasts
    assert {"pretrain"} in beasts
    drawn = [row["source"] for row in rows if row["name"] == "beast 1"]
    assert set(drawn) - {"emojione"} == {"twemoji", "noto", "fluent-3d"}


def test_one_style_is_shown_by_its_suite_alone(rows: list[dict[str, Any]]) -> None:
    old = [row for row in rows if row["source"] == "emojione"]
    assert old
    for row in old:
        assert [(use["task"], use["split"]) for use in row["tasks"]] == [("style", "test")]
        assert row["pool"] is None


def test_puns_and_huge_files_are_left_out(rows: list[dict[str, Any]]) -> None:
    clips = {Path(row["file"]).stem for row in rows if row["source"] == "openclipart"}
    assert "white_h_q" in clips
    assert {name for name in clips if name.startswith("dog_")}
    assert not clips & {"kallisti-grenade_1_nurbl_01", "cat_01", "star_dog"}
    tasked = {Path(row["file"]).stem for row in rows if row["tasks"]}
    assert "hot_dog_juliane_krug_r" not in tasked


def test_captions_say_what_kind_of_thing_is_shown(rows: list[dict[str, Any]]) -> None:
    said = {row["name"]: row["caption"] for row in rows if row["source"] == "noto"}
    assert said["beast 1"] == "beast 1, a mammal"
    assert said["sign 1"] == "sign 1"
    assert "handwritten seven" in {row["caption"] for row in rows}
    assert {"photo of an ankle boot", "photo of a coat"} <= {row["caption"] for row in rows}


def test_pixels_and_hashes_are_those_of_the_sources(
    rows: list[dict[str, Any]], packed: Mapping[str, bytes]
) -> None:
    row = next(row for row in rows if row["source"] == "noto")
    content = png(("noto", Path(row["file"]).stem))
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
    assert (pixels == thumbnail(content)).all()
    assert row["sha256_image"] == hashlib.sha256(pixels.tobytes()).hexdigest()
    assert row["author"] == ARCHIVES["noto"].author


def test_drawings_lie_on_white_and_fill_the_page() -> None:
    drawing = np.zeros((100, 100, 4), np.uint8)
    drawing[40:60, 30:70] = (255, 0, 0, 255)
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, "PNG")
    pixels = thumbnail(file.getvalue())
    assert pixels is not None
    assert pixels.shape == (32, 32, 3)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[16, 16].tolist() == [255, 0, 0]
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == (30, 15)


def test_empty_drawings_and_huge_files_are_none() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (64, 64)).save(file, "PNG")
    assert thumbnail(file.getvalue()) is None
    assert thumbnail(huge_png()) is None  # decoding it would fail: it ends after its header


def test_scalable_drawings_become_pixels() -> None:
    pytest.importorskip("resvg_py")
    drawing = b"""<?xml version="1.0" encoding="utf-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">
        <rect width="8" height="8" fill="#0000ff"/></svg>"""
    pixels = thumbnail(drawing)
    assert pixels is not None
    assert pixels[16, 16].tolist() == [0, 0, 255]


def test_what_draws_svg_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(InputError, match=r"pip install 'task-order-sweep\[pictures\]'"):
        thumbnail(b'<svg xmlns="http://www.w3.org/2000/svg"/>')


def test_files_lose_nothing() -> None:
    random = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for pixels in (random, rounded(random), np.zeros_like(random)):
        opened = Image.open(io.BytesIO(encoded(pixels))).convert("RGB")
        assert (np.asarray(opened) == pixels).all()
    assert np.abs(rounded(random).astype(int) - random).max() <= 5
    assert len(np.unique(rounded(np.arange(256)))) == 32


@pytest.mark.parametrize(
    ("stem", "noun", "kind", "caption"),
    [
        ("gufo_civetta_architetto__01", "owl", "bird", "owl"),
        ("red_fedora", "fedora", "garment", "red fedora"),
        ("wine_glass_christian_h._", "glass", "drink", "wine glass"),
        ("muffin_bw", "muffin", "sweet", "black and white muffin"),
        ("tree_on_house_01", "tree", "plant", "tree"),
    ],
)
def test_file_names_of_clip_art_say_what_it_shows(
    stem: str, noun: str, kind: str, caption: str
) -> None:
    assert said_by(stem) == (noun, kind, caption)


@pytest.mark.parametrize("stem", ["kallisti-grenade_1", "baby_tux_01", "stop_sign", "andrea_01"])
def test_file_names_that_say_nothing_are_left_out(stem: str) -> None:
    assert said_by(stem) is None


@pytest.mark.parametrize(
    ("given", "subcategory", "name", "caption", "group"),
    [
        ("WOMAN SURFING", "person-sport", "surfing", "woman surfing", "person doing sports"),
        ("surfing", "person-sport", "surfing", "surfing", "person doing sports"),
        ("CLOCK FACE TWO OCLOCK", "time", "clock", "clock face two oclock", "clock"),
        ("BLACK RIGHTWARDS ARROW", "arrow", "right arrow", "right arrow", "arrow"),
        ("GREEN APPLE", "food-fruit", "apple", "green apple", "fruit"),
        ("FRANCE FLAG", "country-flag", "flag of france", "flag of france", "flag"),
    ],
)
def test_emoji_have_plain_names(
    given: str, subcategory: str, name: str, caption: str, group: str
) -> None:
    assert name_emoji(given, subcategory) == (name, caption, group)


def test_emoji_without_a_plain_name_are_left_out() -> None:
    assert name_emoji("SQUARED CJK UNIFIED IDEOGRAPH-7121", "alphanum") is None
    assert name_emoji("EMOJI MODIFIER FITZPATRICK TYPE-3", "skin-tone") is None


def picture(name: str, pixels: np.ndarray, **others: str) -> Picture:
    values = {"caption": name, "group": "mammal", "source": "noto", "file": name, "author": ""}
    return Picture(
        pixels, name, licence="MIT", sha256="", **(values | {"file": f"{name} {others}"} | others)
    )


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def side_of(row: Row) -> str:
    return row.pool or row.tasks[0][2]


def test_near_copies_of_what_is_tested_are_left_out_elsewhere() -> None:
    names = [f"beast {i}" for i in range(30)]
    sides = {
        row.picture.name: side_of(row)
        for row in allot(picture(n, noise(i)) for i, n in enumerate(names))
    }
    tested = next(name for name in names if sides[name] == "test")
    learnt = next(name for name in names if sides[name] == "train")
    pictures = {name: noise(i) for i, name in enumerate(names)}
    pictures[learnt] = np.clip(pictures[tested].astype(int) + 2, 0, 255).astype(np.uint8)
    left = {row.picture.name for row in allot(picture(n, p) for n, p in pictures.items())}
    assert left == set(names) - {learnt}


def test_captions_of_retrieval_differ_and_are_not_those_of_pretraining() -> None:
    def pools(same: str) -> list[str | None]:
        """Pools of forty things; all, or those to be retrieved, have one caption."""
        names = [f"thing {i}" for i in range(40)]
        made = [picture(name, noise(i), group="") for i, name in enumerate(names)]
        retrieved = [row.picture.name for row in allot(made) if row.pool == "retrieval"]
        assert len(retrieved) > 3
        chosen = {"all": names, "retrieved": retrieved}[same]
        said = dict.fromkeys(chosen, "a thing")
        return [
            row.pool
            for row in allot(
                picture(name, noise(i), group="", caption=said.get(name, name))
                for i, name in enumerate(names)
            )
        ]

    assert pools("retrieved").count("retrieval") == 1
    assert pools("all").count("retrieval") == 0


def test_copies_stand_once() -> None:
    """Also where they are on one side, of a card of two decks that look alike when small."""
    deck = {"group": "hearts", "source": "openclipart"}
    pictures = [picture("six card", noise(0), **deck, file=file) for file in "ab"]
    assert len(allot([*pictures, picture("six card", noise(1), **deck, file="c")])) == 2
