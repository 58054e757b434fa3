"""Methods that cannot be built on a backbone are refused before anything starts."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from methods import METHODS
from methods.backbones import load_backbone
from methods.baselines.finetune import FineTune
from methods.testing.toy import BACKBONES, toy_study
from sweep import file_digests, run
from sweep.errors import InputError
from sweep.measuring.building import check_builds
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan
from sweep.registry import resolve
from sweep.study.backbones import BackboneConfig, embedded, find_source
from sweep.study.pinned import pin
from sweep.study.schema import Study
from tests.methods.tiny_any_size import ANY_SIZE
from tests.methods.tiny_families import DUAL_ENCODERS, save


@pytest.fixture(autouse=True)
def _memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "memory" / "memory.sqlite")


def study_on(path: Path, methods: Mapping[str, Any], **training: Any) -> Study:
    return toy_study(
        path.parent,
        dict(methods),
        benchmark=BACKBONES["clip"],
        backbones={"mine": {"path": str(path)}},
        training={"steps": 1} | training,
    )


def said_of(study: Study) -> str:
    """What is said without weights; nothing if there is nothing to say."""
    try:
        check_builds(study, pin(study))
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("backbone", embedded())
def test_every_default_builds_on_every_shipped_model(backbone: str) -> None:
    untouched = find_source(BackboneConfig(path=backbone)).load()
    for name in METHODS:
        kind = resolve("methods", name)
        assert kind(copy.deepcopy(untouched), kind.Config())


class Picky(FineTune):
    """Cannot be built."""

    def build(self) -> None:
        """Say so."""
        raise ValueError("This method is made for larger models.\nMuch larger ones.")


class LooksAtWeights(FineTune):
    """Needs the content of weights to be built."""

    def build(self) -> None:
        """Look."""
        self.sum = sum(float(weight.sum()) for weight in self.backbone.parameters())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"method": "l2p", "depth": 3}, "3 are asked for, and 2 read images"),
        ({"method": "dualprompt", "general_layers": 12}, "13 are asked for, and 2 read images"),
        ({"method": f"{__name__}:Picky"}, "This method is made for larger models"),
    ],
)
def test_what_cannot_be_built_is_refused_before_ray_starts(
    models: Path,
    tmp_path: Path,
    options: dict[str, Any],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starts(*_: object) -> None:
        raise AssertionError("Ray starts")

    monkeypatch.setattr("sweep.engine.driver.connected", starts)
    study = study_on(models / "clip", {"finetune": {}, "bad": options})
    with pytest.raises(InputError) as error:
        run(study, str(tmp_path / "out"))
    message = str(error.value)
    assert message.startswith("method 'bad' on backbone 'mine': ")
    assert message.endswith(f"{reason}.")
    assert not (tmp_path / "out").exists()


def test_what_needs_weights_is_left_to_its_stages(models: Path) -> None:
    study = study_on(models / "clip", {"looks": {"method": f"{__name__}:LooksAtWeights"}})
    check_inputs(make_plan(study))


def test_towers_are_those_of_the_study(models: Path) -> None:
    """A fusion model's images are read by its text tower, which prompts go to."""
    methods = {"l2p": {}}
    assert said_of(study_on(models / "llava", methods)) == ""
    message = said_of(study_on(models / "llava", methods, towers=["joint"]))
    assert "1 are asked for, and 0 read images" in message


FAMILIES: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    **{name: DUAL_ENCODERS[name] for name in ("clip", "align", "aimv2")},
    "qwen2_vl": ANY_SIZE["qwen2_vl"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_would_not_change_the_answer(family: str, tmp_path: Path) -> None:
    """Without prompts, parts called mlp or layers at all, in families that lack some of them."""
    path = save(FAMILIES[family], tmp_path / family)
    untouched = load_backbone(path)
    for name in ("finetune", "l2p", "adapter"):
        kind, reason = resolve("methods", name), ""
        try:
            kind(copy.deepcopy(untouched), kind.Config())
        except ValueError as error:
            reason = str(error).removesuffix(".")
        message = said_of(study_on(Path(path), {name: {}}))
        assert message == (reason and f"method '{name}' on backbone 'mine': {reason}.")


def test_methods_are_built_once(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_on(models / "clip", {"l2p": {}, "finetune": {}})
    pinned = pin(study)
    check_builds(study, pinned)

    def again(*_: object) -> None:
        raise AssertionError("the model is made again")

    monkeypatch.setattr("sweep.measuring.building._without_weights", again)
    check_builds(study, pinned)
    check_builds(study_on(models / "clip", {"finetune": {}}), pinned)
    edited = replace(pinned, code={**pinned.code, "l2p": {"methods.prompts.l2p": "edited"}})
    for other, found in (
        (study_on(models / "clip", {"l2p": {"depth": 2}}), pinned),
        (study_on(models / "clip", {"finetune": {}}, towers=["text"]), pinned),
        (study, edited),
    ):
        with pytest.raises(AssertionError, match="made again"):
            check_builds(other, found)
