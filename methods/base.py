"""The contract of a continual-learning method.

A method says what is particular to it: which weights it trains, its loss, and what it keeps from
one task to the next. The training loop, the optimiser, its schedule, several workers, the order of
the data, evaluation and recording belong to the engine.

Per stage the engine calls

    before_task(stage)
    on_optimizer_created(optimizer)
    per step:  loss(batch) -> backward -> after_backward() -> optimiser step -> after_step()
               (`training.micro_batch`: loss and backward for one part of the batch after another)
    after_task(stage)
    state()

and, for the next stage, `load_state` with the state of whichever prefix comes before it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer

from methods.backbones.base import READINGS, TOWERS, Backbone, Family, Tower
from methods.data import Batch, Stage
from methods.held_tensors import hold_exactly, on_disk, tensors_of

DependsOn = Literal["nothing", "task", "set", "sequence"]
Requirement = Literal["reference", "generator"]
"""What a stage can bring beside its tasks: `Stage.reference`, `Stage.synthetic`."""
_LOSS = ("loss", "forward")
_HOOKS = (*_LOSS, "build", "before_task", "on_optimizer_created", "after_backward", "after_step")
"""What the engine calls until the last step of a stage is done."""
State = dict[str, Tensor]
"""Everything needed to go on from a prefix: CPU tensors by name. That of an expert that others have
trained holds the weights alone which they did train."""


def _with_factors(given: Any) -> Any:
    return dict.fromkeys(given, 1.0) if isinstance(given, list | tuple) else given


Towers = Annotated[
    dict[Tower, Annotated[float, Field(gt=0)]], Field(min_length=1), BeforeValidator(_with_factors)
]
"""Parts of a backbone that learn, each with a factor of the learning rate; a list of them: with 1.

What a method adds outside of them, such as prompts and heads, learns at the rate itself.
"""


class MethodConfig(BaseModel):
    """Options of a method, as in the study file.

    >>> class ScaledConfig(MethodConfig):
    ...     scale: float = Field(default=1.0, gt=0, description="Factor of the loss.")
    >>> ScaledConfig(scale=0.5, towers=["vision"]).model_dump()
    {'lr': None, 'towers': {'vision': 1.0}, 'scale': 0.5}
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    lr: float | None = Field(
        default=None, gt=0, description="Learning rate of this method instead of the study's."
    )
    towers: Towers | None = Field(
        default=None,
        description="Towers in which this method learns instead of the study's, as in "
        "training.towers.",
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

    is_mean_over_samples: ClassVar[bool] = False
    """Whether `loss` is a mean over the samples of the batch, so that a step may be made of parts
    of its batch. What does not depend on them is added by `Batch.once`; what is drawn for a step,
    is drawn with the first part. Said of the `loss` of this class, not of one that overrides it."""

    resumable: ClassVar[bool] = False
    """Whether a stage may go on from a checkpoint of one of its steps: after `before_task`, what
    steps change is in the weights, buffers, optimiser and random numbers of torch, which the engine
    keeps, and in `step_state`. Said of the hooks of this class, not of one that overrides one."""

    repeats_passes: ClassVar[bool] = True
    """Whether a layer may be computed again in the backward pass (`training.checkpointing`); not if
    its own parts draw or count in every pass."""

    reads_pixels: ClassVar[bool] = True
    """Whether it looks into `Batch.pixels` itself. False: it only hands them on to the backbone, so
    that it may be given features instead (see `leaves_images`)."""

    def __init__(self, backbone: Backbone, config: MethodConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        before = {reading: backbone.reading_state(reading) for reading in READINGS}
        self.build()
        hold_exactly(self, self.changed())
        names = set(self.trainable())
        left = {
            reading: state == backbone.reading_state(reading)
            and not any(f"backbone.{name}" in names for name in state)
            for reading, state in before.items()
        }
        prompting = backbone.prompting
        self.leaves_images = left["images"]
        """Whether images are read by the untouched backbone for ever: `build` put nothing there,
        and no stage trains weights there. Then features of images need computing only once."""
        self.leaves_texts = left["texts"] and prompting.context is None and not prompting.in_texts
        """The same of texts."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in names)
        self._initial = on_disk(tensors_of(self.state(), f"{type(self).__name__}.state()"))

    def build(self) -> None:
        """Add what the method needs beside the backbone's own weights (adapters, prompts)."""

    def trainable(self) -> list[str]:
        """Returns the names (as in `named_parameters`) of all weights that any stage may train."""
        return [f"backbone.{name}" for name in self.backbone.trainable()]

    def changed(self) -> list[str]:
        """Returns the names of all weights that may change, trained or merged into.

        They are kept in single precision, whatever the type of the backbone's other weights.
        """
        return self.trainable()

    @classmethod
    def tasks_trained_on(cls, prefix: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the tasks from which the last stage of `prefix` draws its training batches.

        Methods in closed form learn in `after_task`: they name no task and take no steps.
        """
        return prefix[-1:]

    @classmethod
    def learns_in(cls, config: MethodConfig, family: Family) -> frozenset[Tower]:
        """Returns the parts of backbones of a family in which it can train or change anything."""
        return frozenset(TOWERS)

    @classmethod
    def context_length(cls, config: MethodConfig) -> int:
        """Returns how many places of a text tower its own tokens take from every text."""
        return 0

    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Returns whether predictions use which task test data are of: by `select`, or by name.

        Such a method answers an easier question than one that is not told; results are marked.
        Answering tasks not learnt yet otherwise than learnt ones is such a use, too.
        """
        return False

    @classmethod
    def needs(cls, config: MethodConfig) -> frozenset[Requirement]:
        """Returns what the study must provide with these options, all of `requires` by default."""
        return cls.requires

    @classmethod
    def most_samples(cls, config: MethodConfig) -> int | None:
        """Returns how many training samples, compared in pairs, an order has at most; or None."""
        return None

    @classmethod
    def divides_batches(cls) -> bool:
        """Returns whether a step may be made of parts of its batch, see `is_mean_over_samples`."""
        return cls.is_mean_over_samples and cls._is_said_of("is_mean_over_samples", _LOSS)

    @classmethod
    def resumes(cls) -> bool:
        """Returns whether a stage may go on from one of its steps, see `resumable`."""
        return cls.resumable and cls._is_said_of("resumable", _HOOKS)

    @classmethod
    def _is_said_of(cls, claim: str, names: Iterable[str]) -> bool:
        """Returns whether some methods of this class are as they were when a claim was made."""
        said, *owners = (
            next(owner for owner in cls.__mro__ if name in vars(owner)) for name in (claim, *names)
        )
        return all(issubclass(said, owner) for owner in owners)

    def before_task(self, stage: Stage) -> None:
        """Called once before the first step of a stage, with the parent's state loaded."""

    def on_optimizer_created(self, optimizer: Optimizer) -> None:
        """Called once before the first step, for methods that edit `optimizer.state`.

        That is the optimiser's memory of each weight; everything else in it belongs to the engine.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Returns the scalar to minimise on this worker's share of a step's batch, or a part."""

    def forward(self, batch: Batch) -> Tensor:
        """Returns the loss; this is the call that data-parallel training wraps."""
        return self.loss(batch)

    def after_backward(self) -> None:
        """Called once a step, with gradients averaged over workers, to edit them."""

    def after_step(self) -> None:
        """Called after every optimiser step."""

    def after_task(self, stage: Stage) -> None:
        """Called once after the last step of a stage, before its state is taken."""

    def select(self, task: str | None) -> None:
        """Prepare for data of `task`, if `knows_task` says that it is told; None: of no task."""

    def predict(self, batch: Batch) -> Tensor:
        """Returns the index of the choice predicted for each sample: int64 [B], -1 for none."""
        return self.backbone.predict(batch)

    def predictions(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor]]:
        """Yields the batches of a task with what is predicted for each of them.

        For methods to which all samples of a task together cost less than batch by batch.

        Args:
            batches: May be gone through again and again.
        """
        return ((batch, self.predict(batch)) for batch in batches)

    def routing(self, batch: Batch) -> dict[str, Tensor]:
        """Returns how much what belongs to a task takes part in the answers to samples.

        Of methods that find out for themselves which task a sample looks like; nothing of others.

        Returns:
            By task learnt: float [B], together at most 1; the untouched backbone answers the rest.
        """
        return {}

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

    def step_state(self) -> State:
        """Returns what the steps of a stage change beside weights and buffers: sums, generators.

        Also what `before_task` finds otherwise on other machines, such as singular vectors. What
        it contains is this worker's own.
        """
        return {}

    def load_step_state(self, state: State) -> None:
        """Take over what `step_state` gave, after `before_task` of the same stage."""

    def state(self) -> State:
        """Returns a copy of the complete state, on the CPU."""
        names, source = set(self.trainable()), f"{type(self).__name__}.extra_state()"
        weights = {
            f"weights/{name}": parameter.detach().to("cpu", copy=True).contiguous()
            for name, parameter in self.named_parameters()
            if name in names
        }
        extra = {
            f"extra/{name}": tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in tensors_of(self.extra_state(), source).items()
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
