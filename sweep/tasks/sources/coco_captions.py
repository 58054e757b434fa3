"""Reads captions in COCO's format: one object with images, and with annotations of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from sweep.errors import InputError

Row = Mapping[str, Any]


def holds_captions(found: Any) -> bool:
    """Returns whether an object of JSON is in COCO's format.

    >>> holds_captions({"images": [], "annotations": []})
    True
    """
    return isinstance(found, dict) and all(
        isinstance(found.get(key), list) for key in ("images", "annotations")
    )


def captioned_images(found: Row, name: str) -> Iterator[tuple[int, Row]]:
    """Yields the number of every image that has captions, and a row with all of these.

    Args:
        found: What a file holds.
        name: What it is called, for messages.

    Raises:
        InputError: something is missing in it.

    >>> images = [{"id": 7, "file_name": "a.jpg"}]
    >>> annotations = [{"image_id": 7, "caption": "a cat"}, {"image_id": 7, "caption": "a pet"}]
    >>> next(captioned_images({"images": images, "annotations": annotations}, "val.json"))
    (1, {'image': 'a.jpg', 'image_id': 7, 'caption': ['a cat', 'a pet']})
    """
    captions: dict[Any, list[str]] = {}
    for number, one in enumerate(found["annotations"], start=1):
        where = f"'{name}', annotation {number}"
        text = _entry(one, "caption", where)
        if not isinstance(text, str):
            raise InputError(f"{where}: 'caption' must be a text, got {text!r:.60}.")
        captions.setdefault(_entry(one, "image_id", where), []).append(text.strip())
    for number, one in enumerate(found["images"], start=1):
        where = f"'{name}', image {number}"
        image = _entry(one, "id", where)
        file = _entry(one, "file_name", where)
        if image in captions:
            yield number, {"image": file, "image_id": image, "caption": captions[image]}


def _entry(one: Any, key: str, where: str) -> Any:
    if not isinstance(one, dict) or key not in one:
        raise InputError(f"{where}: has no '{key}'; captions in COCO's format are read here.")
    return one[key]
