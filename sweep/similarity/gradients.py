"""Measures similarity with gradients of the tasks' losses at the same weights.

The loss is the training loss, but without dropout; the weights are those that the backbone has when
a function is called.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.backbones.base import Backbone
from methods.data import Stage
from methods.regularisation.importance import FisherConfig, fisher
from methods.seeds import derive_seed
from methods.tools.tensor_lists import add_to
from sweep.similarity.sampled import Sampled

_BATCH = 32
"""Images of one backward pass."""


def task2vec(
    backbone: Backbone, weights: Sequence[Tensor], samples: Sequence[Sampled]
) -> np.ndarray:
    """Returns cosines of the tasks' embeddings, each a Fisher information: float [T, T].

    Achille et al., "Task2Vec: Task Embedding for Meta-Learning" (ICCV 2019, arXiv 1902.03545).
    The embedding F of a task is the diagonal of the Fisher information of a probe network's
    filters, with labels drawn from the network; the similarity of a and b (section 3.3) is

        cos(F_a / (F_a + F_b), F_b / (F_a + F_b)).

    Where this differs from the paper, or the paper leaves it open:

    - The probe is the backbone itself. The paper trains a new classifier on it for every task and
      measures then; here a task's choices are its classifier, so nothing is trained.
    - A filter is a row of a weight: its Fisher information is the mean over the row. Filters with
      zero information in both tasks do not count.
    """
    embeddings = [_filters(backbone, weights, task) for task in samples]
    cosines = np.ones((len(samples), len(samples)))
    for i, a in enumerate(embeddings):
        for j, b in enumerate(embeddings[:i]):
            total = a + b
            parts = np.divide([a, b], total, out=np.zeros((2, len(a))), where=total > 0)
            length = np.linalg.norm(parts, axis=1)
            cosines[i, j] = cosines[j, i] = parts[0] @ parts[1] / length.prod()
    return cosines


def _filters(backbone: Backbone, weights: Sequence[Tensor], samples: Sampled) -> np.ndarray:
    """Returns the Fisher information of every row of the weights: float64 [filters]."""
    name = samples.task.name
    seed = derive_seed("similarity", name)
    stage = Stage(
        prefix=(name,),
        tasks={name: samples},
        batch_size=_BATCH,
        seed=seed,
        replicate_seed=seed,
        stream=(),
    )
    information = fisher(backbone, list(weights), stage, FisherConfig(fisher_samples=len(samples)))
    rows = [part.double().reshape(len(part), -1).mean(dim=1).cpu() for part in information]
    filters: np.ndarray = torch.cat(rows).numpy()
    return filters


def curvature(
    backbone: Backbone, weights: Sequence[Tensor], samples: Sequence[Sampled]
) -> np.ndarray:
    """Returns minus the curvature of a loss along another task's gradient: float [T, T].

        S[i, j] = - g_j' H_i g_j,   g_j the gradient of task j's loss, H_i the Hessian of task i's

    Bell & Lawrence, "The Effect of Task Ordering in Continual Learning" (2022, arXiv 2205.13323):
    the distance from task i, learnt before, to task j, learnt next, is the curvature of the loss
    of i along a gradient step towards j. It is not symmetric. Theirs is measured where i has been
    learnt, so that the curvature is never far below zero: this is `expert_curvature`. At the
    untouched backbone nothing has to be trained, and H_i need not be positive.
    """
    return np.stack([curvature_row(backbone, weights, samples, i) for i in range(len(samples))])


def curvature_row(
    backbone: Backbone, weights: Sequence[Tensor], samples: Sequence[Sampled], i: int
) -> np.ndarray:
    """Returns the row of task i of `curvature`, where the weights are now: float [T]."""
    weights = list(weights)
    towards = [_gradient(backbone, weights, task) for task in samples]
    bent = np.zeros(len(samples))
    # Only the MATH implementation of attention has a second derivative.
    with backbone.without_dropout(), sdpa_kernel(SDPBackend.MATH):
        for part in _losses(backbone, samples[i]):
            slopes = grad(part, weights, create_graph=True, materialize_grads=True)
            for j, direction in enumerate(towards):
                product = grad(
                    _dot(slopes, direction), weights, retain_graph=True, materialize_grads=True
                )
                bent[j] += float(_dot(product, direction))
    return -bent


def _gradient(backbone: Backbone, weights: list[Tensor], samples: Sampled) -> list[Tensor]:
    """Returns the gradient of the mean loss over the samples."""
    total = [torch.zeros_like(weight) for weight in weights]
    with backbone.without_dropout():
        for part in _losses(backbone, samples):
            add_to(total, list(grad(part, weights, materialize_grads=True)))
    return total


def _losses(backbone: Backbone, samples: Sampled) -> Iterator[Tensor]:
    """Yields parts of the mean loss, batch by batch; they sum up to it."""
    return (backbone.loss(batch).sum() / len(samples) for batch in samples.batches(_BATCH))


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()
