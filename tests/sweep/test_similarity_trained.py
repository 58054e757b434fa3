"""Measures of similarity that take gradients or experts, against closed forms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from methods.testing.toy import BACKBONES, TOY, Toy, toy_study
from methods.testing.workbench import same
from sweep.measuring import similarity_matrices as tables
from sweep.measuring.expert_training import train_experts
from sweep.registry import resolve
from sweep.similarity import MEASURES, OF_EMBEDDINGS, OF_EXPERTS, OF_GRADIENTS, gradients
from sweep.similarity.experts import Experts, expert_curvature, expert_logme, task_vector, transfer
from sweep.similarity.gradients import curvature, curvature_row, task2vec
from sweep.similarity.logme import logme
from sweep.similarity.sampled import sample
from sweep.single import run_single
from sweep.study.backbones import find_source
from sweep.study.pinned import pin
from sweep.study.schema import Study


def study_of(models: Path, backbone: str = "clip", **changes: Any) -> Study:
    content = {
        "benchmark": BACKBONES[backbone] | {"num_tasks": 2},
        "backbones": {backbone: {"path": str(models / backbone)}},
        "similarity": {"images": 24},
    }
    return toy_study(models, ("individual",), **(content | changes))


class TestLogme:
    @pytest.mark.parametrize("size", [3, 12])
    def test_is_the_largest_evidence(self, size: int) -> None:
        """Found by a general optimiser, from the law of y itself, also for more features than y."""
        rng = np.random.default_rng(size)
        features, labels = rng.normal(size=(9, size)), np.arange(9) % 2
        y = (labels == 1).astype(float)

        def surprise(logs: np.ndarray, y: np.ndarray) -> float:
            alpha, beta = np.exp(logs)
            law = features @ features.T / alpha + np.eye(9) / beta
            return -float(multivariate_normal.logpdf(y, cov=law, allow_singular=True))

        best = [minimize(surprise, [0, 0], (target,), "Nelder-Mead").fun for target in (y, 1 - y)]
        assert logme(features, labels) == pytest.approx(-np.mean(best) / 9, abs=1e-3)

    def test_features_that_know_the_labels_are_better(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=60)
        noise = rng.normal(size=(60, 5))
        informed = np.hstack([np.eye(3)[labels], noise[:, :2]])
        assert logme(informed, labels) > logme(noise, labels) + 0.5


class Bowl(nn.Module):
    """The loss of a task is w'Aw / 2 - b'w, with A and b its own: (A + A') / 2 is the Hessian."""

    without_dropout = Backbone.without_dropout

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Identity()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))

    def loss(self, batch: Any) -> Tensor:
        A, b = batch
        return (0.5 * self.w @ A @ self.w - b @ self.w) * torch.ones(4)


class Slope(list[Any]):
    """Stands for four samples of a task."""

    def __len__(self) -> int:
        return 4

    def batches(self, _: int) -> "Slope":
        return self


def bowls(number: int) -> list[Any]:
    draw = torch.Generator().manual_seed(1)
    return [
        Slope([(torch.randn(3, 3, generator=draw), torch.randn(3, generator=draw))])
        for _ in range(number)
    ]


def test_curvature_is_that_of_quadratic_losses() -> None:
    backbone, tasks = Bowl(), bowls(3)
    S = curvature(backbone, [backbone.w], tasks)  # type: ignore[arg-type]
    w = backbone.w.detach()
    hessians = [(A + A.T) / 2 for ((A, _),) in tasks]
    slopes = [H @ w - b for H, ((_, b),) in zip(hessians, tasks, strict=True)]
    expected = [[-float(g @ H @ g) for g in slopes] for H in hessians]
    assert pytest.approx(np.array(expected), rel=1e-5) == S


@pytest.mark.parametrize("family", list(BACKBONES))
def test_curvature_is_how_the_gradient_changes(models: Path, family: str) -> None:
    """Second derivatives through attention, against differences of first ones."""
    backbone = load_backbone(str(models / family)).train()
    toy = Toy(**(BACKBONES[family] | {"num_tasks": 2}))
    first, second = sample(backbone, toy.load().tasks, 40)
    parameters = dict(backbone.named_parameters())
    weights = [parameters[name] for name in backbone.trainable()]
    found = curvature_row(backbone, weights, [first, second], 0)

    direction = gradients._gradient(backbone, weights, second)
    length = float(torch.stack([part.norm() for part in direction]).norm())
    step = 0.004 / length
    along = []
    for sign in (1, -1):
        with torch.no_grad():
            torch._foreach_add_(weights, direction, alpha=sign * step)
        along.append(
            float(gradients._dot(gradients._gradient(backbone, weights, first), direction))
        )
        with torch.no_grad():
            torch._foreach_sub_(weights, direction, alpha=sign * step)
    assert -found[1] == pytest.approx((along[0] - along[1]) / (2 * step), rel=0.05)


def test_task2vec_is_the_cosine_of_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of weights are averaged; a row that neither task knows does not count."""
    known = {
        "a": [torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([4.0])],
        "b": [torch.tensor([[6.0, 6.0], [0.0, 0.0]]), torch.tensor([1.0])],
    }

    def fisher(backbone: Any, weights: Any, stage: Any, config: Any) -> list[Tensor]:
        assert config.fisher_samples == 4
        return known[stage.task]

    class Named(Slope):
        def __init__(self, name: str) -> None:
            self.task = SimpleNamespace(name=name)

    monkeypatch.setattr(gradients, "fisher", fisher)
    S = task2vec(Bowl(), [], [Named("a"), Named("b")])  # type: ignore[arg-type, list-item]
    a, b = np.array([2 / 8, 4 / 5]), np.array([6 / 8, 1 / 5])
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert pytest.approx(np.array([[1, cosine], [cosine, 1]])) == S


@pytest.mark.parametrize("name", OF_GRADIENTS)
@pytest.mark.parametrize("family", list(BACKBONES))
def test_a_task_is_closer_to_itself_than_to_another(models: Path, family: str, name: str) -> None:
    """On trained weights tasks pull in their own directions; the copy has another name."""
    study = study_of(models, family, similarity={"measures": [name], "images": 24})
    (label,) = study.backbones
    S = tables.similarities(study, label, pin(study))[name]
    assert S.shape == (2, 2)
    assert np.isfinite(S).all()
    if name == "task2vec":
        assert S[0, 0] == 1 > S[0, 1] == S[1, 0] > 0


def experts_of(states: Sequence[Mapping[str, Tensor]]) -> Experts:
    untouched, *rest = (dict(state) for state in states)
    return Experts(None, untouched, rest, [], lambda _: 0.0)  # type: ignore[arg-type]


def test_task_vectors_start_at_the_untouched_weights() -> None:
    """And hold nothing that a method keeps beside its weights."""
    start = {"weights/a": torch.ones(2, 2), "weights/b": torch.ones(1), "extra/c": torch.ones(3)}
    right = start | {"weights/a": torch.tensor([[2.0, 1.0], [1.0, 1.0]])}
    up = start | {"weights/b": torch.tensor([4.0]), "extra/c": torch.zeros(3)}
    both = start | {"weights/a": right["weights/a"], "weights/b": torch.tensor([2.0])}
    S = task_vector(experts_of([start, right, up, both]))
    root = np.sqrt(0.5)
    assert pytest.approx(np.array([[1, 0, root], [0, 1, root], [root, root, 1]])) == S


@pytest.fixture(scope="module", params=list(BACKBONES))
def trained(request: pytest.FixtureRequest, models: Path) -> tuple[Study, Experts]:
    study = study_of(models, request.param, training={"steps": 20, "batch_size": 16, "lr": 0.003})
    (label,) = study.backbones
    source = find_source(study.backbones[label])
    return study, train_experts(study, label, source, 24, models / "cache")


def test_experts_are_those_of_individual(trained: tuple[Study, Experts], models: Path) -> None:
    study, experts = trained
    for task, state in zip(study.benchmark.task_names(), experts.states, strict=True):
        _, own = run_single(replace_method(study), "finetune", (task,))
        assert own is not None
        assert same(own, state)


def replace_method(study: Study) -> Study:
    """On one task alone `individual` is fine-tuning, whose state is kept."""
    return Study.from_dict(study.model_dump(mode="json") | {"methods": ["finetune"]})


def test_experts_are_best_at_their_own_task(trained: tuple[Study, Experts]) -> None:
    _, experts = trained
    before = experts.method.state()
    gains = transfer(experts)
    assert (gains.diagonal() > 0.1).all()
    assert (gains.diagonal() >= gains.max(axis=0)).all()
    assert np.abs(gains).max() <= 1
    assert expert_logme(experts).shape == gains.shape
    assert task_vector(experts)[0, 1] < 0.99
    experts.method.load_state(before)


def test_untouched_experts_have_gained_nothing(trained: tuple[Study, Experts]) -> None:
    _, experts = trained
    idle = replace(experts, states=[experts.untouched] * 2)
    assert not transfer(idle).any()
    assert not expert_logme(idle).any()
    experts.method.load_state(experts.untouched)
    parameters = dict(experts.method.named_parameters())
    weights = [parameters[name] for name in experts.method.trainable()]
    backbone = experts.method.backbone
    assert expert_curvature(idle) == pytest.approx(curvature(backbone, weights, idle.samples))
    bent = expert_curvature(experts)
    assert bent != pytest.approx(bent.T)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tables, "CACHE", tmp_path)
    return tmp_path


def test_experts_are_trained_once(
    models: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = [*OF_EXPERTS, "names"]
    study = study_of(models, similarity={"images": 24, "measures": measures})
    pinned = pin(study)
    found = tables.similarities(study, "clip", pinned)
    assert list(found) == measures
    monkeypatch.setattr(tables, "train_experts", None)
    again = tables.similarities(study, "clip", pinned, ["logme", "transfer"])
    assert (again["logme"] == found["logme"]).all()
    longer = study.model_copy(update={"training": study.training.model_copy(update={"steps": 7})})
    assert (tables.similarities(longer, "clip", pinned, ["names"])["names"] == found["names"]).all()
    with pytest.raises(TypeError):  # other experts: another recipe, trained anew
        tables.similarities(longer, "clip", pinned, ["logme"])


def test_only_measures_that_can_be_exchanged_have_no_direction(models: Path, cache: Path) -> None:
    measures = [*OF_EMBEDDINGS, *OF_GRADIENTS, *OF_EXPERTS]
    study = study_of(
        models,
        benchmark={"name": TOY, "num_tasks": 3},
        similarity={"images": 24, "measures": measures},
    )
    found = tables.similarities(study, "clip", pin(study))
    lopsided = {name for name, S in found.items() if not np.allclose(S, S.T, atol=1e-3)}
    directed = {name for name in MEASURES if resolve("measures", name).direction}
    assert lopsided <= directed
    assert {"curvature", "expert_curvature", "logme"} <= lopsided
    rows = tables.task_rows("clip", found, study.benchmark.task_names()).to_pandas()
    said = rows.groupby("measure")["direction"].first()
    assert {name for name, direction in said.items() if direction} == directed


def test_numbers_keep_four_digits_of_the_largest(tmp_path: Path) -> None:
    for number, kept in ((123456.7, 123500.0), (0.00123456, 0.001235), (0.98766, 0.9877), (0, 0)):
        tables._save(np.array([[number]]), tmp_path / "x.npy")
        assert np.load(tmp_path / "x.npy")[0, 0] == pytest.approx(kept)
