"""DDAS: which task a sample is of, by how well small autoencoders reconstruct it.

Yu et al., "Boosting Continual Learning of Vision-Language Models via Mixture-of-Experts Adapters"
(CVPR 2024, arXiv 2403.11549), section 3.3. Every task gets an autoencoder with one hidden layer,

    u' = sigmoid(W_2 ReLU(W_1 u + b_1) + b_2),    trained on the mean of (u - u')^2,

over frozen features u in (0, 1) of its images; one more is fitted to images of no task (there
TinyImageNet). A sample is of the task that reconstructs it best. It is of no task that was learnt
if the autoencoder of no task does so, or if even the best one's error is above a threshold.

Left open there and decided here:
- Images of no task are those of the study's reference pool.
- Features are u = sigmoid((z - m) / s), z being the image embeddings of the untouched backbone
  itself, with mean m and standard deviation s over the pool, entry by entry: the same for all
  autoencoders, whose errors could not be compared otherwise. (The authors take the sigmoid of 43264
  features of an AlexNet, another pretrained network.)
- A fixed threshold, 0.0655 there, would have to be found for every kind of feature. Here each task
  has its own: a fifth of its samples is kept from training, and the threshold is the quantile
  `accepts` of their errors.
- Every sample is routed by itself; the authors route whole test batches of one task by their mean
  error, which tells samples of each other's task.
- Adam as theirs (rate 0.003, decay of weights 1e-4), with a cosine instead of steps, and 1000 steps
  for all autoencoders, as many as theirs of no task takes: after 300, theirs of tasks, on a few
  hundred images, that of no task wins nearly everywhere.

Percent of test samples that are accepted (`benchmarks/selector_acceptance.py`; before: without
images of no task; own: of the tasks learnt, mean; held-out: of the suites, mean and the most;
others: of tasks not learnt, mean):

                                tasks | before:             | now:
                               learnt | own  held-out others | own  held-out others
    world: positions, scenes,       1 | 100   78 ( 87)    45 |  79   35 ( 41)    13
      sketches, arrows              4 |  99   97 (100)    64 |  93   59 ( 64)    31
    world: shapes, colors,          1 |  99   91 ( 99)    59 |  64   60 ( 69)    30
      letters, relations            4 | 100   95 (100)    77 |  87   76 ( 84)    46
    pictures: clothing, digits,     1 |  98    0 (  0)     0 |  95    0 (  0)     0
      places, people                4 |  95   91 ( 98)    79 |  76   22 ( 35)    18
    pictures: animals, food,        1 |  97   79 ( 89)    69 |  36    6 ( 11)    12
      scripts, objects              4 |  98   80 ( 91)    73 |  56   13 ( 24)    17

The suites of the drawn world show its shapes and colours on other backgrounds, so they are very
near to some tasks; a pool that holds pictures like a task's own costs that task acceptance.

An autoencoder depends on the task and the replicate alone, not on what was learnt before.
"""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from methods.base import State

_BATCH = 64
_HELD_OUT = 5
"""One sample in so many."""
_LAYERS = ("encoder", "code", "decoder", "output")
_LEAST_SPREAD = 1e-6


class SelectorOptions(BaseModel):
    """Options of the task selector."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: int = Field(
        default=16,
        ge=1,
        description="Hidden units of an autoencoder: far fewer than image embeddings have "
        "dimensions (512 in CLIP), or it reconstructs everything.",
    )
    steps: int = Field(default=1000, ge=1, description="Optimiser steps of 64 samples.")
    lr: float = Field(default=0.003, gt=0, description="Peak learning rate.")
    accepts: float = Field(
        default=0.99, gt=0, le=1, description="Share of a task's own samples that are let in."
    )


def scale_of(pool: Tensor) -> State:
    """Returns what embeddings are standardised with, `mean` and `spread` [D], on the CPU.

    Args:
        pool: Image embeddings of no task, float32 [N, D].
    """
    pool = pool.cpu()
    spread = pool.std(dim=0, correction=0).clamp(min=_LEAST_SPREAD)
    return {"mean": pool.mean(dim=0), "spread": spread}


def fit_autoencoder(features: Tensor, scale: State, options: SelectorOptions, seed: int) -> State:
    """Returns the autoencoder of a task, or of no task, on the CPU.

    Args:
        features: Image embeddings of its samples, float32 [N, D], N >= 2.
        scale: Of the pool, see `scale_of`.
        options: Its shape and training.
        seed: For the first weights and the order of samples.

    Returns:
        The scale; the layers `encoder` [D, H], `code` [H], `decoder` [H, D] and `output` [D]; and
        the `threshold` of errors [].
    """
    features, size = features.cpu(), features.shape[1]
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(features), generator=draw)
    held_out = max(1, len(order) // _HELD_OUT)
    unseen, seen = features[order[:held_out]], features[order[held_out:]]
    model = {
        **scale,
        "encoder": _uniform(size, (size, options.width), draw),
        "code": _uniform(size, (options.width,), draw),
        "decoder": _uniform(options.width, (options.width, size), draw),
        "output": _uniform(options.width, (size,), draw),
    }
    weights = [model[name].requires_grad_() for name in _LAYERS]
    optimizer = Adam(weights, lr=options.lr, weight_decay=1e-4)
    schedule = CosineAnnealingLR(optimizer, options.steps)
    for _ in range(options.steps):
        batch = torch.randint(len(seen), (_BATCH,), generator=draw)
        optimizer.zero_grad()
        torch.autograd.backward(errors(model, seen[batch]).mean())
        optimizer.step()
        schedule.step()
    fitted = {name: weight.detach() for name, weight in model.items()}
    return fitted | {"threshold": errors(fitted, unseen).quantile(options.accepts)}


def errors(model: State, features: Tensor) -> Tensor:
    """Returns the mean squared error of what an autoencoder makes of embeddings [N, D]: [N]."""
    inputs = ((features - model["mean"]) / model["spread"]).sigmoid()
    code = (inputs @ model["encoder"] + model["code"]).relu()
    output = (code @ model["decoder"] + model["output"]).sigmoid()
    return (inputs - output).square().mean(dim=1)


def select_task(
    models: Sequence[State], of_no_task: State, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the task of every sample.

    Args:
        models: The autoencoders of one task or more, on the features' device.
        of_no_task: That of the pool.
        features: Image embeddings, [B, D].

    Returns:
        The number of the task that reconstructs it best, int64 [B], and whether it is of that task,
        bool [B]: its error is within the task's threshold, and below that of no task.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = features.float()
        found = torch.stack([errors(model, features) for model in models], dim=1)
        of_others = errors(of_no_task, features)
    error, best = found.min(dim=1)
    thresholds = torch.stack([model["threshold"] for model in models])
    return best, (error <= thresholds[best]) & (error < of_others)


def _uniform(inputs: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Returns weights as torch draws those of linear layers with so many inputs."""
    return (2 * torch.rand(shape, generator=generator) - 1).div(inputs**0.5)
