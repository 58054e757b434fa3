"""Experts on the hub: pinned to commits, and looked at without their weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest
import torch

from methods.testing.toy import toy_study
from sweep.errors import InputError
from sweep.measuring.checking import check_inputs
from sweep.measuring.measure import make_plan
from sweep.study.expert_sources import find_expert
from sweep.study.schema import Study
from tests.sweep.hub_server import CONSTANTS, HubAnswers, serving
from tests.sweep.made_experts import Bench, change_tensors, save_adapters, save_towers
from tests.sweep.sources import COMMIT

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
TASKS = "abc"


class Hub(HubAnswers):
    """Answers as the hub does, for models in the folders ROOT/NAME, which are me/NAME."""

    root: ClassVar[Path]
    asked: ClassVar[list[tuple[str, str]]]
    """Names of files that were sent, and how much of them."""
    gated: ClassVar[str]

    def answer(self, whole: bool) -> None:
        """Gives a file, or the part of it that is asked for."""
        _, owner, name, *rest = unquote(urlsplit(self.path).path).split("/")
        file = self.root / name / "/".join(rest[2:])
        if owner != "me" or not (self.root / name).is_dir():
            self.send(b"", whole, 401, "RepoNotFound")
        elif name == self.gated:
            self.send(b"", whole, 403, "GatedRepo")
        elif not file.is_file():
            self.send(b"", whole, 404, "EntryNotFound")
        else:
            content, part = file.read_bytes(), self.headers.get("Range", "")
            if whole:
                self.asked.append((f"{name}/{file.name}", part))
            if part:
                first, last = part.removeprefix("bytes=").split("-")
                content = content[int(first) : int(last) + 1]
            self.send(content, whole, 206 if part else 200)


@pytest.fixture(autouse=True)
def _hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Hub.root, Hub.asked, Hub.gated = tmp_path / "remote", [], ""
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_OFFLINE", False)
    with serving(Hub, monkeypatch):
        yield


def study_of(models: Path, **experts: Any) -> Study:
    return toy_study(models, ("individual",), experts={"path": "me/x_{task}"} | experts)


def fetched() -> dict[str, str]:
    return {name: part for name, part in Hub.asked if name.endswith(".safetensors")}


def test_towers_are_checked_without_their_weights_and_then_loaded(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_towers(models / "clip", tmp_path / "remote", TASKS)
    study = study_of(models, revision="v1")
    plan = make_plan(study)
    assert plan.pinned.experts["clip", "a"].fingerprint == f"me/x_a@{COMMIT}"
    check_inputs(plan)
    assert set(fetched()) == {f"x_{task}/model.safetensors" for task in TASKS}
    assert all(part.startswith("bytes=0-") for part in fetched().values())
    Hub.asked.clear()
    bench = Bench(study, tmp_path)
    bench.compute("individual", "b")
    assert fetched() == {"x_b/model.safetensors": ""}
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_OFFLINE", True)
    again = Bench(study, tmp_path)
    again.compute("individual", "b")
    assert set(again.plan.units) == set(plan.units)
    with pytest.raises(InputError, match=r"expert of task 'a' .* cannot be read: .*offline"):
        check_inputs(again.plan)  # of two there is no more than the configuration


def test_adapters_are_found_by_their_configuration(models: Path, tmp_path: Path) -> None:
    save_adapters(models / "clip", tmp_path / "remote", TASKS)
    bench = Bench(study_of(models), tmp_path)
    check_inputs(bench.plan)
    assert bench.plan.pinned.experts["clip", "c"].is_adapter
    bench.compute("individual", "c")
    assert fetched()["x_c/adapter_model.safetensors"] == ""


def test_what_does_not_fit_is_known_from_the_header(models: Path, tmp_path: Path) -> None:
    save_towers(models / "clip", tmp_path / "remote", TASKS)
    change_tensors(tmp_path / "remote" / "x_b", **{"post_layernorm.bias": torch.zeros(3)})
    with pytest.raises(InputError, match=r"tensor 'post_layernorm.bias' is \[3\]") as error:
        check_inputs(make_plan(study_of(models)))
    assert "expert of task 'b' ('me/x_b')" in str(error.value)
    assert all(part for part in fetched().values())  # no file was fetched as a whole


def test_repositories_out_of_reach(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_towers(models / "clip", tmp_path / "remote", "abg")
    with pytest.raises(InputError, match=r"expert of task 'c' 'me/x_c' is neither a folder nor"):
        make_plan(study_of(models))
    Hub.gated = "x_g"
    with pytest.raises(InputError) as error:
        make_plan(study_of(models, tasks={"a": "g"}))
    assert str(error.value) == (
        "expert of task 'a' 'me/x_g' is gated: ask for access on its page on the hub, and log in "
        "with `hf auth login`."
    )
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"expert of task 'a' 'me/other' .* reachable"):
        find_expert("a", "me/other", None)


def test_other_formats_are_not_loaded(models: Path, tmp_path: Path) -> None:
    save_towers(models / "clip", tmp_path / "remote", TASKS)
    weights = tmp_path / "remote" / "x_a" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(InputError, match=r"expert of task 'a' .* has no model.safetensors\."):
        check_inputs(make_plan(study_of(models)))


def test_weights_in_several_files(models: Path, tmp_path: Path) -> None:
    """As transformers saves large towers."""
    from transformers import CLIPVisionModel

    save_towers(models / "clip", tmp_path / "whole", TASKS)
    for task in TASKS:
        tower = CLIPVisionModel.from_pretrained(tmp_path / "whole" / f"x_{task}")
        tower.save_pretrained(tmp_path / "remote" / f"x_{task}", max_shard_size="10KB")
    assert len(list((tmp_path / "remote" / "x_a").glob("*.safetensors"))) > 1
    found = []
    for path in (
        "me/x_{task}",
        str(tmp_path / "remote" / "x_{task}"),
        str(tmp_path / "whole/x_{task}"),
    ):
        bench = Bench(toy_study(models, ("average",), experts={"path": path}), tmp_path)
        check_inputs(bench.plan)
        bench.compute("average", "a", "b")
        found.append(bench.tower())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert all(torch.equal(found[0][name], found[2][name]) for name in found[0])
