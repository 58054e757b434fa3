"""Properties of gradient projection onto the null space of earlier tasks' inputs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from methods.backbones.dual_encoder import DualEncoder
from methods.regularisation.gnsp import null_space
from methods.testing.toy import BACKBONES
from methods.testing.workbench import Workbench
from methods.tools.layer_inputs import input_grams, some_batches
from methods.tools.low_rank import LoraOptions
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients, learn_a_little

SEEDS = st.integers(0, 2**31)
SHARES = [0.5, 0.3, 0.12, 0.05, 0.03]
"""Of five directions in the sum of eigenvalues."""


def directions(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn((5, 5), generator=generator, dtype=torch.float64))[0]


@given(SEEDS, st.sampled_from([(0.02, 0), (0.04, 1), (0.15, 2), (0.21, 3), (0.6, 4), (1.0, 4)]))
def test_free_directions_hold_less_than_their_share(seed: int, rule: tuple[float, int]) -> None:
    share, free = rule
    basis = directions(seed)
    projection = null_space(7 * basis @ torch.diag(torch.tensor(SHARES).double()) @ basis.T, share)
    own = basis[:, 5 - free :]
    torch.testing.assert_close(projection, own @ own.T)


@given(SEEDS)
def test_projection_is_one(seed: int) -> None:
    rows = directions(seed)[:3]
    projection = null_space(rows.T @ rows, 0.15)
    torch.testing.assert_close(projection, projection.T)
    torch.testing.assert_close(projection @ projection, projection)
    torch.testing.assert_close(rows @ projection, torch.zeros_like(rows))


@pytest.fixture(params=[*BACKBONES, "lora"])
def bench(request: pytest.FixtureRequest, models: Path) -> Workbench:
    if request.param == "lora":
        return bench_of(models, "clip", "gnsp", lora=LoraOptions(rank=4).model_dump())
    return bench_of(models, request.param, "gnsp")


def test_projected_gradients_leave_what_was_learnt(bench: Workbench) -> None:
    gnsp, stage = about_to_learn(bench, "a", "b")
    gradients(gnsp, gnsp.loss(batch_of(stage)))
    gnsp.after_backward()
    weights = dict(gnsp.named_parameters())
    assert gnsp.projected
    for layer, name in gnsp.projected.items():
        gram, step = gnsp.grams[layer], weights[name].grad
        assert step is not None
        assert step.any()
        free = null_space(gram, 0.15)
        # Inputs outside of the null space keep their outputs whatever the length of the step.
        inputs = torch.randn(8, len(gram)) @ (torch.eye(len(gram)) - free)
        assert (inputs @ step.T).abs().max() < 1e-4 * inputs.norm() * step.norm()
        assert torch.trace(free @ gram) <= 0.15 * torch.trace(gram)


def moved_by(bench: Workbench, *prefix: str) -> set[str]:
    """Names of the weights that the last task of `prefix` moves."""
    gnsp, _ = about_to_learn(bench, *prefix)
    start = {name: weight.detach().clone() for name, weight in gnsp.named_parameters()}
    bench.learn(prefix)
    return {name for name, now in gnsp.named_parameters() if not torch.equal(now, start[name])}


def test_only_projected_weights_move_from_the_second_task_on(bench: Workbench) -> None:
    moved = moved_by(bench, "a", "b")
    assert moved == set(bench.worker.trainer.method.projected.values())


@pytest.mark.parametrize("lora", [None, LoraOptions(rank=4).model_dump()])
def test_layers_of_the_paper(models: Path, lora: dict[str, Any] | None) -> None:
    """Both layers of every MLP of the image tower, and its last projection, are trained alone."""
    gnsp, stage = about_to_learn(
        bench_of(models, "clip", "gnsp", layers="mlp", lora=lora), "a", "b"
    )
    blocks = len(gnsp.backbone.model.vision_model.encoder.layers)
    names = {name.rpartition(".")[2] for name in gnsp.projected}
    assert names == ({"fc1", "fc2"} if lora else {"fc1", "fc2", "visual_projection"})
    assert len(gnsp.projected) == 2 * blocks + (lora is None)
    assert set(gnsp.grams) == set(gnsp.projected)
    before = {name: weight.clone() for name, weight in gnsp.named_parameters()}
    learn_a_little(gnsp, stage)
    moved = {name for name, weight in gnsp.named_parameters() if (weight != before[name]).any()}
    assert moved == set(gnsp.projected.values())


def test_layers_of_the_paper_have_to_be_there(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else nothing would be trained from the second task on."""
    whole = DualEncoder.adapted
    monkeypatch.setattr(
        DualEncoder, "adapted", lambda self: [name for name in whole(self) if ".mlp." not in name]
    )
    with pytest.raises(ValueError, match="no part called mlp; choose layers: all"):
        about_to_learn(bench_of(models, "clip", "gnsp", layers="mlp"), "a")


def test_weight_decay_moves_no_frozen_weight(models: Path) -> None:
    study = bench_of(models, "clip", "gnsp").plan.study
    training = study.training.model_copy(update={"weight_decay": 0.1})
    bench = Workbench(study.model_copy(update={"training": training}), "gnsp")
    moved = moved_by(bench, "a", "b")
    assert moved == set(bench.worker.trainer.method.projected.values())


def test_first_task_moves_everything_again(bench: Workbench) -> None:
    bench.learn(("a", "b"))
    moved, gnsp = moved_by(bench, "b"), bench.worker.trainer.method
    assert moved > set(gnsp.projected.values())
    assert len(moved) > 0.8 * len(gnsp.trainable())


def hooks(method: nn.Module) -> Iterator[Any]:
    for module in method.modules():
        yield from module._forward_pre_hooks.values()


def test_grams_are_of_the_inputs_of_all_batches(bench: Workbench) -> None:
    gnsp, stage = about_to_learn(bench, "a", "b")
    batches = [batch_of(stage, step) for step in range(2)]
    seen: dict[str, list[Tensor]] = {layer: [] for layer in gnsp.projected}
    watching = [
        gnsp.backbone.get_submodule(layer).register_forward_pre_hook(
            lambda _, inputs, rows=rows: rows.append(inputs[0].detach().flatten(0, -2))
        )
        for layer, rows in seen.items()
    ]
    grams = gnsp.input_grams(batches)
    for hook in watching:
        hook.remove()
    for layer, rows in seen.items():
        everything = torch.cat(rows)
        assert len(everything) >= 2 * len(batches[0])
        torch.testing.assert_close(grams[layer], everything.T @ everything, rtol=1e-3, atol=1e-3)


def test_every_task_adds_as_much_to_the_grams(bench: Workbench) -> None:
    gnsp, stage = about_to_learn(bench, "a", "b")
    before = dict(gnsp.grams)
    gnsp.after_task(stage)
    for layer, gram in gnsp.grams.items():
        assert before[layer].norm() == pytest.approx(1, rel=1e-4)
        assert (gram - before[layer]).norm() == pytest.approx(1, rel=1e-4)
    assert not list(hooks(gnsp))
    assert gnsp.training


def test_layers_with_the_same_inputs_have_one_matrix(bench: Workbench) -> None:
    """Queries, keys and values; gate and up projections of a LLaMA."""
    gnsp, stage = about_to_learn(bench, "a", "b")
    state = {name: part for name, part in gnsp.state().items() if name.startswith("extra/gram/")}
    groups = [name.removeprefix("extra/gram/").split("+") for name in state]
    assert {tuple(sorted(n.rpartition(".")[2] for n in group)) for group in groups} == (
        {("down_proj",), ("gate_proj", "up_proj"), ("o_proj",), ("k_proj", "q_proj", "v_proj")}
        if any("gate" in name for name in gnsp.projected)
        else {("fc1",), ("fc2",), ("out_proj",), ("k_proj", "q_proj", "v_proj")}
    )
    assert sorted(layer for group in groups for layer in group) == sorted(gnsp.projected)
    before = dict(gnsp.grams)
    gnsp.eval()
    gnsp.load_state(gnsp.state())
    assert all(torch.equal(gnsp.grams[layer], before[layer]) for layer in gnsp.projected)
    # Layer by layer, as if each had a matrix of its own.
    alone = input_grams(gnsp.backbone, gnsp.projected, some_batches(stage, 1000))
    gnsp.train()
    gnsp.after_task(stage)
    for layer, gram in alone.items():
        assert torch.equal(gnsp.grams[layer], before[layer] + gram / gram.norm())


def test_aligns_pairs_and_takes_equal_captions_for_equally_right(models: Path) -> None:
    gnsp, stage = about_to_learn(bench_of(models, "clip", "gnsp", strength=0.0), "a", "b")
    learn_a_little(gnsp, stage)
    ids, pool = gnsp.draws.draw(), gnsp.draws.pool
    gnsp.draws.draw = lambda: ids
    captions = [pool.captions[i] for i in ids.tolist()]
    assert len(set(captions)) < len(captions)
    table = gnsp.backbone.match(pool.pixels(ids), captions)
    expected = 0.0
    for logits in (table, table.T):
        for row, caption in zip(logits.log_softmax(dim=1), captions, strict=True):
            own = [value for value, text in zip(row, captions, strict=True) if text == caption]
            expected -= float(torch.stack(own).sum().detach()) / len(own) / len(captions)
    assert gnsp.reference_loss().item() == pytest.approx(0.75 * expected, rel=1e-4)
