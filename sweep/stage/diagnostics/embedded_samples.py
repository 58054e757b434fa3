"""Saves embeddings of some test images and of the texts of the choices.

The report shows how they move while later tasks are learnt.
"""

from collections.abc import Iterable
from typing import Any

from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.samples import spread

PICTURED = 60
"""Test images of each task, evenly spaced."""


class EmbeddedSamples(Diagnostic):
    """Saves embeddings of single samples in the embeddings table."""

    def embeddings(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Returns rows of the embeddings table; a choice has a row for each of its texts."""
        rows: list[dict[str, Any]] = []
        for name in names:
            task = self.tasks[name]
            ids = spread(len(task.test), PICTURED)
            texts = self.samples.text_embeddings(task)
            right = task.test.labels[ids.numpy()].tolist()
            # Texts come template by template.
            met = [i % len(task.choices) for i in range(len(texts))]
            for modality, samples, choices, vectors in (
                ("image", ids.tolist(), right, self.samples.image_embeddings(task, ids)),
                ("text", range(len(texts)), met, texts),
            ):
                head = {"eval_task": name, "modality": modality}
                rows += [
                    head | {"sample": sample, "choice": choice, "vector": vector.numpy()}
                    for sample, choice, vector in zip(samples, choices, vectors, strict=True)
                ]
        return rows
