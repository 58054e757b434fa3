"""EWC by modality, with cross-modal consistency: for vision-language models.

After Durrani and Durrani, "Lifelong Learning in Vision-Language Models: Enhanced EWC with
Cross-Modal Knowledge Retention" (arXiv 2605.12789, 2026). Its formulas are not public. From what is
known of it come the parts: Fisher information grouped by modality, adaptive weights of the groups,
a consistency loss between modalities, low-rank adapters (`lora`), and the claim of 78 % less
forgetting than sequential training for 15 % more compute. Every formula below is ours.

Groups. The weights of each tower (vision, text, and what joins them) are a group G. The Fisher
information of a task is divided by its mean over the group, Fhat = F / mean_G(F), so that no tower
and no task counts more because its gradients are larger; it then runs on as in `online_ewc`, F <-
gamma F + Fhat. `groups` chooses the towers that are protected at all.

Weights. The penalty is lambda / 2 sum_G w_G sum_{i in G} F_i (theta_i - theta*_i)^2, where the w_G
have mean 1 and are found anew in every step, as constants:

    fixed     w_G = 1
    drift     w_G ~ |theta_G - theta*_G| / |theta*_G|    the tower that has moved most
    gradient  w_G ~ |g_G| / |theta*_G|                   the tower that the new task pulls hardest

Consistency. In every k-th step mu (KD_T(rows) + KD_T(columns)) is added (see
tools/soft_targets.py), between the similarities of the step's images with the texts of the task's
choices by the model at the start of the task and by the model now: a tower may move if the other
one follows. Rows and columns whose largest entry is still a wrong match hold nothing worth keeping
and are left out, as they would slow down learning. Where a dual encoder learns captions, the texts
are those of the step. Where samples have choices of their own, or words are written, images meet no
texts that are the same for all, and there is no consistency.

What it costs. No second model is kept: the similarities of the steps that need them are computed in
the first step, before anything has moved, which is one forward pass in k steps. The student's come
with the task's loss, which in these steps is the cross entropy over the choices; of dual encoders
that is their loss in every step, and of captions it is one more pass. With mu = 0 and with lambda =
0 there is no such work at all. The first task is plain fine-tuning.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.backbones.base import Tower
from methods.backbones.same_texts import matching, names_of
from methods.base import State, part_of
from methods.data import Batch, Stage
from methods.parallel import gather_rows
from methods.regularisation.online_ewc import OnlineEWC, OnlineEWCConfig
from methods.tools.soft_targets import Temperature, distillation
from methods.tools.tensor_lists import divide_by, multiply_by, norms


class MultimodalEWCConfig(OnlineEWCConfig):
    """Options of `multimodal_ewc`."""

    strength: float = Field(
        default=3.0,
        ge=0,
        description="lambda, for a Fisher information of mean 1; 0 switches the penalty off.",
    )
    groups: tuple[Tower, ...] = Field(
        default=("vision", "text", "joint"), description="Towers that the penalty protects."
    )
    weights: Literal["fixed", "drift", "gradient"] = Field(
        default="drift", description="What the strength of a tower's penalty follows."
    )
    consistency: float = Field(
        default=0.3, ge=0, description="mu, weight of the consistency; 0 switches it off."
    )
    consistency_every: int = Field(
        default=8, ge=1, description="k: consistency is part of every k-th step."
    )
    temperature: Temperature = 2.0


class MultimodalEWC(OnlineEWC):
    """Protect each tower by its own Fisher information, and the fit between them."""

    Config = MultimodalEWCConfig
    config: MultimodalEWCConfig
    resumable: ClassVar[bool] = True

    def protected(self) -> list[str]:
        """Returns the weights of the chosen towers."""
        return [
            name for name in self.trainable() if self.backbone.tower(name) in self.config.groups
        ]

    def before_task(self, stage: Stage) -> None:
        """Drop the anchor, and find out which weights form a group."""
        super().before_task(stage)
        towers = [self.backbone.tower(name) for name in self.protected()]
        self.groups = [
            [i for i, tower in enumerate(towers) if tower == group] for group in sorted(set(towers))
        ]
        if self.importance:
            self.lengths = _norms(self.anchors, self.groups)
        self.stage, self.step = stage, 0
        self.earlier: dict[int, Tensor] = {}

    def loss(self, batch: Batch) -> Tensor:
        """Returns the task's loss, in every k-th step with consistency."""
        if self.step == 0 and self.config.consistency and len(self.stage.prefix) > 1:
            self.earlier = self._similarities_to_come()
        earlier = self.earlier.pop(self.step, None)
        if earlier is None:
            return super().loss(batch)
        if batch.has_classes:
            logits, smoothing = self.backbone.logits(batch), self.backbone.label_smoothing
            now, labels = gather_rows(logits), gather_rows(batch.labels)
            right = labels.unsqueeze(1) == torch.arange(now.shape[1], device=now.device)
            loss = cross_entropy(logits, batch.labels, label_smoothing=smoothing)
        else:
            with self.backbone.one_pass(batch):
                now, names = self.backbone.step_logits(batch), gather_rows(names_of(batch))
                right, loss = matching(names, names), super().loss(batch)
        change = inconsistency(earlier, now, right, self.config.temperature)
        return loss + self.config.consistency * change

    @torch.no_grad()
    def _similarities_to_come(self) -> dict[int, Tensor]:
        """Returns, by step, the current model's table [B, C] of the samples of the whole batch.

        Called inside the first step, so that precision is that of training.
        """
        data, every = self.stage.tasks[self.stage.task], self.config.consistency_every
        earlier = {}
        with self.backbone.without_dropout():
            for step in range(every - 1, len(self.stage.stream), every):
                batch = data.batch(self.stage.shard(self.stage.stream[step][1]))
                if not self.backbone.has_table(batch):
                    break
                earlier[step] = self.backbone.step_logits(batch)
        # Older torch gives these casts of the weights, made without a gradient, to the student.
        torch.clear_autocast_cache()
        return earlier

    def after_step(self) -> None:
        """Count."""
        self.step += 1

    def step_state(self) -> State:
        """Returns the count, and the tables of steps to come."""
        earlier = {f"earlier/{step}": table for step, table in self.earlier.items()}
        return earlier | {"step": torch.tensor(self.step)}

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.step = int(state["step"])
        self.earlier = {
            int(step): table.to(self.backbone.device)
            for step, table in part_of(state, "earlier/").items()
        }

    def pulls(self) -> list[Tensor]:
        """Returns w_G F (theta - theta*)."""
        if not self.importance or self.config.weights == "fixed":
            return super().pulls()
        pulls = self.moved()
        followed = pulls if self.config.weights == "drift" else self.gradients()
        weights = self._group_weights(_norms(followed, self.groups))
        multiply_by(pulls, self.importance)
        for members, weight in zip(self.groups, weights, strict=True):
            multiply_by([pulls[i] for i in members], weight)
        return pulls

    def _group_weights(self, followed: Tensor) -> Tensor:
        """Returns w_G of every group, of mean 1, from the length of what it follows."""
        sizes = followed / self.lengths
        # At the start of a task nothing has moved, and nothing is pulled.
        return sizes / sizes.mean().clamp(min=torch.finfo(sizes.dtype).tiny)

    def information(self, stage: Stage) -> list[Tensor]:
        """Returns Fhat: the Fisher information, with mean 1 in every group."""
        information = super().information(stage)
        for members in self.groups:
            group = [information[i] for i in members]
            mean = torch.cat([tensor.flatten() for tensor in group]).mean()
            divide_by(group, mean.clamp(min=torch.finfo(mean.dtype).tiny))
        return information

    def consolidate(self, stage: Stage) -> list[Tensor]:
        """Now gamma F + Fhat; nothing if there is no penalty."""
        return super().consolidate(stage) if self.config.strength and self.groups else []


def inconsistency(earlier: Tensor, now: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Returns KD_T of the rows, and of the columns, whose largest entry was a right match.

    Args:
        earlier: Similarity of B images to C texts by the earlier model, [B, C].
        now: The same by the model that learns.
        right: Which texts belong to each image: bool [B, C].
        temperature: T.
    """
    of_images = _kept(earlier, now, right, temperature)
    return of_images + _kept(earlier.T, now.T, right.T, temperature)


def _kept(earlier: Tensor, now: Tensor, right: Tensor, temperature: float) -> Tensor:
    """Returns KD_T of the rows that were right; others learn from themselves: nothing."""
    was_right = right.gather(1, earlier.argmax(dim=1, keepdim=True))
    return distillation(torch.where(was_right, earlier, now.detach()), now, temperature)


def _norms(tensors: list[Tensor], groups: list[list[int]]) -> Tensor:
    """Returns Euclidean length of every group of tensors."""
    lengths = norms(tensors)
    return torch.stack([lengths[members].norm() for members in groups])
