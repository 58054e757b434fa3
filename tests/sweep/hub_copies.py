"""Writes a few samples of data sets in the formats that they have where they are published."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from sweep.tasks.sources.source import TaskSource

CLASS_NAMES: dict[str, dict[str, list[str]]] = json.loads(
    Path(__file__).with_name("class_names.json").read_text("utf-8")
)
"""hub: names of labels as data sets on the hub have them, read in their cards or in what made them
(TensorFlow Datasets, torchvision, timm); prompts: names that CLIP's list of prompts has instead."""
PICTURES = 12
"""Different images of a data set; its rows show them in turn."""


def picture(number: int) -> bytes:
    """Returns a small image as a PNG file."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (20 * number, 255 - 20 * number, 90)).save(stream, "png")
    return stream.getvalue()


def write_hub(
    root: Path,
    source: TaskSource,
    names: Sequence[str] | int,
    per_class: int = 2,
    as_text: bool = False,
) -> None:
    """Writes all splits of a data set that a source uses: images and labels.

    They are parquet files; or tar files of a webdataset, as CLIP_benchmark has published them.

    Args:
        root: Where; it becomes the folder ROOT/PATH.
        source: What the data set is for.
        names: Of the labels; or how many there are, where labels are numbers without names.
        per_class: Images of every class in every split.
        as_text: Whether labels are stored by name, as text.
    """
    count = names if isinstance(names, int) else len(names)
    labels = list(range(count)) * per_class
    splits = set((source.train or source.test).split("+"))
    splits |= set() if source.split else {source.test}
    if "/wds_" in source.path:
        for split in splits:
            _write_tar(root / source.path / split / "0.tar", labels)
        return
    table = _table(source, names, labels, as_text)
    folder = root / source.path / (source.config or "") / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")


def _table(source: TaskSource, names: Sequence[str] | int, labels: list[int], as_text: bool) -> Any:
    """Returns images and labels as a data set; labels of two nameless classes are truth values."""
    import datasets

    kind: Any = datasets.Value("bool" if names == 2 else "int64")
    values: list[Any] = [bool(label) for label in labels] if names == 2 else labels
    if not isinstance(names, int):
        kind = datasets.Value("string") if as_text else datasets.ClassLabel(names=list(names))
        values = [names[label] for label in labels] if as_text else labels
    files = [picture(number) for number in range(PICTURES)]
    images = [{"bytes": files[row % PICTURES], "path": None} for row in range(len(labels))]
    return datasets.Dataset.from_dict(
        {source.columns.image: images, source.columns.label: values},
        features=datasets.Features(
            {source.columns.image: datasets.Image(), source.columns.label: kind}
        ),
    )


def _write_tar(file: Path, labels: Sequence[int]) -> None:
    """Writes KEY.jpg and KEY.cls for every sample."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for row, label in enumerate(labels):
            for suffix, content in (("cls", str(label).encode()), ("jpg", picture(row % PICTURES))):
                entry = tarfile.TarInfo(f"s{row:07}.{suffix}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def write_coop(root: Path, source: TaskSource, names: Sequence[str], per_class: int = 2) -> None:
    """Writes images, and a file of splits as CoOp publishes them."""
    folder = root / source.path
    images = folder / (source.images or "")
    splits: Mapping[str, list[list[Any]]] = {"train": [], "val": [], "test": []}
    for split, rows in splits.items():
        for label, name in enumerate(names):
            for number in range(per_class):
                file = f"{name.replace(' ', '_')}/{split}_{number}.png"
                (images / file).parent.mkdir(parents=True, exist_ok=True)
                (images / file).write_bytes(picture(label % PICTURES))
                rows.append([file, label, name])
    assert source.split_file
    (folder / source.split_file).write_text(json.dumps(splits), "utf-8")
