"""A diagnostic: negative flips, samples that the untouched backbone got right and now gets wrong.

Two models of equal accuracy can differ on many samples. For users of a model, an error that is new
is worse than an old one (Yan et al., "Positive-congruent training", CVPR 2021, arXiv 2011.09161).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from sweep.stage.diagnostics.base import Diagnostic
from sweep.stage.rows import Scores, score
from sweep.stage.samples import TestSamples


class NegativeFlips(Diagnostic):
    """Counts flips against the untouched backbone, in either direction."""

    @torch.no_grad()
    def __init__(self, samples: TestSamples) -> None:
        """Answers all test samples before anything was trained."""
        super().__init__(samples)
        self.backbone.eval()
        with samples.trainer.accelerator.autocast(), self.backbone.prompting.absent():
            self._was_right = {
                name: self._is_right(
                    name,
                    samples.gathered(
                        task, [(b.ids, self.backbone.predict(b)) for b in samples.batches(task)]
                    ),
                )
                for name, task in self.tasks.items()
            }

    def of_tasks(self, given: Mapping[str, Tensor]) -> Scores:
        """Returns shares of test samples: right before and wrong now, and the other way round."""
        rows = []
        for name, answers in given.items():
            was, now = self._was_right[name], self._is_right(name, answers)
            for metric, flipped in (("negative", was & ~now), ("positive", ~was & now)):
                share = float(flipped.double().mean())
                rows.append(score("flips", name, metric, share, len(flipped)))
        return rows

    def _is_right(self, task: str, answers: Tensor) -> Tensor:
        return answers == torch.from_numpy(self.tasks[task].test.labels)
