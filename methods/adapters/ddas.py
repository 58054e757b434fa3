"""DDAS: which task a sample is of, by how well small autoencoders reconstruct it.

Yu et al., "Boosting Continual Learning of Vision-Language Models via Mixture-of-Experts Adapters"
(CVPR 2024, arXiv 2403.11549), section 3.3. Every task gets an autoencoder with one hidden layer,

    u' = sigmoid(W_2 ReLU(W_1 u + b_1) + b_2),    trained on the mean of (u - u')^2,

over frozen features u in (0, 1) of its images. A sample is of the task that reconstructs it best;
if even that one's error is above a threshold, it is of no task that was learnt.

Left open there and decided here:
- Features are u = sigmoid((z - m) / s), z being the image embeddings of the untouched backbone
  itself, with mean m and standard deviation s over the task, entry by entry. (The authors take the
  sigmoid of 43264 features of an AlexNet, another pretrained network.)
- A fixed threshold, 0.0655 there, would have to be found for every kind of feature. Here each task
  has its own: a fifth of its samples is kept from training, and the threshold is the quantile
  `accepts` of their errors.
- Every sample is routed by itself; the authors route whole test batches of one task by their mean
  error, which tells samples of each other's task. Their extra autoencoder of images of no task
  (TinyImageNet) is left out.
- Adam as theirs (rate 0.003, decay of weights 1e-4), with a cosine instead of steps.

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
        default=32,
        ge=1,
        description="Hidden units of an autoencoder: far fewer than image embeddings have "
        "dimensions (512 in CLIP), or it reconstructs everything.",
    )
    steps: int = Field(default=300, ge=1, description="Optimiser steps of 64 samples.")
    lr: float = Field(default=0.003, gt=0, description="Peak learning rate.")
    accepts: float = Field(
        default=0.99, gt=0, le=1, description="Share of a task's own samples that are let in."
    )


def fit_autoencoder(features: Tensor, options: SelectorOptions, seed: int) -> State:
    """Returns the autoencoder of a task, on the CPU.

    Args:
        features: Image embeddings of its samples, float32 [N, D], N >= 2.
        options: Its shape and training.
        seed: For the first weights and the order of samples.

    Returns:
        What embeddings are standardised with, `mean` and `spread` [D]; the layers `encoder` [D, H],
        `code` [H], `decoder` [H, D] and `output` [D]; and the `threshold` of errors [].
    """
    features, size = features.cpu(), features.shape[1]
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(features), generator=draw)
    held_out = max(1, len(order) // _HELD_OUT)
    unseen, seen = features[order[:held_out]], features[order[held_out:]]
    model = {
        "mean": seen.mean(dim=0),
        "spread": seen.std(dim=0, correction=0).clamp(min=_LEAST_SPREAD),
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


def select_task(models: Sequence[State], features: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the task of every sample.

    Args:
        models: One autoencoder or more, on the features' device.
        features: Image embeddings, [B, D].

    Returns:
        The number of the model that reconstructs it best, int64 [B], and whether its error is
        within that model's threshold, bool [B].
    """
    with torch.autocast(features.device.type, enabled=False):
        found = torch.stack([errors(model, features.float()) for model in models], dim=1)
    error, best = found.min(dim=1)
    thresholds = torch.stack([model["threshold"] for model in models])
    return best, error <= thresholds[best]


def _uniform(inputs: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Returns weights as torch draws those of linear layers with so many inputs."""
    return (2 * torch.rand(shape, generator=generator) - 1).div(inputs**0.5)
