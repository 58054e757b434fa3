"""Experience replay from a reservoir.

Rolnick et al., "Experience Replay for Continual Learning" (NeurIPS 2019, arXiv 1811.11682), with
the reservoir of Vitter ("Random Sampling with a Reservoir", 1985, algorithm R): the n-th sample
met is kept with probability memory / n, so that the memory is a uniform draw from all samples met.

Left open there and decided here: the memory is filled after a task with the samples that its
training saw, in the order of their first appearance, so that a task replays only earlier tasks;
memory batches are drawn with replacement; memory and task batch are one union in the loss.
"""

import torch
from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.data import Batch, Stage
from methods.finetune import FineTune, FineTuneConfig


class ReplayConfig(FineTuneConfig):
    """Options of `replay`."""

    memory: int = Field(default=300, ge=1, description="Samples kept over all tasks together.")


class Replay(FineTune):
    """Add a batch from memory to every batch of the task."""

    Config = ReplayConfig
    config: ReplayConfig

    def build(self) -> None:
        """Start with nothing in memory."""
        super().build()
        self.memory: list[tuple[str, int]] = []
        self.seen = 0

    def before_task(self, stage: Stage) -> None:
        """Remember where samples come from and how to draw them."""
        self.stage = stage
        self.draws = stage.generator("replay")

    def loss(self, batch: Batch) -> Tensor:
        """Mean over the union of the task's batch and one batch from memory."""
        recalled: list[Batch] = []
        if self.memory:
            drawn = torch.randint(len(self.memory), (self.stage.batch_size,), generator=self.draws)
            recalled = self._recall(self.stage.shard(drawn))
        return self.backbone.loss(batch, *recalled).mean()

    def _recall(self, slots: Tensor) -> list[Batch]:
        by_task: dict[str, list[int]] = {}
        for slot in slots.tolist():
            task, sample = self.memory[slot]
            by_task.setdefault(task, []).append(sample)
        return [
            self.stage.tasks[task].batch(torch.tensor(samples)) for task, samples in by_task.items()
        ]

    def after_task(self, stage: Stage) -> None:
        """Algorithm R over the samples of this task."""
        generator = stage.generator("reservoir")
        met = dict.fromkeys((task, i) for task, ids in stage.stream for i in ids.tolist())
        for item in met:
            self.seen += 1
            if len(self.memory) < self.config.memory:
                self.memory.append(item)
                continue
            slot = int(torch.randint(self.seen, (1,), generator=generator))
            if slot < self.config.memory:
                self.memory[slot] = item

    def extra_state(self) -> State:
        """Sample ids, never pixels: per task the slots it holds and the samples in them."""
        state: State = {"seen": torch.tensor(self.seen)}
        for task in dict.fromkeys(task for task, _ in self.memory):
            held = [(slot, i) for slot, (name, i) in enumerate(self.memory) if name == task]
            state[f"memory/{task}"] = torch.tensor(held)
        return state

    def load_extra_state(self, state: State) -> None:
        """Put every sample back into its slot."""
        self.seen = int(state["seen"])
        slots = {
            slot: (name.removeprefix("memory/"), sample)
            for name, held in state.items()
            if name.startswith("memory/")
            for slot, sample in held.tolist()
        }
        self.memory = [slots[slot] for slot in range(len(slots))]
