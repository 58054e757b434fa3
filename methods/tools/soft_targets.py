"""What distilling methods share: the loss between two answers, and draws from the reference.

Hinton et al., "Distilling the Knowledge in a Neural Network" (2015, arXiv 1503.02531):

    KD_T(teacher, student) = T^2 mean_i [ - sum_j p(teacher)_ij log p(student)_ij ],
    p(logits)_i = softmax(logits_i / T),

over the rows i of two matrices of logits. T^2 keeps gradients of the same size at every
temperature. This is a cross entropy: at its minimum, where student = teacher, it is T^2 times the
teacher's entropy, not zero.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.base import State
from methods.data import Stage

Temperature = Annotated[
    float, Field(gt=0, description="Logits are divided by this where models are compared.")
]
Strength = Annotated[float, Field(ge=0, description="Weight of the distillation in the loss.")]
ReferenceBatch = Annotated[
    int | None,
    Field(ge=1, description="Reference pairs of a step, over all workers; null: batch_size."),
]


def distillation(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Returns KD_T between the rows of two matrices of logits [B, N]."""
    return temperature**2 * cross_entropy(
        student / temperature, (teacher / temperature).softmax(dim=1)
    )


def distillation_both_ways(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """Returns KD_T of the texts given an image (rows) and of the images given a text (columns).

    Columns compare the samples of a step with one another: give the rows of all workers.

    Args:
        teacher: Logits of N texts for B images, [B, N].
        student: The same of the model that learns.
        temperature: T.
    """
    of_images = distillation(teacher, student, temperature)
    return of_images + distillation(teacher.T, student.T, temperature)


def distillation_by_samples(
    teacher: Tensor, student: Tensor, rows: Tensor, temperature: float
) -> Tensor:
    """Returns KD_T, the mean over the rows of each sample and then over samples.

    Args:
        teacher: Logits, sample after sample: [sum of rows, N].
        student: The same of the model that learns.
        rows: How many each sample has: int64 [B], on the CPU.
        temperature: T.
    """
    targets = (teacher / temperature).softmax(dim=1)
    losses = cross_entropy(student / temperature, targets, reduction="none")
    weights = (1 / rows).repeat_interleave(rows).to(losses.device)
    return temperature**2 * (losses * weights).sum() / len(rows)


class ReferenceDraws:
    """Batches from the reference pool of a stage, drawn with replacement.

    All workers draw the same whole batch and take their shares of it.
    """

    def __init__(self, stage: Stage, size: int | None) -> None:
        """Start the draws of a stage.

        Args:
            stage: With a reference pool.
            size: Pairs of a batch over all workers; None: as many as the task's batch has.

        Raises:
            ValueError: the workers cannot share so many evenly.
        """
        assert stage.reference is not None
        self.pool = stage.reference
        self._stage = stage
        self._size = size or stage.batch_size
        self._generator = stage.generator("reference")
        if self._size % stage.world_size:
            raise ValueError(
                f"reference_batch {self._size} is not a multiple of the {stage.world_size} workers."
            )

    def state(self) -> State:
        """Returns how far the draws are."""
        return {"draws": self._generator.get_state()}

    def load_state(self, state: State) -> None:
        """Take over what `state` gave."""
        self._generator.set_state(state["draws"])

    def draw(self) -> Tensor:
        """Returns the ids of this worker's share of the next batch: int64 [B], on the CPU."""
        ids = torch.randint(len(self.pool.captions), (self._size,), generator=self._generator)
        return self._stage.shard(ids)
