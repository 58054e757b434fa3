"""Defines how every stage is trained: the section `training` of a study file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from methods.base import Method, Towers
from sweep.errors import InputError
from sweep.section import MOST, Section
from sweep.study.backbones import BackboneConfig

LATER = ("micro_batch", "checkpointing", "towers")
"""Settings that came later than studies whose stages are kept."""


class TaskTraining(Section):
    """Training settings of one task, wherever it stands in an order."""

    lr: float | None = Field(
        default=None,
        gt=0,
        description="In place of training.lr; a method with an lr of its own learns the task at as "
        "many times that one.",
    )
    steps: int | None = Field(default=None, ge=1, le=MOST)


class Training(Section):
    """How every stage is trained: AdamW, linear warm-up, then cosine to zero."""

    steps: int = Field(default=1000, ge=1, le=MOST, description="Optimiser steps of one task.")
    batch_size: int = Field(default=64, ge=1, le=MOST, description="Over all workers together.")
    lr: float = Field(default=1e-5, gt=0)
    warmup_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = Field(
        default="auto",
        description="Steps in which the learning rate rises to lr; auto: a tenth of a task's.",
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        description="Of matrices of the backbone; norms, biases, prompts and heads do not decay.",
    )
    clip_norm: float | None = Field(default=None, gt=0, description="Largest gradient norm.")
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of a class's target that is spread over all classes; for dual encoders.",
    )
    crop: tuple[float, float] | None = Field(
        default=None,
        description="Crop training images at random to a share of their area between these two, "
        "and resize them back, as in [0.9, 1.0]; null: use them as they are prepared.",
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        le=MOST,
        description="Samples of a worker that go through the model at once; gradients of a step "
        "add up over them. null: all that a worker has of a batch.",
    )
    checkpointing: bool = Field(
        default=False,
        description="Compute layers again in the backward pass, instead of keeping what is inside.",
    )
    towers: Towers | None = Field(
        default=None,
        description="Parts of the backbone that are trained, or get adapters and prompts: vision, "
        "text, joint (what lies between them). A list, or a factor of the learning rate for each, "
        "as in {vision: 0.1, text: 1}. null: all of a dual encoder, joint and text of a fusion "
        "model.",
    )
    per_task: dict[str, TaskTraining] = Field(default_factory=dict)

    @field_validator("crop")
    @classmethod
    def _is_a_range(cls, crop: tuple[float, float] | None) -> tuple[float, float] | None:
        if crop and not 0 < crop[0] <= crop[1] <= 1:
            raise InputError(f"must be two shares, 0 < smallest <= largest <= 1, got {list(crop)}.")
        return crop

    @property
    def settings(self) -> dict[str, Any]:
        """Returns all that stages depend on.

        Settings that came later are left out where they are not used: they then change nothing, and
        stages that were finished before them keep their keys.
        """
        fields = Training.model_fields
        unused = {name for name in LATER if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude=unused)

    def steps_of(self, task: str) -> int:
        """Returns the optimiser steps for `task`."""
        special = self.per_task.get(task)
        return special.steps if special and special.steps else self.steps

    def lr_of(self, task: str, method_lr: float | None) -> float:
        """Returns the peak learning rate: the task's, else the study's.

        A method with a rate of its own, such as an adapter's, has that instead, multiplied by what
        the task's rate is of the study's.
        """
        special = self.per_task.get(task)
        lr = special.lr if special and special.lr else self.lr
        return lr if method_lr is None else method_lr * (lr / self.lr)

    def warmup_of(self, steps: int) -> int:
        """Returns the steps of warm-up among the steps of a task."""
        return steps // 10 if self.warmup_steps == "auto" else min(self.warmup_steps, steps)

    def cuts(self, workers: int) -> bool:
        """Returns whether a worker's share of a batch goes through the model in parts."""
        size = self.micro_batch
        return size is not None and size * workers < self.batch_size


def check_precision(training: Training, backbones: Mapping[str, BackboneConfig]) -> None:
    """Makes sure that backbones whose weights are kept in bf16 are computed in it.

    Raises:
        InputError: one of them would not be.
    """
    for label, config in backbones.items():
        if config.dtype == "bf16" and training.precision != "bf16":
            raise InputError(
                f"backbone '{label}' keeps its weights in bf16, which needs training.precision "
                f"bf16, got {training.precision}."
            )


def check_losses(training: Training, workers: int, methods: Mapping[str, type[Method]]) -> None:
    """Makes sure that all methods can be trained with less memory, if that is asked for.

    Args:
        training: Says how large parts are.
        workers: Those of a lane, which share a batch.
        methods: By label.

    Raises:
        InputError: a method cannot be trained in parts of a batch, or with passes repeated.
    """
    for label, kind in methods.items():
        if training.checkpointing and not kind.repeats_passes:
            raise InputError(
                f"method '{label}' draws in every pass through a layer, so layers cannot be "
                f"computed again in the backward pass; leave out training.checkpointing, or this "
                f"method."
            )
        trains = kind.tasks_trained_on(("task",))
        if trains and training.cuts(workers) and not kind.divides_batches():
            raise InputError(
                f"method '{label}' compares the samples of a step with one another, so a batch "
                f"cannot be cut into parts; leave out training.micro_batch, or this method."
            )
