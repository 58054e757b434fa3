"""Reads folders of images as tables: by a table of their own, or by a folder per class."""

import os

from sweep.tasks.captioned_folder import class_names, read_folder
from sweep.tasks.sources.listed import Listing


def read_images(folder: str, split: str) -> Listing:
    """Returns the images of one split of a folder, with the columns of its table or their class.

    Raises:
        InputError: there is no such split, or no images, or a table is wrong.
    """
    read = read_folder(folder, split)
    columns = dict(read.columns)
    names: dict[str, tuple[str, ...]] = {}
    if read.has_classes:
        names["label"] = class_names(folder)
        numbers = {name: number for number, name in enumerate(names["label"])}
        columns["label"] = [numbers[name] for name in columns["label"]]
    places = [f"'{os.path.relpath(file, folder)}'" for file in read.files]
    return Listing(
        columns={"image": read.files, **columns},
        place=(places if read.has_classes else read.rows).__getitem__,
        files=read.tables,
        class_names=names,
        image_column="image",
        left_out=tuple(read.left_out.sentences(folder)),
    )
