"""What every supported family promises of training, and the task on which it is looked at."""

import numpy as np
import torch
import transformers
from PIL import Image
from torch import Tensor

from methods.backbones import Backbone, load_backbone
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Split, Task
from methods.testing.workbench import same


def with_version(family: str) -> str:
    """Returns the name of a test of a family: what holds, holds for this transformers."""
    return f"{family}-transformers-{transformers.__version__}"


def picture(seed: int) -> Image.Image:
    """Noise of one colour."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 128, 3)
    return Image.fromarray(rng.integers(low, low + 128, (48 - seed, 40, 3), dtype=np.uint8))


PICTURES = [picture(seed) for seed in range(4)]
CHOICES = ("cat", "dog", "red bird")
TEMPLATE = "a photo of a {}."


def task_of(labels: tuple[int, ...] = (0, 1, 2, 1)) -> Task:
    split = Split(PICTURES, np.array(labels))
    return Task("pets", CHOICES, (TEMPLATE,), "what is the ?", split, split)


def batch_of(backbone: Backbone, task: Task) -> Batch:
    labels = torch.from_numpy(task.train.labels)
    return Batch(task, backbone.pixels(PICTURES), labels, torch.arange(len(PICTURES)))


def trained(method: FineTune, batch: Batch, steps: int, lr: float) -> list[float]:
    """The losses of some steps, as the engine takes them."""
    method.train()
    weights = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr)
    losses = []
    for _ in range(steps):
        loss = method(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def evaluated(method: FineTune, batch: Batch) -> Tensor:
    method.eval()
    return method.backbone.logits(batch)


def buffers_of(backbone: Backbone) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in backbone.named_buffers()}


def check_training(folder: str, lr: float = 1e-3) -> None:
    """Training lowers the loss, and going on from a state in a new process is going on."""
    first = FineTune(load_backbone(folder), FineTuneConfig())
    before = buffers_of(first.backbone)
    batch = batch_of(first.backbone, task_of())
    losses = trained(first, batch, 12, lr)
    assert losses[-1] < 0.8 * losses[0]
    second = FineTune(load_backbone(folder), FineTuneConfig())
    second.load_state(first.state())
    follow_up = batch_of(first.backbone, task_of((2, 0, 0, 1)))
    assert torch.equal(evaluated(first, batch), evaluated(second, batch))
    assert trained(first, follow_up, 3, lr) == trained(second, follow_up, 3, lr)
    assert torch.equal(evaluated(first, batch), evaluated(second, batch))
    assert same(buffers_of(first.backbone), before)
