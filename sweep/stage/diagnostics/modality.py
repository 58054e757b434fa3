"""Measures which modality accuracy comes from: a game of image and text.

A modality outside of the coalition is replaced by that of another test sample of the task (Gat et
al., "Perceptual Score", NeurIPS 2021, arXiv 2110.14375). Where samples have questions of their own,
the method answers them once more for each modality, with one fixed permutation that moves every
sample. If both modalities come from another sample, the answer is the one given to that sample, so
the mean over all permutations is exact: the chance that an answer is right for a random sample.
The same value holds for the text where it is the same for all samples: where prompts tell classes
apart, text has no worth of its own, and the empty coalition guesses as often as the method names
each class. Retrieval is left out: without either modality it is at chance, so by symmetry each
modality would get one half of the rest, whatever the model does.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from methods.data import Task
from methods.seeds import derive_seed
from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.diagnostics.coalitions import MODALITIES, Coalition, worths
from sweep.stage.rows import Scores, share_right


class Modality(Diagnostic):
    """Measures the accuracy that is left without the image, the text, or both."""

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Returns the worth of all coalitions of image and text."""
        return [
            row
            for name, answers in given.items()
            for row in worths("modality", self.tasks[name], self._worth(self.tasks[name], answers))
        ]

    def _worth(self, task: Task, given: Tensor) -> dict[Coalition, float]:
        samples = self.samples
        guessed = chance(given, torch.from_numpy(task.test.labels))
        both = share_right(given, task)
        worth: dict[Coalition, float] = {(): guessed, ("image",): both, ("text",): guessed}
        questions = task.test.questions
        if questions is not None:
            other, images = partners(task), samples.images(task)
            answers: dict[str, list[tuple[Tensor, Tensor]]] = {"image": [], "text": []}
            for batch in samples.batches(task):
                asked = tuple(questions[i] for i in other[batch.ids].tolist())
                seen = images[other[batch.ids]].to(batch.pixels.device)
                kept = {
                    "image": replace(batch, questions=asked),
                    "text": replace(batch, pixels=seen),
                }
                for modality, changed in kept.items():
                    answers[modality].append((batch.ids, self.method.predict(changed)))
            for modality, parts in answers.items():
                worth[modality,] = share_right(samples.gathered(task, parts), task)
        return worth | {MODALITIES: both}


def partners(task: Task) -> Tensor:
    """Returns another test sample for each: a cyclic permutation, int64 [N], always the same."""
    size = len(task.test)
    generator = torch.Generator().manual_seed(derive_seed("modality", task.name) % 2**63)
    cycle = torch.randperm(size, generator=generator)
    other = torch.empty_like(cycle)
    other[cycle] = cycle.roll(1)
    return other


def chance(answers: Tensor, labels: Tensor) -> float:
    """Returns the chance that an answer is right for a sample drawn by itself.

    Args:
        answers: int64 [N], one per sample; -1 for none of the choices.
        labels: int64 [N].
    """
    choices = int(labels.max()) + 1
    given = torch.bincount(answers[(answers >= 0) & (answers < choices)], minlength=choices)
    right = torch.bincount(labels, minlength=choices)
    return float((given * right).sum()) / len(labels) ** 2
