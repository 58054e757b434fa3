"""Features of images: what the frozen tower makes of them, made once, and only where it is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import Tensor

from methods.backbones import Backbone, load_backbone
from methods.base import Method
from methods.baselines.frozen_head import FrozenHead
from methods.baselines.zero_shot import ZeroShot
from methods.data import Batch, Split, Stage
from methods.testing.toy import BACKBONES, toy_study
from methods.testing.workbench import Workbench
from sweep.errors import InputError
from sweep.preview.cost import LANE_START_SECONDS, Cost, estimate_cost, measure_costs
from sweep.preview.preview import make_preview
from sweep.tasks import frozen_features
from sweep.tasks.frozen_features import FrozenFeatures, features_of, sample_pixels, worth_keeping
from sweep.tasks.pixels import Pixels
from tests.sweep.plans import plan_of
from tests.sweep.plans import study_of as planned


@pytest.fixture(scope="module", params=["clip", "llava"])
def backbone(request: pytest.FixtureRequest, models: Path) -> Backbone:
    return load_backbone(models / request.param)


def split_of(count: int, seed: int = 0, side: int = 40) -> Split:
    """Pictures that have to be resized unless their side is 32."""
    random = np.random.default_rng(seed)
    return Split(random.integers(0, 256, (count, side, side, 3), np.uint8), np.zeros(count, int))


def bench_of(models: Path, method: Any, backbone: str = "clip", **changes: Any) -> Workbench:
    sections = {
        "benchmark": BACKBONES[backbone],
        "backbones": {backbone: {"path": str(models / backbone)}},
    }
    return Workbench(toy_study(models, {"one": method}, **sections | changes), "one")


def loaded(bench: Workbench) -> Any:
    """The trainer, with the method loaded."""
    bench.worker.load(list(bench.plan.units.values())[-1])
    return bench.worker.trainer


def test_they_are_what_the_backbone_makes_of_pixels(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_features, "_AT_ONCE", 2)  # several parts, the last one smaller
    split = split_of(5)
    features = FrozenFeatures(split, backbone.train(), tmp_path, "key")
    assert (len(features), features.missing) == (5, 5)
    numbers = torch.tensor([4, 0, 4])
    given, pixels = features[numbers], Pixels(split, backbone, tmp_path, "key")[numbers]
    assert features.missing == 0
    assert backbone.training
    for embed in (backbone.eval().embed_images, backbone.untouched, backbone.query):
        assert torch.allclose(embed(given), embed(pixels), atol=1e-6)
    assert torch.allclose(
        backbone.match(given, ["red"]), backbone.match(pixels, ["red"]), atol=1e-5
    )


def test_the_second_to_ask_finds_them_and_needs_no_pixels(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FrozenFeatures(split_of(3), backbone, tmp_path, "key")[torch.arange(3)]
    monkeypatch.setattr(frozen_features, "features_of", None)
    monkeypatch.setattr(frozen_features, "Pixels", None)
    again = FrozenFeatures(split_of(3), backbone, tmp_path, "key")
    assert again.missing == 0
    assert torch.equal(again[torch.arange(3)], first)


def test_weights_in_bfloat16_have_features_in_bfloat16(models: Path, tmp_path: Path) -> None:
    backbone = load_backbone(models / "llava").to(torch.bfloat16)
    split = split_of(2, side=32)
    given = FrozenFeatures(split, backbone, tmp_path, "key")[torch.arange(2)]
    assert given.dtype == torch.bfloat16
    assert torch.equal(
        given, features_of(backbone, torch.tensor(split.pictures).permute(0, 3, 1, 2))
    )


def test_images_in_memory_identify_themselves(backbone: Backbone, tmp_path: Path) -> None:
    """Two contents under one key, as of data that changed, have features of their own."""
    one, other = (
        FrozenFeatures(split_of(2, seed, side=32), backbone, tmp_path, "key") for seed in (0, 1)
    )
    assert not torch.equal(one[torch.arange(2)], other[torch.arange(2)])


def test_who_does_not_wait_comes_back_later(backbone: Backbone, tmp_path: Path) -> None:
    features = FrozenFeatures(split_of(2), backbone, tmp_path, "key")
    with FileLock(features._file.with_suffix(".lock")):
        assert not features.prepare(waits=False)
        assert features.missing == 2
    assert features.prepare(waits=False)


def test_a_full_disk_is_an_error_in_one_sentence(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FrozenFeatures(split_of(2, side=32), backbone, tmp_path, "key")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=9))
    with pytest.raises(InputError, match=r"2 image features take .* 9 B left"):
        features.prepare()


def test_large_features_are_not_worth_their_room(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worth_keeping(backbone)
    size = features_of(backbone, sample_pixels(backbone)).nbytes / sample_pixels(backbone).nbytes
    monkeypatch.setattr(frozen_features, "_LARGEST", 0.99 * size)
    assert not worth_keeping(backbone)


def test_a_tower_with_dropout_reads_pixels(models: Path) -> None:
    backbone = load_backbone(models / "clip")
    assert worth_keeping(backbone)
    for layer in backbone.model.vision_model.encoder.layers:
        layer.self_attn.dropout = 0.1
    assert not worth_keeping(backbone)


class Looks(FrozenHead):
    """Looks at pixels itself."""

    reads_pixels = True


class Hooked(FrozenHead):
    """Puts something on the image tower that trains nothing."""

    def build(self) -> None:
        """Hook a layer."""
        super().build()
        tower = self.backbone.model.vision_model
        tower.register_forward_hook(lambda *_: None)


class Closed(ZeroShot):
    """Changes the image tower without saying so."""

    depends_on = "sequence"

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """None."""
        return ()

    def after_task(self, stage: Stage) -> None:
        """Change a weight that `trainable` does not name."""
        with torch.no_grad():
            self.backbone.model.visual_projection.weight.mul_(2)

    def loss(self, batch: Batch) -> Tensor:
        """There is none."""
        raise TypeError


def outside(kind: type[Method]) -> dict[str, str]:
    return {"method": f"{kind.__module__}:{kind.__name__}"}


def test_who_reads_pixels_or_changes_the_tower_is_given_pixels(models: Path) -> None:
    assert loaded(bench_of(models, {"method": "frozen_head"})).sees_features
    assert not loaded(bench_of(models, outside(Looks))).sees_features
    assert not loaded(bench_of(models, outside(Hooked))).sees_features
    assert Method.reads_pixels  # of methods from outside nothing is known


def test_a_tower_that_changes_after_all_is_an_error(models: Path) -> None:
    bench = bench_of(models, outside(Closed))
    unit = next(unit for unit in bench.plan.units.values() if unit.kind == "train")
    with pytest.raises(ValueError, match=r"Closed has changed 'model\.visual_projection\.weight'"):
        bench.worker.compute(replace(unit, evaluation=""), dict)


def test_random_crops_are_of_pixels(models: Path) -> None:
    training = {"steps": 2, "batch_size": 8, "crop": [0.5, 0.9]}
    trainer = loaded(bench_of(models, {"method": "coop"}, training=training))
    task = trainer.benchmark.tasks["a"]
    assert isinstance(trainer.images("train", task), Pixels)
    assert isinstance(trainer.images("test", task), FrozenFeatures)


@pytest.mark.parametrize(("method", "backbone"), [("coop", "clip"), ("lora", "llava")])
def test_the_tower_sees_every_image_once(
    models: Path, method: str, backbone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever is trained and evaluated; diagnostics that mask pixels get pixels."""
    bench = bench_of(
        models, {"method": method}, backbone, evaluation={"diagnostics": ["cka", "modality"]}
    )
    bench.worker.cache = tmp_path
    trainer = loaded(bench)
    benchmark, seen = trainer.benchmark, []
    read = trainer.backbone._image_inputs
    monkeypatch.setattr(
        trainer.backbone, "_image_inputs", lambda pixels: seen.append(len(pixels)) or read(pixels)
    )
    bench.learn(("a", "b"))
    # CKA saw the test images of tasks before; captions are of those of the first one.
    unseen = [task.test for task in benchmark.probes.values() if task.kind != "pairs"]
    unseen += [benchmark.tasks[name].train for name in "ab"]
    counts = [count for count in seen if count > 1]  # one of noise says the shape
    assert sum(counts) == sum(len(split.pictures) for split in unseen)
    assert {"cka", "modality"} <= {
        row["split"] for result in bench.learn(("a",)).values() for row in result.record.scores
    } | ({"modality"} if backbone == "clip" else set())


def test_masked_pixels_are_still_masked(models: Path) -> None:
    bench = bench_of(models, {"method": "coop"}, evaluation={"diagnostics": ["mm_shap"]})
    (result, *_) = bench.learn(("a",)).values()
    shares = [r["value"] for r in result.record.scores if r["split"] == "mm_shap"]
    assert any(0 < share < 1 for share in shares)


def test_the_plan_says_for_which_methods(models: Path, tmp_path: Path) -> None:
    study = toy_study(models, {name: {} for name in ("finetune", "coop", "rail")})
    costs = {("clip", name): Cost(1.0, 1.0, 1) for name in study.methods}
    seeing = replace(costs["clip", "coop"], seconds_of_features=0.0)
    costs |= {("clip", name): seeing for name in ("coop", "rail")}
    shown = make_preview(study, out=str(tmp_path), measured=costs)
    assert "Features of images are computed once for coop, rail." in shown.sentence()
    nothing = {("clip", name): Cost(1.0, 1.0, 1) for name in study.methods}
    assert "Features" not in make_preview(study, out=str(tmp_path), measured=nothing).sentence()


def test_features_count_once_in_the_forecast() -> None:
    """Methods of one backbone share them, and lanes make them side by side."""
    plan = plan_of(planned([("a", "b")], ["finetune", "er"], training={"steps": 10}))
    cost = Cost(1.0, 5.0, 100)
    plain = estimate_cost(plan, {}, {("clip", m): cost for m in plan.study.methods}, 2).seconds
    seeing = replace(cost, seconds_of_features=60.0)
    costs = {("clip", m): seeing for m in plan.study.methods}
    assert estimate_cost(plan, {}, costs, 2).seconds == pytest.approx(plain + 60 / 2)
    assert plain > LANE_START_SECONDS


def test_measured_costs_are_without_features(models: Path, tmp_path: Path) -> None:
    """They are made before the clock of a stage runs; what is left of them is told apart."""
    bench = bench_of(models, {"method": "rail", "width": 16})
    costs = measure_costs(bench.plan)
    left = costs["clip", "one"].seconds_of_features
    assert left is not None
    assert (
        measure_costs(bench_of(models, {"method": "finetune"}).plan)[
            "clip", "one"
        ].seconds_of_features
        is None
    )


def embedded_texts(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the texts that go through the text tower from now on."""
    backbone, read = loaded(bench).backbone, []
    embed = backbone._embed_tokens
    monkeypatch.setattr(
        backbone, "_embed_tokens", lambda ids: read.append(len(ids["input_ids"])) or embed(ids)
    )
    return read


def test_texts_that_nothing_changes_are_embedded_once(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(models, {"method": "rail", "width": 16})
    read = embedded_texts(bench, monkeypatch)
    first = [result.record.scores for result in bench.learn(("a", "b")).values()]
    count = len(read)
    assert count > 0
    assert [result.record.scores for result in bench.learn(("a", "b")).values()] == first
    assert len(read) == count


@pytest.mark.parametrize("method", ["coop", "finetune", "diki", "moe_adapters"])
def test_texts_that_change_are_embedded_anew(
    models: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(models, {"method": method})
    read, evaluator = embedded_texts(bench, monkeypatch), bench.worker.evaluator
    assert not bench.worker.trainer.backbone.keeps_texts
    evaluator.evaluate()
    count = len(read)
    evaluator.evaluate()
    assert len(read) == 2 * count


def test_kept_texts_go_when_their_tower_changes(models: Path) -> None:
    """A method may write weights that it trains nowhere."""
    bench = bench_of(models, {"method": "frozen_head"})
    backbone = loaded(bench).backbone.eval()
    task = bench.worker.benchmark.tasks["a"]
    assert backbone.keeps_texts
    with backbone.frozen_texts([task]):
        before = backbone.embed_texts(backbone.texts(task))
    with torch.no_grad():
        backbone.model.text_projection.weight.add_(torch.randn(16, 32))
    with backbone.frozen_texts([task]):
        after = backbone.embed_texts(backbone.texts(task))
    assert not torch.allclose(before, after)
    assert torch.equal(after, backbone.embed_texts(backbone.texts(task)))
