"""Pictures of tables: however they are stored, and without reading more than is asked for."""

import gc
import io
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from methods.backbones.images import rgb
from sweep.errors import InputError
from sweep.tasks.sources.source import TaskSource
from sweep.tasks.sources.table import identify
from tests.sweep.sources import (
    WHAT,
    isolate,
    labelled,
    numbers,
    open_split,
    picture,
    png,
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)


def stored(folder: Path, column: Any, name: str = "train.parquet") -> dict[str, Any]:
    """Writes a parquet file with one column of images, and returns where."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"image": column}), folder / name)
    return {"path": str(folder)}


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def turned() -> bytes:
    """A picture that is green above and red below, once it is turned as its EXIF data say."""
    lying = Image.new("RGB", (32, 16), (0, 255, 0))
    lying.paste((255, 0, 0), (16, 0, 32, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(lying, "JPEG", exif=exif, quality=95)


ODD: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "grey": (encoded(Image.new("L", (4, 4), 77)), (77, 77, 77)),
    "16 bits": (encoded(Image.fromarray(np.full((4, 4), 257 * 90, np.uint16))), (90, 90, 90)),
    "CMYK": (encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), (255, 255, 255)),
    "transparent": (encoded(Image.new("RGBA", (4, 4), (9, 8, 7, 0))), (9, 8, 7)),
    "palette": (encoded(Image.new("RGB", (4, 4), (200, 0, 0)).quantize(2), "GIF"), (200, 0, 0)),
}


@pytest.mark.parametrize("name", ODD)
def test_pictures_of_any_mode_come_out_right(tmp_path: Path, name: str) -> None:
    content, colour = ODD[name]
    source = stored(tmp_path / "x", [{"bytes": content, "path": "a.xyz"}])
    found = rgb(open_split(source).pictures("image", np.array([0]))[0])
    assert found.getpixel((1, 1)) == colour


def test_pictures_stand_upright(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(turned())
    source = stored(
        tmp_path / "x",
        [{"bytes": turned(), "path": None}, {"bytes": None, "path": str(tmp_path / "a.jpg")}],
    )
    for found in open_split(source).pictures("image", np.arange(2)):
        assert found.size == (16, 32)
        assert found.getpixel((8, 4))[1] > 200
        assert found.getpixel((8, 28))[0] > 200


def ways(folder: Path) -> dict[str, Any]:
    """Columns with the same two pictures, as different writers store them."""
    folder.mkdir()
    for number in range(2):
        picture(number).save(folder / f"{number}.png")
    files = ["0.png", "1.png"]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return {
        "structures": [{"bytes": png(i), "path": None} for i in range(2)],
        "large bytes": pa.array([png(0), png(1)], pa.large_binary()),
        "bytes": [png(0), png(1)],
        "names": files,
        "large names": pa.array(files, pa.large_string()),
        "paths": [str(folder / file) for file in files],
        "structures of paths": pa.array([{"bytes": None, "path": file} for file in files], struct),
        "some of both": pa.array(
            [{"bytes": None, "path": "0.png"}, {"bytes": png(1), "path": "9.png"}], struct
        ),
        "lists of one": [[{"bytes": png(i), "path": None}] for i in range(2)],
        "lists of one name": [[file] for file in files],
    }


@pytest.mark.parametrize("way", range(10))
def test_pictures_may_be_stored_in_many_ways(tmp_path: Path, way: int) -> None:
    name, column = list(ways(tmp_path / "x").items())[way]
    table = open_split(stored(tmp_path / "x", column))
    assert numbers(table) == [0, 1], name
    assert numbers(table, rows=[1]) == [1], name


def lack(folder: Path) -> dict[str, tuple[Any, str]]:
    """Columns of which the second row has not one picture, and what is said about it."""
    columns = ways(folder)
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    one, two = columns["structures"]
    return {
        "null": (pa.array([one, None], struct), "row 2: there is no image in 'image'."),
        "nothing inside": (
            pa.array([one, {"bytes": None, "path": None}], struct),
            "row 2: there is no image in 'image'.",
        ),
        "null for bytes": ([png(0), None], "row 2: there is no image in 'image'."),
        "null for a name": (["0.png", None], "row 2: there is no image in 'image'."),
        "no name": (["0.png", ""], "row 2: there is no image in 'image'."),
        "a file that is gone": (["0.png", "7.png"], "7.png' is not there."),
        "a structure of one": (
            pa.array([one, {"bytes": None, "path": "7.png"}], struct),
            "7.png' is not there.",
        ),
        "two": ([[one], [one, two]], "row 2: 2 images in 'image'; a sample shows one."),
        "two names": ([["0.png"], ["0.png", "1.png"]], "row 2: 2 images in 'image'; a sample"),
        "none": ([[one], []], "row 2: 0 images in 'image'; a sample shows one."),
        "no list": (pa.array([["0.png"], None]), "row 2: 0 images in 'image'; a sample shows one."),
        "a list of null": (pa.array([["0.png"], [None]]), "row 2: there is no image in 'image'."),
        "a number": ([1, 2], "column 'image' holds no images."),
        "a structure": ([{"bytes": 1, "path": "x"}] * 2, "column 'image' holds no images."),
    }


@pytest.mark.parametrize("way", range(14))
def test_rows_without_one_picture_are_named_before_they_are_needed(
    tmp_path: Path, way: int
) -> None:
    name, (column, message) = list(lack(tmp_path / "x").items())[way]
    table = open_split(stored(tmp_path / "x", column))
    with pytest.raises(InputError) as error:
        table.pictures("image", np.arange(2))
    assert message in str(error.value), name
    if "holds no" not in message:
        assert numbers(table, rows=[0]) == [0]  # rows that are not used do not matter


def test_numbers_of_which_none_is_known_to_be_white_are_refused(tmp_path: Path) -> None:
    contents = [encoded(Image.new("F", (4, 4), white), "TIFF") for white in (1.0, 2.0)]
    source = stored(tmp_path / "x", [{"bytes": content, "path": None} for content in contents])
    pictures = open_split(source).pictures("image", np.arange(2))
    assert pictures[0].getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(InputError, match=r"row 2 cannot be read as an image: it holds fractions"):
        pictures[1]


def test_a_broken_picture_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    source = stored(tmp_path / "x", [{"bytes": png(0), "path": None}, {"bytes": b"x", "path": ""}])
    pictures = open_split(source).pictures("image", np.arange(2))
    with pytest.raises(InputError, match=r"split 'train', row 2 cannot be read as an image"):
        pictures[1]


def test_files_that_rows_name_are_part_of_what_identifies_them(tmp_path: Path) -> None:
    source = stored(tmp_path / "x", ways(tmp_path / "x")["some of both"])
    stored(tmp_path / "x", ways(tmp_path / "y")["names"], "test.parquet")

    def identity() -> str:
        return identify(TaskSource.model_validate(source), WHAT)

    before = identity()
    picture(5).save(tmp_path / "x" / "2.png")
    assert identity() == before
    picture(5).save(tmp_path / "x" / "1.png")
    assert identity() != before
    picture(1).save(tmp_path / "x" / "1.png")
    assert identity() == before


def test_opening_a_table_reads_no_images(tmp_path: Path) -> None:
    """Of 96 MB of images hardly anything is in memory; they are mapped into it."""
    contents = [bytes(1 << 20) for _ in range(95)] + [png(7)]  # as if they were images
    columns = {
        "image": [{"bytes": content, "path": None} for content in contents],
        "label": [i % 3 for i in range(len(contents))],
    }
    folder = tmp_path / "x"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "train.parquet", row_group_size=16)
    open_split({"path": str(folder)})  # lays them out on the disk
    gc.collect()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    table = open_split({"path": str(folder)})
    pictures = table.pictures("image", np.arange(len(table)))
    assert table.values("label") == columns["label"]
    assert pictures[95].getpixel((0, 0)) == (7, 0, 0)
    assert pa.total_allocated_bytes() - before < 8 << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_a_million_values_are_read_in_seconds(tmp_path: Path) -> None:
    count = 1_000_000
    columns = {
        "image": pa.array([b""] * count),
        "label": pa.array(np.arange(count) % 7),
        "text": pa.array([f"text {i}" for i in range(count)]),
    }
    (tmp_path / "x").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "x" / "train.parquet")
    table = open_split({"path": str(tmp_path / "x")})
    started = time.process_time()
    assert table.values("label")[-3:] == [(count - 3 + i) % 7 for i in range(3)]
    assert table.values("text")[count // 2] == f"text {count // 2}"
    table.pictures("image", np.arange(count))
    assert time.process_time() - started < 10


def test_many_threads_may_read_at_once(tmp_path: Path) -> None:
    data = labelled([0] * 50)
    (tmp_path / "x").mkdir()
    data.to_parquet(tmp_path / "x" / "train.parquet")
    table = open_split({"path": str(tmp_path / "x")})
    pictures = table.pictures("image", np.arange(50))
    found: list[bool] = []

    def read(seed: int) -> None:
        rows = np.random.default_rng(seed).integers(0, 50, 200).tolist()
        found.append(all(pictures[row].getpixel((0, 0))[0] == row for row in rows))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
