"""Where L2-SP pulls to."""

from pathlib import Path

from methods.backbones import load_backbone
from tests.methods.opened import about_to_learn, bench_of
from tests.methods.test_penalty import added, agree


def test_pulls_to_the_pretrained_weights(models: Path) -> None:
    bench = bench_of(models, "clip", "l2_sp", towards="pretrained", strength=3.0)
    l2_sp, _ = about_to_learn(bench, "a", "b")
    pretrained = load_backbone(str(models / "clip"))
    parameters = dict(pretrained.named_parameters())
    ways = [
        3 * (weight.detach() - parameters[name])
        for name, weight in zip(pretrained.trainable(), l2_sp.weights, strict=True)
    ]
    assert agree(added(l2_sp), ways)


def test_pulls_an_adapter_to_nothing(models: Path) -> None:
    """Where B A = 0 the backbone is the pretrained one."""
    options = {"towards": "pretrained", "strength": 3.0, "lora": {"rank": 2}}
    l2_sp, _ = about_to_learn(bench_of(models, "clip", "l2_sp", **options), "a", "b")
    ways = [3 * weight.detach() for weight in l2_sp.weights]
    assert agree(added(l2_sp), ways)
