"""Properties of gated prefixes, and of the gates that DPW closes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import linear

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from methods.backbones.prompting import Route
from methods.prompts.gates import SHUT, GatedPrefixes
from methods.testing.tiny_models import VOCABULARY, save_clip, save_paligemma
from methods.testing.workbench import states_in
from tests.methods.opened import about_to_learn, asked, bench_of

MODELS = {"clip": save_clip, "paligemma": save_paligemma}
"""A tower whose heads have keys of their own, and a language model whose heads share them."""


@pytest.fixture(params=MODELS)
def backbone(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    return load_backbone(MODELS[request.param](tmp_path / "model", VOCABULARY)).eval()


def prefixes_in(
    backbone: Backbone, heads: int | None = None, length: int = 3
) -> tuple[GatedPrefixes, Any]:
    """In the first layer that reads texts, with all that is trained moved at random."""
    name = backbone.attention("texts")[0]
    prefixes = GatedPrefixes(backbone, [name], length=length, heads=heads, width=4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in prefixes.parameters():
            part += torch.randn(part.shape, generator=generator)
    return prefixes, backbone.get_submodule(name)


class Seen:
    """What a layer reads in a forward pass, and what it makes of it before its last projection."""

    def __init__(self, backbone: Backbone, layer: Any, texts: list[str]) -> None:
        def keep(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
            self.reads: Tensor = arguments[0] if arguments else named["hidden_states"]

        def keep_last(_: Any, arguments: tuple[Tensor]) -> None:
            self.gives = arguments[0]

        last = getattr(layer, "out_proj", None) or layer.o_proj
        hooks = [
            layer.register_forward_pre_hook(keep, with_kwargs=True),
            last.register_forward_pre_hook(keep_last),
        ]
        model: Any = backbone.model
        tokens = torch.tensor([backbone.tokenizer(text)["input_ids"] for text in texts])  # type: ignore[operator]
        tower = getattr(model, "text_model", None) or model.model.language_model
        with torch.no_grad():
            tower(input_ids=tokens)
        for hook in hooks:
            hook.remove()


def by_the_formula(prefixes: GatedPrefixes, layer: Any, x: Tensor) -> Tensor:
    """What the prefixes add for one token x [D], head by head and prefix by prefix: [H d]."""
    part = {name: tensor[0] for name, tensor in prefixes.layers[0].named_parameters()}
    down = torch.linalg.svd(layer.v_proj.weight)[2][: len(part["up"])]
    adapted = linear(linear(x, down), part["up"].T, part["up_bias"][0])
    heads, _, length = part["directions"].shape
    found = []
    for h in range(heads):
        opened = [
            float(torch.sigmoid(x @ part["directions"][h, :, m] + part["offsets"][h, 0, m]))
            for m in range(length)
        ]
        most = max(1.0, sum(opened))
        given = sum(opened[m] / most * part["values"][h, m] for m in range(length))
        found.append(given + 0.05 * (most - 1) * adapted.chunk(heads)[h])
    return torch.cat(found)


@pytest.mark.parametrize("heads", [None, 1, 4])
def test_gated_prefixes_are_added_by_the_formula(backbone: Backbone, heads: int | None) -> None:
    prefixes, layer = prefixes_in(backbone, heads)
    # Signs of singular vectors are free, but the rows of W_up go with them.
    with torch.no_grad():
        down = torch.linalg.svd(layer.v_proj.weight)[2][:4]
        agree = (down @ prefixes.get_buffer("down0")).diagonal()
        torch.testing.assert_close(agree.abs(), torch.ones(4))
        own = Seen(backbone, layer, ["red a", "blue green"])
        backbone.prompting.route = Route(torch.tensor([[0], [0]]), torch.tensor([1.0, 0.5]))
        seen = Seen(backbone, layer, ["red a", "blue green"])
        dict(prefixes.layers[0].named_parameters())["up"].mul_(agree.sign()[:, None])
        for row, weight in ((0, 1.0), (1, 0.5)):
            for token in range(seen.reads.shape[1]):
                added = by_the_formula(prefixes, layer, seen.reads[row, token])
                expected = own.gives[row, token] + weight * added
                torch.testing.assert_close(seen.gives[row, token], expected, rtol=1e-4, atol=1e-4)


def test_start_takes_the_directions_in_which_a_layer_compares_its_inputs(
    backbone: Backbone,
) -> None:
    name = backbone.attention("texts")[0]
    layer: Any = backbone.get_submodule(name)
    prefixes = GatedPrefixes(backbone, [name], length=2, heads=2, width=4)
    part = {name: tensor[0] for name, tensor in prefixes.layers[0].named_parameters()}
    heads = layer.q_proj.out_features // layer.head_dim
    groups = heads * layer.head_dim // layer.k_proj.out_features
    compared = sum(
        layer.q_proj.weight[h * layer.head_dim :][: layer.head_dim].T
        @ layer.k_proj.weight[h // groups * layer.head_dim :][: layer.head_dim]
        for h in range(heads)
    )
    directions = part["directions"].transpose(0, 1).flatten(1)
    lengths = (directions.T @ compared).norm(dim=1)
    torch.testing.assert_close(lengths, torch.linalg.svdvals(compared)[:4], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(directions.T @ directions, torch.eye(4), rtol=0, atol=1e-4)
    shut = SHUT["texts" if backbone.family == "dual-encoder" else "images"]
    assert (part["offsets"] == shut).all()


def test_next_to_nothing_changes_before_training(models: Path) -> None:
    bench = bench_of(models, "clip", "dpw")
    dpw, _ = about_to_learn(bench, "a")
    pixels = asked(bench, "a").pixels
    with torch.no_grad():
        changed, plain = dpw.backbone.embed_images(pixels), dpw.backbone.untouched(pixels)
    assert not torch.equal(changed, plain)
    assert (changed * plain).sum(dim=1).min() > 0.98


def test_more_prefixes_than_inputs_share_directions(models: Path) -> None:
    dpw, _ = about_to_learn(bench_of(models, "clip", "dpw", length=64), "a")
    assert dpw.prompts.layers[0].directions.isfinite().all()


def test_heads_must_divide_what_a_layer_gives(models: Path) -> None:
    with pytest.raises(ValueError, match="3 heads cannot divide a layer's 32 outputs"):
        about_to_learn(bench_of(models, "clip", "dpw", heads=3), "a")


def test_statistics_are_those_of_the_first_token_of_all_training_images(models: Path) -> None:
    bench = bench_of(models, "clip", "dpw", lr=0.05)
    dpw, stage = about_to_learn(bench, "a")
    images = set(dpw.backbone.attention("images"))
    names = [name for name in dpw.layers(dpw.config.depth) if name in images]
    reads: dict[str, Tensor] = {}
    for name in names:
        dpw.backbone.get_submodule(name).register_forward_pre_hook(
            lambda _, __, named, name=name: reads.update({name: named["hidden_states"]}),
            with_kwargs=True,
        )
    dpw.after_task(stage)
    with torch.no_grad():
        dpw.backbone.embed_images(stage.tasks["a"].batch(torch.arange(96)).pixels)
    for number, name in enumerate(names):
        part = dict(dpw.prompts.layers[number].named_parameters())
        scores = torch.einsum("bd,hdm->bhm", reads[name][:, 0], part["directions"][0])
        scores += part["offsets"][0, :, 0]
        state = dpw.state()
        torch.testing.assert_close(state[f"extra/layers.{number}.mean"][0], scores.mean(dim=0))
        variance = scores.var(dim=0, unbiased=False).clamp(min=1e-6)
        torch.testing.assert_close(
            state[f"extra/layers.{number}.variance"][0], variance, rtol=1e-2, atol=1e-6
        )


def test_fusion_backbones_have_no_statistics(models: Path) -> None:
    (state,) = states_in(bench_of(models, "llava", "dpw").learn(("a",))).values()
    assert {name for name in state if name.startswith("extra/")} == {
        "extra/mean",
        "extra/covariance",
    }


def test_images_that_are_not_sure_keep_the_gates_that_their_first_token_speaks_for() -> None:
    mean, variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.09, 4.0]])
    scores = torch.tensor([[[[0.6, 3.0], [2.0, 2.0], [-3.0, 0.0]]]])
    gates = scores.sigmoid()
    part = {"mean": mean, "variance": variance, "sure": torch.tensor([[0.7]])}

    def trusted(weight: float) -> Tensor:
        given = torch.full((1, 1, 1, 1), weight)
        return GatedPrefixes._trusted(None, gates, scores, part, given)  # type: ignore[arg-type]

    density = norm(mean, variance.sqrt()).logpdf(scores[0, 0, 0])
    doubt = 1 - torch.sigmoid(torch.tensor(density)).float()
    expected = gates > doubt[:, None]
    assert expected.any()
    assert not expected.all()
    assert torch.equal(trusted(0.69), expected)
    assert trusted(0.71).all()


def test_most_images_of_a_task_are_surely_of_it(models: Path) -> None:
    bench = bench_of(models, "clip", "dpw", lr=0.05)
    bench.learn(("a", "b", "c"))
    dpw = bench.worker.trainer.method
    for number, name in enumerate("abc"):
        images = dpw.backbone.query(asked(bench, name).pixels)
        route, held = dpw.choose(images), dpw.prompts.held[0]  # type: ignore[operator,union-attr]
        assert (route.weight >= held["sure"][number]).double().mean() > 0.6
