"""Models that cannot be used: one sentence says why, before any weights are read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForImageTextToText

from methods.backbones import load_backbone
from methods.backbones.images import ImagePreprocessor
from methods.backbones.loading import load_text_reader
from tests.methods import tiny_families
from tests.methods.tiny_families import save

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of either family."""
    folder = tmp_path_factory.mktemp("originals")
    return {
        "clip": Path(save(tiny_families.clip, folder / "clip")),
        "llava": Path(save(tiny_families.llava, folder / "llava")),
    }


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("weights are read")

    for auto in (AutoModel, AutoModelForImageTextToText):
        monkeypatch.setattr(auto, "from_pretrained", read)


def refusal(folder: Path) -> str:
    """The sentence that both planning and training say."""
    said = []
    for load in (load_text_reader, load_backbone):
        with pytest.raises(ValueError, match=r"^Backbone '") as error:
            load(str(folder))
        said.append(str(error.value))
    assert said[0] == said[1]
    sentence = said[0].replace(str(folder), "X")
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "kind",
    [
        *("flava", "groupvit", "blip-2", "instructblip", "florence2", "owlvit"),
        *("siglip2", "mllama", "pixtral", "kosmos-2", "bert", "made-up"),
    ],
)
def test_families_that_are_not_supported_are_named_with_those_that_are(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    sentence = refusal(tmp_path)
    assert f"is a {kind} model; allowed are dual encoders (" in sentence
    assert all(name in sentence for name in ("clip", "siglip", "align", "llava", "paligemma"))
    assert ("of SigLIP 2 those of one resolution" in sentence) == (kind == "siglip2")


def test_a_model_that_brings_its_own_code_is_not_asked_about(tmp_path: Path) -> None:
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "configuration_mine.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "configuration_mine.py").write_text("raise SystemExit('ran')")
    assert "needs code of its own repository, which is never run; allowed" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{}", "there is no config.json|names no model_type in its config.json"),
        ("{", "not a valid JSON file"),
        ('{"model_type": null}', "names no model_type in its config.json"),
    ],
)
def test_configurations_that_say_nothing(config: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    assert any(part in refusal(tmp_path) for part in said.split("|"))


def cut_in_half(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def shard(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    save_file(weights, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    names = dict.fromkeys(weights, "model-00001-of-00002.safetensors")
    names["logit_scale"] = "model-00002-of-00002.safetensors"
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    (folder / WEIGHTS).unlink()


def shard_unlisted(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).write_text("{}")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def overwrite(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


def other_images(processor: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "processor_config.json").unlink()
        processor.save_pretrained(folder)

    return write


BROKEN: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no weights": ("clip", without(WEIGHTS), "has no weights: there is no model.safetensors or"),
    "half the weights": ("clip", cut_in_half, "model.safetensors is damaged (Error while deser"),
    "no second shard": ("clip", shard, "has no weights in model-00002-of-00002.safetensors"),
    "no list of shards": (
        "clip",
        shard_unlisted,
        "model.safetensors.index.json does not list where its weights are",
    ),
    "no tokenizer": (
        "clip",
        without("tokenizer.json", "tokenizer_config.json"),
        "tokenizer",
    ),
    "a damaged tokenizer": ("clip", overwrite("tokenizer.json", "{"), "cannot be loaded"),
    "no image processor": (
        "clip",
        without("processor_config.json"),
        "has no image processor: there is no processor_config.json or preprocessor_config.json",
    ),
    "no processor": (
        "llava",
        without("processor_config.json"),
        "has no image processor: there is no processor_config.json or preprocessor_config.json",
    ),
    "a damaged template": (
        "llava",
        overwrite("chat_template.jinja", "{% for %}"),
        "X': ",
    ),
    "images of many sizes": (
        "clip",
        other_images(transformers.CLIPImageProcessorPil(do_center_crop=False)),
        "only image processors that give one [3, height, width] array of one size",
    ),
    "images in patches": (
        "clip",
        other_images(transformers.Siglip2ImageProcessorPil(patch_size=16, max_num_patches=4)),
        "Siglip2ImageProcessorPil gives pixels of shape",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_are_one_sentence(
    name: str, originals: dict[str, Path], tmp_path: Path
) -> None:
    original, damage, said = BROKEN[name]
    folder = Path(shutil.copytree(originals[original], tmp_path / "copy"))
    damage(folder)
    assert said in refusal(folder)


class Squaring(transformers.CLIPImageProcessorPil):
    """Does to pixels what no rescaling and normalising does."""

    def normalize(self, image: Any, *_: Any, **__: Any) -> Any:
        return np.square(image)


def test_processors_that_do_more_than_is_done_here_are_refused() -> None:
    with pytest.raises(ValueError, match="Squaring does more than resize, crop, rescale and norm"):
        ImagePreprocessor(Squaring())


def test_weights_that_cannot_be_fetched_are_missed_before_training(
    originals: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small files of a hub id are in the cache, and there is no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "c" * 40
    snapshot = tmp_path / "models--me--mine" / "snapshots" / commit
    shutil.copytree(originals["clip"], snapshot)
    assert load_text_reader("me/mine", commit).family == "dual-encoder"
    (snapshot / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"'me/mine': its weights are not in the hub's cache, and"):
        load_text_reader("me/mine", commit)
