"""Experience replay: learn samples of earlier tasks beside those of the task.

Rolnick et al., "Experience Replay for Continual Learning" (NeurIPS 2019, arXiv 1811.11682), in the
form of Chaudhry et al., "On Tiny Episodic Memories in Continual Learning" (2019, arXiv 1902.10486):
every step minimises the mean loss over the union of the task's batch and one from memory.

Left open there and decided here: both batches have the same size; every sample is classified among
the choices of its own task. What is kept is said in buffers.py.

Captions that a dual encoder learns are compared with those of the same task in the same draw. Which
tasks are drawn from, and how often, differs between workers, so that they cannot compare theirs
with one another: each of them gets all captions that are drawn, and its loss counts these by its
part. So the number of workers does not matter, but they do not divide this work.
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from methods.base import State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, BatchPart, Stage
from methods.replay.buffers import BUFFERS, BufferKind, Replay


class ERConfig(FineTuneConfig):
    """Options of `er`."""

    memory: int = Field(default=300, ge=1, description="Samples kept over all tasks together.")
    buffer: BufferKind = Field(
        default="balanced",
        description="Keep equal shares whatever the order of tasks, or a uniform draw in passing.",
    )


class ER(FineTune):
    """Add a batch from memory to every batch of the task."""

    Config = ERConfig
    config: ERConfig
    is_mean_over_samples: ClassVar[bool] = True
    resumable: ClassVar[bool] = True

    batches: ClassVar[int] = 1
    """How many are drawn from memory for every step."""

    def build(self) -> None:
        """Start with nothing in memory."""
        super().build()
        self.buffer = BUFFERS[self.config.buffer](self.config.memory)

    def before_task(self, stage: Stage) -> None:
        """Remember where samples come from and how to draw them."""
        self.stage = stage
        self.undivided = [
            name for name, data in stage.tasks.items() if self.backbone.contrasts(data.task)
        ]
        self.draws = stage.generator("replay")
        self.replays = [
            Replay(self.buffer, stage, self.draws, self.undivided) for _ in range(self.batches)
        ]

    def step_state(self) -> State:
        """Returns how far the draws are."""
        return {"draws": self.draws.get_state()}

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave."""
        self.draws.set_state(state["draws"])

    def recall(self, part: BatchPart | None = None) -> list[list[Batch]]:
        """Returns the next batches from memory, each by task; for a part of a step a part."""
        return [replay.recall(part) for replay in self.replays]

    def loss(self, batch: Batch) -> Tensor:
        """Returns the mean over the union of the task's batch and one batch from memory."""
        (recalled,), workers = self.recall(batch.part), self.stage.world_size
        losses = self.backbone.loss(batch, *recalled)
        if workers == 1 or not any(part.task.name in self.undivided for part in recalled):
            return losses.mean()
        counts = [1.0] * len(batch)
        for part in recalled:
            counts += [1 / workers if part.task.name in self.undivided else 1.0] * len(part)
        # Both whole batches have the same size, and so have a worker's shares of them.
        return (losses * losses.new_tensor(counts)).sum() / (2 * len(batch))

    def after_task(self, stage: Stage) -> None:
        """Take the task into memory."""
        self.buffer.take_in(stage)

    def extra_state(self) -> State:
        """Returns what is in memory."""
        return self.buffer.state()

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""
        self.buffer.load_state(state)
