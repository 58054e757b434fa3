"""The diffusion generator, with a pipeline that records what it is asked for."""

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from methods.data import Split, Task
from sweep.errors import InputError
from sweep.tasks.base import BenchmarkConfig
from sweep.tasks.diffusion import Diffusion
from sweep.tasks.world import World

BENCHMARK: BenchmarkConfig = World()
EMPTY = Split(np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, np.int64))
TASK = Task("pets", ("cat", "dog", "bird"), ("a photo of a {}.", "{}"), "What?", EMPTY, EMPTY)


class Pipeline:
    """Draws noise from the generators it is given."""

    made: ClassVar[list["Pipeline"]] = []

    def __init__(self, path: str, **options: Any) -> None:
        self.path, self.options = path, options
        self.calls: list[dict[str, Any]] = []
        Pipeline.made.append(self)

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> "Pipeline":
        return cls(path, **options)

    def to(self, device: torch.device) -> "Pipeline":
        self.device = device
        return self

    def set_progress_bar_config(self, disable: bool) -> None:
        self.silent = disable

    def __call__(self, prompts: list[str], **options: Any) -> SimpleNamespace:
        self.calls.append({"prompts": prompts, **options})
        noise = [torch.randint(256, (6, 6, 3), generator=g) for g in options["generator"]]
        return SimpleNamespace(images=[Image.fromarray(n.byte().numpy()) for n in noise])


@pytest.fixture
def diffusers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, as far as it is used."""
    package = ModuleType("diffusers")
    package.__spec__ = importlib.machinery.ModuleSpec("diffusers", None)
    vars(package)["DiffusionPipeline"] = Pipeline
    monkeypatch.setitem(sys.modules, "diffusers", package)
    monkeypatch.setattr(Pipeline, "made", [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model_index.json").write_text("{}")
    return tmp_path


def drawn(config: Diffusion, labels: list[int], seeds: list[int]) -> list[np.ndarray]:
    return [np.asarray(p) for p in config.load(BENCHMARK)(TASK, np.array(labels), seeds)]


@pytest.mark.usefixtures("diffusers")
class TestDrawing:
    def test_pipeline_gets_the_prompts_of_the_labels_and_the_settings(self, folder: Path) -> None:
        config = Diffusion(path=str(folder), steps=7, guidance=2.5)
        images = drawn(config, [2, 0, 0], [0, 1, 2])
        (pipeline,) = Pipeline.made
        assert (pipeline.path, pipeline.options["revision"]) == (str(folder), None)
        assert pipeline.silent
        (call,) = pipeline.calls
        assert call["prompts"] == ["a photo of a bird.", "a photo of a cat.", "a photo of a cat."]
        assert (call["num_inference_steps"], call["guidance_scale"]) == (7, 2.5)
        assert [generator.device.type for generator in call["generator"]] == ["cpu"] * 3
        assert [image.shape for image in images] == [(6, 6, 3)] * 3

    def test_many_are_drawn_in_parts_and_keep_their_order(self, folder: Path) -> None:
        labels = [i % 3 for i in range(20)]
        images = drawn(Diffusion(path=str(folder)), labels, list(range(20)))
        (pipeline,) = Pipeline.made
        assert [len(call["prompts"]) for call in pipeline.calls] == [8, 8, 4]
        asked = [prompt for call in pipeline.calls for prompt in call["prompts"]]
        assert asked == [TASK.prompts()[label] for label in labels]
        assert len(images) == 20

    def test_an_image_depends_on_its_seed_and_not_on_its_company(self, folder: Path) -> None:
        config = Diffusion(path=str(folder))
        together = drawn(config, [0] * 12, list(range(12)))
        (alone,) = drawn(config, [0], [9])
        assert np.array_equal(together[9], alone)
        assert not np.array_equal(together[8], alone)
        (other,) = drawn(Diffusion(path=str(folder), seed=1), [0], [9])
        assert not np.array_equal(other, alone)

    def test_a_hub_id_is_pinned_to_its_commit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fetch(path: str, file: str, *, repo_type: str, revision: str | None, **_: Any) -> str:
            assert (path, file, repo_type) == ("me/mine", "model_index.json", "model")
            return f"cache/snapshots/{revision or 'main'}-commit/{file}"

        monkeypatch.setattr("sweep.hub.hf_hub_download", fetch)
        main, old = Diffusion(path="me/mine"), Diffusion(path="me/mine", revision="old")
        assert main.fingerprint() != old.fingerprint()
        drawn(old, [0], [0])
        assert Pipeline.made[0].options["revision"] == "old-commit"

    def test_check_finds_the_package(self, folder: Path) -> None:
        Diffusion(path=str(folder)).check()


def test_a_package_that_is_not_there_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install diffusers"):
        Diffusion(path=str(folder)).check()


def test_a_folder_is_known_by_its_content(folder: Path) -> None:
    before = Diffusion(path=str(folder)).fingerprint()
    (folder / "model_index.json").write_text("{ }")
    assert Diffusion(path=str(folder)).fingerprint() != before


def test_other_settings_have_another_fingerprint(folder: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"steps": 9}, {"guidance": 1}, {"seed": 1}, {"images": 9}]
    found = {Diffusion(path=str(folder), **change).fingerprint() for change in changes}
    assert len(found) == len(changes)


def test_what_is_no_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder holds no model_index\.json\.$"):
        Diffusion(path=str(tmp_path)).fingerprint()
    with pytest.raises(InputError, match=r"generator 'a b' is neither a folder nor reachable"):
        Diffusion(path="a b").fingerprint()


def test_a_revision_of_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder, and revision 'v1' would be one of the hub"):
        Diffusion(path=str(folder), revision="v1").fingerprint()
