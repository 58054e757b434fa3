"""Which files of a data set hold which split, by their names and by its card."""

from typing import Any

import pytest

from sweep.errors import InputError
from sweep.tasks.sources.layout import config_of, matching, missing_shards, splits_of

WHAT = "task 'a': 'me/x'"
HASHED = "train-00000-of-00001-0123456789abcdef.parquet"
DEV = "data/testdev-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.parquet"], {"train": ["a.parquet"]}),
        (["a.parquet", "b.tar"], {"train": ["a.parquet"]}),
        (["a.tar", "b.arrow", "c.json"], {"train": ["a.tar"]}),
        (["metadata.parquet", "train/1.jpg"], {}),
        (["train/test-1.parquet"], {"test": ["train/test-1.parquet"]}),
        (["test/train/1.parquet"], {"train": ["test/train/1.parquet"]}),
        (["Val_2014.parquet"], {"validation": ["Val_2014.parquet"]}),
        (["a.parquet", "eval.parquet"], {"test": ["eval.parquet"]}),
        ([DEV], {"testdev": [DEV]}),
        ([HASHED], {"train": [HASHED]}),
        (["trainer-1.parquet"], {"train": ["trainer-1.parquet"]}),
        (["train.json", "images/test.json", "notes.json"], {"train": ["train.json"]}),
        (["notes.json", "cat/1.jpg"], {}),
        (
            ["x/dev/0.tar", "x/test/0.tar"],
            {"test": ["x/test/0.tar"], "validation": ["x/dev/0.tar"]},
        ),
    ],
)
def test_names_tell_splits(names: list[str], expected: dict[str, list[str]]) -> None:
    assert splits_of(names, {}, None, WHAT) == expected


NAMES = ["a/train-1.parquet", "a/dev-1.parquet", "b/train-1.parquet", "b/c/train-1.parquet"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"data_files": "a/train-*"}, {"train": NAMES[:1]}),
        ({"data_files": ["./a/*"]}, {"train": sorted(NAMES[:2])}),
        ({"data_files": {"x y": "b/*"}}, {"x y": NAMES[2:3]}),
        ({"data_files": [{"split": "x", "path": "b/**"}]}, {"x": sorted(NAMES[2:])}),
        (
            {"data_files": [{"split": "x", "path": ["b/**/train-?.parquet"]}]},
            {"x": sorted(NAMES[2:])},
        ),
        ({"data_files": [{"split": "x", "path": "[ac]/*"}]}, {"x": sorted(NAMES[:2])}),
        ({"data_dir": "a"}, {"train": NAMES[:1], "validation": NAMES[1:2]}),
        ({"data_dir": "./b/", "data_files": "train-*"}, {"train": NAMES[2:3]}),
        ({"data_files": [{"split": "x", "path": "gone/*"}]}, {}),
    ],
)
def test_a_card_tells_splits(config: dict[str, Any], expected: dict[str, list[str]]) -> None:
    card = {"configs": [{"config_name": "one", **config}]}
    assert splits_of(NAMES, card, None, WHAT) == expected
    assert splits_of(NAMES, card, "one", WHAT) == expected


def test_one_of_several_configurations_is_the_default() -> None:
    def chosen(**others: Any) -> str:
        configs = [
            {"config_name": name, "data_dir": name} | others.get(name, {})
            for name in ("one", "default", "two")
        ]
        return config_of({"configs": configs}, None, WHAT)

    assert chosen() == "default"
    assert chosen(two={"default": True}) == "two"
    assert config_of({}, None, WHAT) == "default"
    assert config_of({}, "x", WHAT) == "x"


def test_folders_may_be_configurations() -> None:
    assert splits_of(NAMES, {}, "b", WHAT) == {"train": sorted(NAMES[2:])}
    with pytest.raises(InputError, match=r"config of task 'a': 'me/x' 'c'; allowed: a, b\."):
        splits_of(NAMES, {}, "c", WHAT)


def test_letters_with_a_meaning_elsewhere_mean_themselves_in_patterns() -> None:
    assert matching("a+(b).tar", ["a+(b).tar", "aa(b).tar", "a+(b)_tar"]) == ["a+(b).tar"]


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["a-00000-of-00003.tar", "a-00002-of-00003.tar"], 1),
        (["a-00000-of-00001.tar", "b-00000-of-00002.tar"], 1),
        (["x/a-00000-of-00002.tar", "y/a-00001-of-00002.tar"], 2),
        (["a-00000-of-00002-0123456789abcdef.tar", "a-00001-of-00002-fedcba9876543210.tar"], 0),
        (["a.tar"], 0),
    ],
)
def test_parts_that_are_missing_are_counted(names: list[str], missing: int) -> None:
    assert missing_shards(names) == missing
