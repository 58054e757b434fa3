"""The contract of a continual-learning method.

A method says what is particular to it: which weights it trains, its loss, and what it keeps from
one task to the next. The training loop, the optimiser, its schedule, several workers, the order of
the data, evaluation and recording belong to the engine.

Per stage the engine calls

    before_task(stage)
    on_optimizer_created(optimizer)
    per step:  loss(batch) -> backward -> after_backward() -> optimiser step -> after_step()
    after_task(stage)
    state()

and, for the next stage, `load_state` with the state of whichever prefix comes before it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from methods.backbones.base import Backbone
from methods.data import Batch, Stage

DependsOn = Literal["nothing", "task", "set", "sequence"]
Requirement = Literal["reference", "generator"]
"""What a stage can bring beside its tasks: `Stage.reference`, `Stage.synthetic`."""
State = dict[str, Tensor]
"""Everything needed to go on from a prefix: CPU tensors by name. That of an expert that others have
trained holds the weights alone which they did train."""


class MethodConfig(BaseModel):
    """Options of a method, as in the study file.

    >>> class ScaledConfig(MethodConfig):
    ...     scale: float = Field(default=1.0, gt=0, description="Factor of the loss.")
    >>> ScaledConfig(scale=0.5).model_dump()
    {'lr': None, 'scale': 0.5}
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    lr: float | None = Field(
        default=None, gt=0, description="Learning rate of this method instead of the study's."
    )


class Method(nn.Module, ABC):
    """One continual-learning method on one backbone.

    Two promises make sharing exact. The state is complete: `load_state` of a prefix's state and
    training the next task equals never having stopped. And randomness comes from the stage
    (`stage.generator`) or from the seed of `reset`, never from a generator that ran before.

    A method has at least a loss. This one trains all weights that the backbone leaves free:

    >>> class Plain(Method):
    ...     def loss(self, batch: Batch) -> Tensor:
    ...         return self.backbone.loss(batch).mean()
    >>> Plain.depends_on
    'sequence'
    >>> Plain.tasks_trained_on(("a", "b"))
    ('b',)
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig

    depends_on: ClassVar[DependsOn] = "sequence"
    """What the result of one training depends on: nothing (there is no training), the task alone,
    the set of tasks, or their sequence. The planner shares trainings accordingly."""

    combines_over: ClassVar[Literal["set", "sequence"] | None] = None
    """What a second, cheap step (`combine`) depends on, for methods whose predictor of a prefix is
    made from several trained states; None for methods that have no such step.

    A method that depends on the task alone combines one expert per task, a method that depends on
    the sequence combines the states along the path."""

    reuses_training_of: ClassVar[type["Method"] | None] = None
    """Another method whose trainings this one reuses: where the options that both have are equal,
    they are trained once for both. Its `Config` must be a part of this method's."""

    requires: ClassVar[frozenset[Requirement]] = frozenset()
    """What the study must provide beside the tasks: `Stage.reference`, `Stage.synthetic`."""

    needs_classes: ClassVar[bool] = False
    """Whether it learns only tasks of which one list of choices holds for all samples."""

    uses_task_id: ClassVar[bool] = False
    """Whether predictions use the identity of the test data's task, which `select` names."""

    def __init__(self, backbone: Backbone, config: MethodConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.build()
        names = set(self.trainable())
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in names)
        self._initial = self.state()

    def build(self) -> None:
        """Add what the method needs beside the backbone's own weights (adapters, prompts)."""

    def trainable(self) -> list[str]:
        """Returns the names (as in `named_parameters`) of all weights that any stage may train."""
        return [f"backbone.{name}" for name in self.backbone.trainable()]

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the tasks from which the last stage of `prefix` draws its training batches.

        Methods in closed form learn in `after_task`: they name no task and take no steps.
        """
        return prefix[-1:]

    def before_task(self, stage: Stage) -> None:
        """Called once before the first step of a stage, with the parent's state loaded."""

    def on_optimizer_created(self, optimizer: Optimizer) -> None:
        """Called once before the first step, for methods that edit `optimizer.state`.

        That is the optimiser's memory of each weight; everything else in it belongs to the engine.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Returns the scalar to minimise on this worker's share of a step's batch."""

    def forward(self, batch: Batch) -> Tensor:
        """Returns the loss; this is the call that data-parallel training wraps."""
        return self.loss(batch)

    def after_backward(self) -> None:
        """Called after every backward pass, with gradients averaged over workers, to edit them."""

    def after_step(self) -> None:
        """Called after every optimiser step."""

    def after_task(self, stage: Stage) -> None:
        """Called once after the last step of a stage, before its state is taken."""

    def select(self, task: str | None) -> None:
        """Prepare for predictions and embeddings of data of `task`; None: of data of no task."""

    def predict(self, batch: Batch) -> Tensor:
        """Returns the index of the choice predicted for each sample: int64 [B], -1 for none."""
        return self.backbone.predict(batch)

    def write(self, batch: Batch) -> list[str]:
        """Returns the answer written to each sample of a task that has no choices."""
        return self.backbone.write(batch)

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Become the predictor of a prefix that is made from several trained states.

        Args:
            experts: By task, in the order of `stage.prefix`: the state of the expert of that task
                alone, or the state of the path after that task.
            stage: Without a stream; its prefix is sorted where `combines_over` is "set".
        """
        raise TypeError(f"{type(self).__name__} does not combine trained states")

    def reset(self, seed: int) -> None:
        """Return to the untouched backbone, with random initial weights drawn from `seed`."""
        self.load_state(self._initial)

    def extra_state(self) -> State:
        """Returns what the method keeps between tasks beside its trainable weights."""
        return {}

    def load_extra_state(self, state: State) -> None:
        """Take over what `extra_state` gave."""

    def state(self) -> State:
        """Returns a copy of the complete state, on the CPU."""
        names = set(self.trainable())
        weights = {
            f"weights/{name}": parameter.detach().to("cpu", copy=True).contiguous()
            for name, parameter in self.named_parameters()
            if name in names
        }
        extra = {
            f"extra/{name}": tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in self.extra_state().items()
        }
        return weights | extra

    @torch.no_grad()
    def load_state(self, state: State) -> None:
        """Return to a state that `state()` gave (of this method, on this backbone)."""
        parameters = dict(self.named_parameters())
        for name in self.trainable():
            parameters[name].copy_(state[f"weights/{name}"])
        self.load_extra_state(part_of(state, "extra/"))


def part_of(state: Mapping[str, Tensor], prefix: str) -> State:
    """Returns the tensors whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
