"""Memory aware synapses: a weight is important if the output depends on it.

Aljundi et al., "Memory Aware Synapses: Learning what (not) to forget" (ECCV 2018, arXiv
1711.09601):

    Omega_i = mean over x of | d ||out(x)||^2 / d theta_i |                         (eq. 2)
    loss + lambda sum_i Omega_i (theta_i - theta*_i)^2                              (eq. 3)

without labels; theta* are the weights at the end of the last task. Here lambda / 2 takes the place
of the paper's lambda, as in the other penalties.

Left open there and decided here: out(x) are the logits of the task's choices (normalised embeddings
have no gradient of their length) without what they have in common, and over the root of their
number, so that

    ||out(x)||^2 = 1/C sum_c (l_c - mean l)^2.

Cosines of a CLIP share an offset that decides nothing and makes up most of sum_c l_c^2 (73 to 94 %
for tasks of the embedded benchmarks), which grows with the number of choices besides. Of captions
that a dual encoder learns the choices are those of its group; of what is written they are the
tokens, with the mean over places. Samples go in groups of a fixed size (see importance.py) and |.|
is taken of the mean over a group, where parts of different sign cancel; groups of one are the
paper's formula. The paper adds the importance of the tasks up; here the mean alpha Omega + (1 -
alpha) Omega_t keeps the scale of lambda the same after any number of tasks.
"""

from pydantic import Field
from torch import Tensor

from methods.data import Batch, Stage
from methods.regularisation.importance import summed_over_groups
from methods.regularisation.penalty import Anchored, PenaltyConfig
from methods.tools.tensor_lists import add_to, divide_by, magnitudes, move_towards


class MASConfig(PenaltyConfig):
    """Options of `mas`."""

    strength: float = Field(
        default=100.0, ge=0, description="lambda: the penalty is half of it times the squares."
    )
    alpha: float = Field(
        default=0.5, ge=0, le=1, description="Share of the earlier tasks in the importance."
    )
    importance_samples: int = Field(
        default=1024, ge=1, description="Samples it is measured on, at most those of the task."
    )
    importance_batch: int = Field(
        default=1,
        ge=1,
        description="Samples of one gradient; 1 is the paper's. In larger groups, which are "
        "faster, parts of different sign cancel.",
    )


class MAS(Anchored):
    """Pull every weight back, by how much the logits of past tasks depended on it."""

    Config = MASConfig
    config: MASConfig

    def consolidate(self, stage: Stage) -> list[Tensor]:
        """Returns the mean alpha Omega + (1 - alpha) Omega_t; the first task's own."""

        def length(batch: Batch, _: Tensor) -> Tensor:
            rows = self.backbone.rows_of_samples(batch)
            squares = self.backbone.logits(batch).var(dim=1, correction=0)
            return (squares / rows.repeat_interleave(rows).to(squares)).sum()

        sums, count = summed_over_groups(
            self.backbone,
            self.weights,
            stage,
            self.config.importance_samples,
            self.config.importance_batch,
            length,
            lambda sums, gradients: add_to(sums, magnitudes(gradients)),
        )
        divide_by(sums, count)
        if self.importance:
            move_towards(sums, self.importance, self.config.alpha)
        return sums
