"""Prompts in attention layers and in front of texts, on backbones of all kinds."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from methods.backbones.prompting import Route
from methods.data import Batch, Task
from methods.prompts.attention import Attention
from methods.prompts.base import Pairs, Prefixes, Residuals
from methods.testing.checks import LONGER
from methods.testing.tiny_models import (
    SIZE,
    VOCABULARY,
    save_clip,
    save_llava,
    save_paligemma,
    save_siglip,
)
from methods.testing.toy import Toy
from methods.testing.workbench import Workbench
from tests.methods.opened import bench_of
from tests.methods.shipped import OPTIONS, study_of
from tests.methods.test_conformance import STEERING

MODELS = {
    "clip": save_clip,
    "siglip": save_siglip,
    "llava": save_llava,
    "paligemma": save_paligemma,
}
SIZES = st.integers(1, 4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("prompted")
    return {name: save(folder / name, VOCABULARY) for name, save in MODELS.items()}


@pytest.fixture(params=MODELS)
def backbone(request: pytest.FixtureRequest, folders: dict[str, str]) -> Backbone:
    return load_backbone(folders[request.param]).eval()


def task() -> Task:
    return Toy(num_tasks=1).load().tasks["a"]


def batch(count: int = 4) -> Batch:
    pixels = torch.randint(
        256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Batch(task(), pixels, torch.arange(count) % 3, torch.arange(count))


def some(batch: Batch, ids: Tensor) -> Batch:
    return Batch(batch.task, batch.pixels[ids], batch.labels[ids], batch.ids[ids])


def both_towers(backbone: Backbone) -> list[str]:
    return list(dict.fromkeys(backbone.attention("images") + backbone.attention("texts")))


def drawn(kind: type[Pairs], backbone: Backbone, count: int = 3, values: float = 1.0) -> Pairs:
    prompts = kind(backbone, both_towers(backbone), count, length=2)
    prompts.draw(torch.Generator().manual_seed(1), keys=1.0, values=values)
    return prompts


def found(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attention by its formula, one head of queries [L, d] at a time; mask: who sees what."""
    scores = (query @ key.T * query.shape[-1] ** -0.5).masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1) @ value


class Call:
    """A layer's attention with random input, `groups` heads of queries per head of keys."""

    def __init__(self, seed: int, groups: int, tokens: int, mask: str) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        self.groups, self.tokens = groups, tokens
        self.query, self.key, self.value = draw(2, 2 * groups, tokens, 4), *draw(2, 2, 2, tokens, 4)
        self.prompts = draw(2, 2, 2, 3, 4)
        causal = torch.ones(tokens, tokens, dtype=torch.bool).tril()
        self.seen = torch.ones_like(causal) if mask == "none" else causal
        written = {"none": None, "causal": None, "bool": causal}
        written["float"] = torch.zeros(causal.shape, dtype=torch.float64).masked_fill(
            ~causal, -torch.inf
        )
        given = written[mask]
        self.call = Attention(
            SimpleNamespace(num_key_value_groups=groups),
            self.query,
            self.key,
            self.value,
            None if given is None else given.expand(2, 1, -1, -1),
            {"is_causal": mask != "none"},
        )

    def expected(self, key: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        heads = [
            torch.stack([found(q, k, v, seen) for q in queries])
            for row in range(2)
            for queries, k, v in zip(
                self.query[row].unflatten(0, (2, self.groups)), key[row], value[row], strict=True
            )
        ]
        return torch.cat(heads).unflatten(0, (2, -1)).transpose(1, 2)


CALLS = st.builds(
    Call,
    st.integers(0, 2**31),
    groups=st.integers(1, 2),
    tokens=SIZES,
    mask=st.sampled_from(["none", "causal", "bool", "float"]),
)


@given(CALLS)
def test_prefixes_are_seen_by_all_and_compete_with_what_is_there(call: Call) -> None:
    joined = Prefixes.attend(None, call.call, *call.prompts, torch.ones(1))  # type: ignore[arg-type]
    key, value = (
        torch.cat(pair, dim=2) for pair in zip(call.prompts, (call.key, call.value), strict=True)
    )
    seen = torch.cat([torch.ones(call.tokens, 3, dtype=torch.bool), call.seen], dim=1)
    torch.testing.assert_close(joined, call.expected(key, value, seen))


@given(CALLS, st.floats(0, 1))
def test_residuals_are_attended_to_by_themselves(call: Call, weight: float) -> None:
    weights = torch.tensor([weight, 1.0], dtype=torch.float64).view(-1, 1, 1, 1)
    joined = Residuals.attend(None, call.call, *call.prompts, weights)  # type: ignore[arg-type]
    own = call.expected(call.key, call.value, call.seen)
    added = call.expected(*call.prompts, torch.ones(call.tokens, 3, dtype=torch.bool))
    torch.testing.assert_close(joined, own + weights * added)


def outputs(backbone: Backbone) -> Sequence[Tensor]:
    given = batch()
    with torch.no_grad():
        return (
            backbone.logits(given),
            backbone.loss(given),
            backbone.embed_images(given.pixels),
            backbone.embed_texts(["a red", "green"]),
            backbone.match(given.pixels, ["red", "blue a b"]),
        )


def test_without_a_route_or_without_values_nothing_changes(backbone: Backbone) -> None:
    before = outputs(backbone)
    drawn(Residuals, backbone, values=0.0)
    for route in (None, Route.to(1)):
        backbone.prompting.route = route
        assert all(map(torch.equal, before, outputs(backbone)))


@pytest.mark.parametrize("kind", [Prefixes, Residuals])
def test_prompts_of_the_route_count_and_only_they(backbone: Backbone, kind: type[Pairs]) -> None:
    prompts = drawn(kind, backbone)
    backbone.prompting.route = Route.to(1)
    loss = backbone.loss(batch()).mean()
    loss.backward()
    for parameter in prompts.parameters():
        assert parameter.grad is not None
        assert parameter.grad[1].any()
        assert not parameter.grad[[0, 2]].any()
    backbone.prompting.route = None
    assert not torch.allclose(backbone.loss(batch()).mean(), loss)


def by_brightness(images: Tensor) -> Route:
    """Any rule that sends images different ways, the first one nowhere."""
    order = images[:, :1].argsort(dim=0).argsort(dim=0)
    return Route(order % 3, order.squeeze(1).clamp(max=1).float())


@pytest.mark.parametrize("kind", [Prefixes, Residuals])
def test_every_image_is_answered_by_its_own_prompts_alone(
    backbone: Backbone, kind: type[Pairs]
) -> None:
    """As if it had come by itself, with its prompts given to all layers."""
    drawn(kind, backbone)
    whole = batch()
    numbers, weights = torch.tensor([2, 0, 1, 1]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    if kind is Prefixes:
        weights[:] = 1
    backbone.prompting.router = lambda images: Route(numbers.unsqueeze(1), weights)
    with torch.no_grad():
        logits, fit = backbone.logits(whole), backbone.match(whole.pixels, ["red", "blue a b"])
        embedded = backbone.embed_images(whole.pixels)
        backbone.prompting.router = None
        for i in range(len(whole)):
            backbone.prompting.route = Route.to(int(numbers[i])) if weights[i] else None
            alone = some(whole, torch.tensor([i]))
            torch.testing.assert_close(backbone.logits(alone)[0], logits[i])
            torch.testing.assert_close(backbone.match(alone.pixels, ["red", "blue a b"])[0], fit[i])
            torch.testing.assert_close(backbone.embed_images(alone.pixels)[0], embedded[i])


def test_frozen_texts_answer_as_texts_embedded_anew(backbone: Backbone) -> None:
    drawn(Residuals, backbone)
    backbone.prompting.router = lambda images: Route(
        torch.tensor([[0], [1], [2], [1]]), torch.tensor([1.0, 0.5, 0.0, 1.0])
    )
    with torch.no_grad():
        expected = backbone.logits(batch())
        with backbone.frozen_texts([task()]):
            for _ in range(2):
                torch.testing.assert_close(backbone.logits(batch()), expected)
    assert not torch.allclose(expected[0], expected[1])


@pytest.mark.parametrize("answer", ["score", "generate"])
def test_generated_answers_are_prompted_too(folders: dict[str, str], answer: Any) -> None:
    """Prompts and a context that were trained to say one word make the model say it."""
    backbone = load_backbone(folders["llava"], answer=answer).eval()
    prompts = drawn(Prefixes, backbone, count=1, values=0.1)
    context = nn.Parameter(torch.zeros(2, backbone.token_embedding().embedding_dim))
    backbone.prompting.context, backbone.prompting.route = context, Route.to(0)
    given = Batch(task(), batch().pixels, torch.full((4,), 2), torch.arange(4))
    optimizer = torch.optim.Adam([*prompts.parameters(), context], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        backbone.loss(given).mean().backward()
        optimizer.step()
    assert backbone.predict(given).tolist() == [2] * 4
    backbone.prompting.context = backbone.prompting.route = None
    assert backbone.predict(given).tolist() != [2] * 4


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_context_of_words_reads_as_these_words(folders: dict[str, str], name: str) -> None:
    backbone = load_backbone(folders[name]).eval()
    words = backbone.token_embedding().weight[
        backbone.tokenizer(["green what"], add_special_tokens=False)["input_ids"][0]
    ]
    expected = backbone.embed_texts(["green what red", "green what a blue"])
    backbone.prompting.context = words
    torch.testing.assert_close(backbone.embed_texts(["red", "a blue"]), expected)


@pytest.mark.parametrize("method", ["coop", "l2p", "dualprompt", "diki", "dpw"])
def test_answers_do_not_depend_on_the_batch(models: Path, method: str) -> None:
    bench = bench_of(models, "clip", method, **OPTIONS[method])
    bench.learn(("a", "b"))
    learnt = bench.worker.trainer.method.eval()
    whole = batch(6)
    with torch.no_grad():
        logits = learnt.backbone.logits(whole)
        for i in range(len(whole)):
            alone = some(whole, torch.tensor([i]))
            torch.testing.assert_close(learnt.backbone.logits(alone)[0], logits[i])


@pytest.mark.parametrize("method", STEERING)
def test_fusion_models_with_weights_that_count_learn(
    folders: dict[str, str], method: str, tmp_path: Path
) -> None:
    """Those of the tiny LLaVA are so small that next to nothing of an image gets through."""
    backbone = load_backbone(folders["llava"])
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if backbone.tower(name) != "vision" and weight.ndim == 2:
                weight *= 10
    shutil.copytree(folders["llava"], tmp_path / "llava")
    model: Any = backbone.model
    model.save_pretrained(tmp_path / "llava")
    bench = Workbench(study_of(tmp_path, "llava", training=LONGER), method)
    assert bench.gain(bench.plan.study.benchmark.task_names()) > 0.15


def test_what_cannot_be_prompted_says_so(
    folders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(folders["clip"])
    with pytest.raises(ValueError, match="too few attention layers"):
        Prefixes(backbone, [], 1, 2)
    tower: Any = type(backbone.model.vision_model)
    monkeypatch.setattr(tower, "_can_set_attn_implementation", lambda *_: False)
    with pytest.raises(ValueError, match="CLIPAttention cannot be prompted"):
        Prefixes(backbone, backbone.attention("images"), 1, 2)
