"""Data and weights that a study names by a URI."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sweep
from methods.testing.toy import toy_study
from sweep import fetched
from sweep.errors import InputError, NoRoomError
from sweep.hub import digest
from sweep.tasks.image_folder import ImageFolder
from sweep.tasks.sources.datasets import Datasets


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine, so to say."""
    fetched._copy.cache_clear()
    monkeypatch.setattr(fetched, "CACHE", tmp_path / "cache")
    return tmp_path / "cache/fetched"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Images of two tasks and two classes each, with a table of them all."""
    rng = np.random.default_rng(0)
    rows = []
    for task in ("day", "night"):
        for place in (f"{task}/{s}/{c}" for s in ("train", "test") for c in ("ox", "elk")):
            (tmp_path / "store" / place).mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "store" / place / f"{i}.png")
                rows.append({"image": f"{place}/{i}.png", "label": place.split("/")[2]})
    (tmp_path / "store/train.json").write_text(json.dumps(rows))
    return tmp_path / "store"


def copies(cache: Path) -> list[Path]:
    return [entry for entry in cache.iterdir() if entry.is_dir()]


def test_a_uri_is_copied_once_and_again_when_it_has_changed(store: Path, own_cache: Path) -> None:
    uri = f"file://{store}"
    first = fetched.here(uri)
    assert digest(Path(first)) == digest(store)
    fetched._copy.cache_clear()  # as in another process
    assert fetched.here(uri) == first
    assert copies(own_cache) == [Path(first)]
    (store / "day/train/ox/0.png").unlink()
    assert fetched.here(uri) == first  # a process sees the same all along
    fetched._copy.cache_clear()
    second = fetched.here(uri)
    assert second != first
    assert digest(Path(second)) == digest(store)


def test_data_are_what_they_are_wherever_they_lie(store: Path) -> None:
    """The keys of stages do not depend on it; the study says what it was given."""
    uri = f"file://{store}"
    there, local = ImageFolder(path=uri), ImageFolder(path=str(store))
    assert there.fingerprints() == local.fingerprints()
    assert there.load().tasks.keys() == {"day", "night"}
    assert there.model_dump()["path"] == uri
    source = {"files": {"train": "train.json"}, "test": "train"}
    tables = [
        Datasets.model_validate({"tasks": {name: source | {"path": path} for name in ("x", "y")}})
        for path in (uri, str(store))
    ]
    assert tables[0].fingerprints() == tables[1].fingerprints()
    assert len(tables[0].load().tasks["x"].train) == 24


def test_a_root_may_be_elsewhere(store: Path) -> None:
    (store / "me").mkdir()
    for task in ("day", "night"):
        shutil.copytree(store / task, store / "me" / task)
    tasks = {task: {"path": f"me/{task}"} for task in ("day", "night")}
    there = Datasets.model_validate({"tasks": tasks, "root": f"file://{store}"})
    local = Datasets.model_validate({"tasks": tasks, "root": store})
    assert there.fingerprints() == local.fingerprints()


def test_weights_by_a_uri_give_the_same_results(tmp_path: Path) -> None:
    local = toy_study(tmp_path)
    uri = f"file://{tmp_path}/clip"
    there = toy_study(tmp_path, backbones={"clip": {"path": uri}})
    assert sweep.make_plan(there).units.keys() == sweep.make_plan(local).units.keys()
    order = ("a", "b", "c")
    found = [sweep.run_single(study, "finetune", order)[0] for study in (there, local)]
    assert [r.scores for r in found[0]] == [r.scores for r in found[1]]
    assert there.backbones["clip"].path == uri


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("file:///nowhere/at/all", "'file:///nowhere/at/all' cannot be reached: "),
        ("nfs://server/pets", "'nfs://server/pets' cannot be reached: "),
        ("file://{}/empty", "/empty' holds no files."),
    ],
)
def test_what_is_not_there_is_one_sentence(tmp_path: Path, uri: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as error:
        ImageFolder(path=uri.format(tmp_path)).task_names()
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_there_may_be_no_room_for_a_copy(
    store: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(store)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=100))
    with pytest.raises(NoRoomError, match=r"a copy of 'file:.*' takes .* there are 100 B left"):
        fetched.here(f"file://{store}")
    assert not copies(own_cache)


def test_a_copy_that_breaks_off_leaves_nothing(
    store: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: str, place: str, *_: object) -> None:
        Path(place, "half.png").touch()
        raise OSError("the connection was lost")

    with monkeypatch.context() as broken:
        broken.setattr(fetched.fs, "copy_files", half)
        with pytest.raises(InputError, match=r"cannot be reached: the connection was lost\."):
            fetched.here(f"file://{store}")
    assert not copies(own_cache)
    assert digest(Path(fetched.here(f"file://{store}"))) == digest(store)
