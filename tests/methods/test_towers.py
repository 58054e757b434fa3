"""`towers`: which parts of a backbone learn, and at which rates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from methods.backbones.base import Tower
from methods.testing import Workbench, tiny_models
from methods.testing.toy import STEPS, toy_study
from methods.testing.trained import LABEL, study_of
from methods.testing.workbench import state_in
from sweep import InputError, file_digests, make_plan
from sweep.measuring.checking import check_prompts, check_towers
from sweep.stage.steps.optimising import adamw


def bench_of(method: str, towers: Any, backbone: str = "clip", /, **options: Any) -> Workbench:
    """Returns a workbench of a method that learns in these towers."""
    training = STEPS | {"towers": towers}
    return Workbench(study_of(method, options, backbone, training=training), LABEL)


def moves(bench: Workbench) -> dict[Tower, float]:
    """Returns the furthest that a weight of the backbone has gone in the first task, by tower."""
    first = bench.units(("a",))[0]
    bench.worker.load(first)
    method = bench.worker.trainer.method
    before = {name: weight.detach().clone() for name, weight in method.named_parameters()}
    state = state_in(bench.worker.compute(first, lambda _: {}))
    far: dict[Tower, float] = {}
    for name, weight in before.items():
        if name.startswith("backbone."):
            tower = method.backbone.tower(name.removeprefix("backbone."))
            moved = float((state.get(f"weights/{name}", weight) - weight).abs().max())
            far[tower] = max(far.get(tower, 0.0), moved)
    return far


@pytest.mark.parametrize(
    ("backbone", "towers", "moved"),
    [
        ("clip", None, {"vision", "text"}),
        ("clip", ["vision"], {"vision"}),
        ("clip", ["text"], {"text"}),
        ("llava", None, {"text", "joint"}),
        ("llava", ["joint"], {"joint"}),
        ("llava", ["vision", "text", "joint"], {"vision", "text", "joint"}),
    ],
)
def test_only_the_towers_named_move(
    backbone: str, towers: list[Tower] | None, moved: set[Tower]
) -> None:
    far = moves(bench_of("finetune", towers, backbone))
    assert {tower for tower, distance in far.items() if distance > 0} == moved


def test_a_tower_learns_at_its_own_rate() -> None:
    """With one step of Adam weights move by the learning rate, whatever the gradient."""
    training = STEPS | {"steps": 1, "towers": {"vision": 0.1, "text": 1}}
    far = moves(Workbench(study_of("finetune", {}, "clip", training=training), LABEL))
    assert far["vision"] == pytest.approx(3e-4, rel=1e-2)
    assert far["text"] == pytest.approx(3e-3, rel=1e-2)
    assert far["joint"] == 0


def test_factors_of_one_are_the_study_without_them() -> None:
    """A list of all towers of a model trains the same weights by the same steps, bit for bit."""
    plain = Workbench(study_of("finetune", {}, "clip"), LABEL)
    named = bench_of("finetune", ["vision", "text"])
    one, other = (bench.learn(("a", "b")) for bench in (plain, named))
    for mine, yours in zip(one.values(), other.values(), strict=True):
        for name, tensor in state_in(mine).items():
            assert torch.equal(tensor, state_in(yours)[name])


def test_rates_of_a_method_s_own_weights_are_whole() -> None:
    bench = bench_of("l2p", {"vision": 0.5})
    bench.worker.load(bench.units(("a",))[0])
    (group,) = adamw(bench.worker.trainer.method, {"vision": 0.5}, 0.0).param_groups
    assert group["lr"] == 1.0
    lora = bench_of("lora", {"vision": 0.5, "text": 0.25})
    lora.worker.load(lora.units(("a",))[0])
    optimizer = adamw(lora.worker.trainer.method, {"vision": 0.5, "text": 0.25}, 0.0)
    LambdaLR(optimizer, lambda _: 1e-2)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.25e-2, 0.5e-2]


@pytest.mark.parametrize("method", ["finetune", "lora", "l2p", "frozen_head"])
def test_only_matrices_of_the_backbone_decay(method: str) -> None:
    """Those of linear layers, embeddings and adapters; no norm, bias, prompt or head."""
    bench = bench_of(method, {"vision": 0.5, "text": 1.0})
    bench.worker.load(bench.units(("a",))[0])
    learner = bench.worker.trainer.method
    names = {id(weight): name for name, weight in learner.named_parameters()}
    groups = adamw(learner, {"vision": 0.5}, 0.1).param_groups
    decays = {names[id(w)]: group["weight_decay"] for group in groups for w in group["params"]}
    assert decays.keys() == set(learner.trainable())
    vectors = ("norm", "bias", "class_embedding")
    for name, decay in decays.items():
        is_matrix = name.startswith("backbone.") and not any(part in name for part in vectors)
        assert decay == (0.1 if is_matrix else 0.0), name
    assert {0.0, 0.1} >= set(decays.values())


def test_weights_that_decay_shrink_and_others_do_not() -> None:
    """At a gradient of zero AdamW multiplies by 1 - rate * decay, and nothing else moves."""
    bench = bench_of("finetune", ["vision", "text"])
    bench.worker.load(bench.units(("a",))[0])
    learner = bench.worker.trainer.method
    before = {name: weight.detach().clone() for name, weight in learner.named_parameters()}
    optimizer = adamw(learner, {}, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    weights = dict(learner.named_parameters())
    for name in learner.trainable():
        factor = 0.999 if weights[name].dim() > 1 else 1.0
        torch.testing.assert_close(weights[name].detach(), before[name] * factor)


def test_a_method_s_own_towers_come_before_the_study_s() -> None:
    far = moves(bench_of("finetune", ["vision"], towers=["text"]))
    assert far["text"] > 0
    assert far["vision"] == 0


def keys_of(**settings: Any) -> set[str]:
    """Returns the keys of all trainings of a study."""
    plan = make_plan(toy_study(tiny_models(), **settings))
    return {unit.key for unit in plan.units.values() if unit.kind == "train"}


def test_keys_know_towers_and_factors() -> None:
    plain = keys_of()
    vision = keys_of(training=STEPS | {"towers": ["vision"]})
    slow = keys_of(training=STEPS | {"towers": {"vision": 0.5}})
    own = keys_of(methods={"finetune": {"towers": ["vision"]}})
    assert len(plain | vision | slow | own) == len(plain) * 4
    assert keys_of(training=STEPS | {"towers": {"vision": 1}}) == vision


@pytest.mark.parametrize(
    ("towers", "sentence"),
    [
        ([], "training.towers"),
        (["image"], "training.towers: must be 'vision', 'text' or 'joint', got 'image'."),
        ({"vision": 0}, "vision"),
        ({"vision": "fast"}, "vision"),
    ],
)
def test_wrong_towers_are_named(towers: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        toy_study(tiny_models(), training=STEPS | {"towers": towers})


@pytest.mark.parametrize(
    ("backbone", "methods", "training", "sentence"),
    [
        (
            "clip",
            {"coop": {}},
            {"towers": ["vision"]},
            "method 'coop' learns in text only, on backbone 'm', and towers names vision; add "
            "text, or leave the method out.",
        ),
        ("clip", {"l2p": {}}, {"towers": ["text"]}, "method 'l2p' learns in vision only"),
        (
            "clip",
            {"finetune": {}},
            {"towers": ["joint"]},
            "learns in text and vision only.* names joint",
        ),
        ("llava", {"diki": {}}, {"towers": ["vision"]}, "method 'diki' learns in text only"),
        ("llava", {"lora": {}}, {"towers": ["joint"]}, "add text or vision, or leave"),
        (
            "clip",
            {"rail": {"towers": ["vision"]}},
            {},
            "method 'rail' learns in no tower; leave out its option towers.",
        ),
    ],
)
def test_nothing_to_learn_is_said(
    backbone: str, methods: Mapping[str, Any], training: Mapping[str, Any], sentence: str
) -> None:
    study = toy_study(tiny_models(), methods, training=STEPS | training)
    family = "fusion" if backbone == "llava" else "dual-encoder"
    with pytest.raises(InputError, match=sentence):
        check_towers(study, "m", family)


@pytest.mark.parametrize(
    ("backbone", "methods", "towers"),
    [
        ("clip", {"rail": {}, "frozen_head": {}, "zero_shot": {}}, ["vision"]),
        ("clip", {"diki": {}, "lora": {}, "moe_adapters": {}}, ["text"]),
        ("llava", {"finetune": {}}, ["joint"]),
        ("llava", {"lora": {}, "osf": {}, "adapter": {}}, ["vision"]),
    ],
)
def test_what_learns_there_or_nowhere_is_let_through(
    backbone: str, methods: Mapping[str, Any], towers: list[Tower]
) -> None:
    study = toy_study(tiny_models(), methods, training=STEPS | {"towers": towers})
    check_towers(study, "m", "fusion" if backbone == "llava" else "dual-encoder")


def test_what_was_let_through_with_other_towers_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a study's prompts were checked is remembered, and says nothing of other towers."""
    monkeypatch.setattr(file_digests, "MEMORY", tmp_path / "digests.sqlite")
    for towers in (["text"], ["vision"], ["text", "vision"]):
        training = STEPS | {"towers": towers}
        plan = make_plan(toy_study(tiny_models(), {"coop": {"length": 1}}, training=training))
        if towers == ["vision"]:
            with pytest.raises(InputError, match="'coop' learns in text only"):
                check_prompts(plan.study, plan.pinned.sources)
        else:
            check_prompts(plan.study, plan.pinned.sources)
