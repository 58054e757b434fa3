"""WiSE-FT: interpolate between the weights before and after fine-tuning.

Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models" (CVPR 2022, arXiv 2109.01903):
theta <- (1 - alpha) theta_ref + alpha theta_ft, where theta_ref is the pretrained model. For a
sequence of tasks Zheng et al. (ICCV 2023, arXiv 2303.06628) take the weights after the previous
task as theta_ref, and alpha = 0.8; both are the defaults here.

Left open there and decided here: the next task starts from the interpolated weights. Of an adapter
the factors A and B are interpolated, not their product; towards the pretrained model, where B = 0,
only B is, which is exact: W + s B A becomes W + s (alpha B) A.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Stage


class WiseFTConfig(FineTuneConfig):
    """Options of `wise_ft`."""

    alpha: float = Field(default=0.8, gt=0, le=1, description="Share of the fine-tuned weights.")
    towards: Literal["previous", "pretrained"] = Field(
        default="previous",
        description="Where the other share comes from: the task before, or the untouched backbone.",
    )


class WiseFT(FineTune):
    """Fine-tune, then go back a part of the way."""

    Config = WiseFTConfig
    config: WiseFTConfig
    resumable: ClassVar[bool] = True

    def before_task(self, stage: Stage) -> None:
        """Remember the weights to go back to."""
        self.reference = self._pretrained() if self.config.towards == "pretrained" else self._now()

    @torch.no_grad()
    def after_task(self, stage: Stage) -> None:
        """Set theta <- (1 - alpha) theta_ref + alpha theta."""
        weights = dict(self.named_parameters())
        for name, reference in self.reference.items():
            weights[name].lerp_(reference.to(self.backbone.device), 1 - self.config.alpha)

    def _now(self) -> dict[str, Tensor]:
        weights = dict(self.named_parameters())
        return {name: weights[name].detach().clone() for name in self.trainable()}

    def _pretrained(self) -> dict[str, Tensor]:
        return {
            name: self._initial[f"weights/{name}"]
            for name in self.trainable()
            if ".lora_A." not in name
        }
