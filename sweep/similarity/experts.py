"""Measures similarity with experts: for each task, the backbone trained on that task only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from methods.base import Method, State
from sweep.similarity.embedded import embed_images
from sweep.similarity.gradients import curvature_row
from sweep.similarity.logme import logme
from sweep.similarity.sampled import Sampled

_BATCH = 128
"""Images of one forward pass."""


@dataclass(frozen=True, eq=False)
class Experts:
    """One expert per task, and samples of every task to try them on."""

    method: Method
    """The method that loads an expert's state."""
    untouched: State
    """The state from which all experts were trained."""
    states: Sequence[State]
    """By task."""
    samples: Sequence[Sampled]
    """Of every task."""
    score: Callable[[Sampled], float]
    """The score of the method, as it is now, on a task that has no choices."""


def task_vector(experts: Experts) -> np.ndarray:
    """Returns cosines of the task vectors, what training added to the weights: float [T, T].

    Ilharco et al., "Editing Models with Task Arithmetic" (ICLR 2023, arXiv 2212.04089), figure 5.
    """
    names = sorted(name for name in experts.untouched if name.startswith("weights/"))
    start = torch.cat([experts.untouched[name].flatten() for name in names])
    ends = [torch.cat([state[name].flatten() for name in names]) for state in experts.states]
    vectors = torch.stack([end - start for end in ends]).double()
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    cosines: np.ndarray = (vectors @ vectors.T).numpy()
    return cosines


def transfer(experts: Experts) -> np.ndarray:
    """Returns what the expert of task i has gained on task j, in its score: float [T, T], i -> j.

    This is the zero-shot transfer between single-task models by which Li & Hiratani (ICML 2025,
    arXiv 2502.03350) estimate similarities. The paper does not say how they scale it, and they
    average both directions; here the score of the untouched backbone on j is subtracted, so that
    easy tasks are not similar to everything, and the directions stay separate.
    """

    def score(method: Method, task: Sampled) -> float:
        return _accuracy(method, task) if task.task.kind == "choices" else experts.score(task)

    return _gains(experts, score)


def expert_logme(experts: Experts) -> np.ndarray:
    """Returns what the expert of task i has gained in LogME on task j: float [T, T], i -> j.

    The pair is that of the paper (see `logme`): a source model, which was trained on i, and a
    target data set, the images of j with its labels. The paper ranks models for one target; so
    that targets can be compared, the untouched backbone's LogME on j is subtracted.
    """

    def suits(method: Method, task: Sampled) -> float:
        return logme(embed_images(method.backbone, task), task.labels)

    return _gains(experts, suits)


def expert_curvature(experts: Experts) -> np.ndarray:
    """Returns `curvature` where Bell & Lawrence measure it, row i at the expert of task i."""
    method = experts.method.train()
    parameters = dict(method.named_parameters())
    weights = [parameters[name] for name in method.trainable()]
    rows = []
    for i, state in enumerate(experts.states):
        method.load_state(state)
        rows.append(curvature_row(method.backbone, weights, experts.samples, i))
    return np.stack(rows)


def _gains(experts: Experts, value: Callable[[Method, Sampled], float]) -> np.ndarray:
    """Returns the value of every expert on every task, minus that of the untouched backbone."""
    method = experts.method.eval()
    rows = []
    for state in (experts.untouched, *experts.states):
        method.load_state(state)
        rows.append([value(method, task) for task in experts.samples])
    found = np.array(rows)
    gains: np.ndarray = found[1:] - found[0]
    return gains


@torch.no_grad()
def _accuracy(method: Method, task: Sampled) -> float:
    right = sum(int((method.predict(b) == b.labels).sum()) for b in task.batches(_BATCH))
    return right / len(task)
