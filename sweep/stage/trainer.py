"""Trains units of one method on one backbone in one process.

The same code runs in a lane's data-parallel workers, in `sweep trial`, and in tests.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import Tensor

from methods.backbones.base import Backbone
from methods.backbones.expert_files import load_expert
from methods.base import State
from methods.data import Batch, Split, Stage, Task, batch_of
from methods.held_tensors import tensors_of
from methods.seeds import derive_seed
from sweep.plan.units import Unit
from sweep.pulse import PULSE
from sweep.stage.launchers import unasked_settings_hidden
from sweep.stage.pools import ReferencePool, generated
from sweep.stage.steps.checkpoints import Checkpoints
from sweep.stage.steps.optimising import Stream, adamw, scheduled
from sweep.stage.steps.random_crops import RandomCrops
from sweep.study.backbones import Source
from sweep.study.expert_sources import ExpertSource
from sweep.study.schema import MethodEntry, Study
from sweep.tasks.base import Benchmark, GeneratorConfig
from sweep.tasks.frozen_features import FrozenFeatures, worth_keeping
from sweep.tasks.pixels import Pixels


def join_lane(study: Study) -> Accelerator:
    """Sets this process up as a worker of a lane: its threads, device, peers and precision.

    The number of threads is fixed, because sums over more threads round differently. Nothing else
    is taken from the environment either, so that a study gives the same numbers in every shell.
    """
    torch.set_num_threads(max(1, int(study.lanes.cpus_per_worker)))
    if not torch.distributed.is_initialized():
        # Of a study before, in the same process, with another precision or device: Accelerate
        # refuses the one and keeps the other. Both are set anew from this study.
        AcceleratorState._reset_state(reset_partial_state=True)
    with unasked_settings_hidden():
        return Accelerator(
            # Accelerate joins several CPU workers into one process group only if this is set. And
            # a worker that is given no GPU still sees them all: Ray no longer hides them.
            cpu=study.lanes.gpus_per_worker == 0 or not torch.accelerator.is_available(),
            mixed_precision="bf16" if study.training.precision == "bf16" else "no",
            # A method's loss may leave out some of its weights in some steps; without this
            # DistributedDataParallel waits for their gradients.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )


def draw_stream(
    sizes: Mapping[str, int], steps: Mapping[str, int], batch: int, seed: int
) -> Stream:
    """Returns which samples every step trains on, over all workers together.

    Each task goes through shuffled epochs of its own; with several tasks, their steps are
    shuffled among one another. A function of the arguments alone.

    Returns:
        Per step the task and the sample ids, int64 [batch].
    """
    steps_by_task: list[tuple[str, Tensor]] = []
    for task, count in steps.items():
        generator = torch.Generator().manual_seed(derive_seed(seed, "data", task))
        epochs = math.ceil(count * batch / sizes[task])
        ids = torch.cat([torch.randperm(sizes[task], generator=generator) for _ in range(epochs)])
        steps_by_task += [(task, ids[i * batch : (i + 1) * batch]) for i in range(count)]
    if len(steps) == 1:
        return steps_by_task
    shuffle = torch.Generator().manual_seed(derive_seed(seed, "tasks"))
    return [steps_by_task[i] for i in torch.randperm(len(steps_by_task), generator=shuffle)]


def _broken(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, int]]:
    """Yields the names of tensors that are not finite, and how many of their values."""
    for name, tensor in tensors:
        if tensor.is_floating_point() or tensor.is_complex():
            bad = tensor.numel() - int(torch.isfinite(tensor).sum())
            if bad:
                yield name, bad


class TrainingTask:
    """Training samples of a task, as batches on the trainer's device."""

    def __init__(
        self,
        task: Task,
        samples: Split,
        images: Pixels | FrozenFeatures,
        device: torch.device,
        crops: RandomCrops | None = None,
    ) -> None:
        self.task = task
        self._crops = crops
        self._samples = samples
        self.images = images
        self._device = device

    def batch(self, ids: Tensor) -> Batch:
        """Returns the samples `ids` as one batch."""
        PULSE.beat()
        pixels = self.images[self._samples.shown[ids.numpy()]]
        pixels = pixels.to(self._device, non_blocking=True)
        if self._crops:
            pixels = self._crops(pixels, self.task.name, ids.tolist())
        return batch_of(self.task, self._samples, ids, pixels)

    def __len__(self) -> int:
        return len(self._samples)


class Trainer:
    """Trains the units of one method on one backbone."""

    def __init__(
        self,
        study: Study,
        entry: MethodEntry,
        source: Source,
        benchmark: Benchmark,
        accelerator: Accelerator,
        cache: Path,
    ) -> None:
        self.study = study
        self.lr = entry.options.lr
        self.benchmark = benchmark
        self.accelerator = accelerator
        self.cache = cache
        method = entry.kind
        needs = method.needs(entry.options)
        self.knows_task = method.knows_task(entry.options)
        """Whether predictions use the task of test data."""
        backbone = source.load().to(accelerator.device)
        # Embeds with the untouched backbone, so it comes before the method changes it.
        self.reference = (
            ReferencePool(study.reference_pool(), backbone, cache) if "reference" in needs else None
        )
        self.generator = study.image_generator() if "generator" in needs else None
        backbone.label_smoothing = study.training.label_smoothing
        self.towers = study.towers_of(entry) or {}
        if self.towers:
            backbone.learn_in(self.towers)
        if study.training.checkpointing:
            backbone.checkpoint()
        self.crops = RandomCrops(study.training.crop)
        self.pretrained = set(backbone.parameters())
        """The backbone's own weights, without those that the method adds."""
        self.method = method(backbone, entry.options).to(accelerator.device)
        self.sees_features = (
            self.method.leaves_images
            and not self.method.reads_pixels
            and not study.experts  # what others have trained may be any weights
            and worth_keeping(backbone)
        )
        """Whether it is given features of images instead of their pixels."""
        backbone.keeps_texts = self.method.leaves_texts and not study.experts
        self._fingerprints = study.benchmark.fingerprints()
        self._never_finite = {name for name, _ in _broken(self._tensors())}
        """Tensors that hold infinities from the start, such as masks."""
        self._tasks: dict[str, TrainingTask] = {}
        self._synthetic: dict[str, TrainingTask] = {}
        # DistributedDataParallel would cost one process time for nothing, and it refuses a method
        # that trains no weights.
        shares = accelerator.num_processes > 1 and self.method.trainable()
        self._step = accelerator.prepare_model(self.method) if shares else self.method
        self._vision = backbone.reading_state("images") if self.sees_features else {}

    @property
    def backbone(self) -> Backbone:
        """The backbone under the method."""
        return self.method.backbone

    def pixels(self, kind: str, task: Task) -> Pixels:
        """Returns the prepared images of a task's training or test split."""
        split = task.train if kind == "train" else task.test
        return Pixels(split, self.backbone, self.cache, self._key(task.name, kind))

    def images(self, kind: str, task: Task) -> Pixels | FrozenFeatures:
        """Returns what the method is given of the images of a task's training or test split."""
        if not self.sees_features or (kind == "train" and self.crops.scale):
            return self.pixels(kind, task)
        split = task.train if kind == "train" else task.test
        return FrozenFeatures(split, self.backbone, self.cache, self._key(task.name, kind))

    def _key(self, name: str, kind: str) -> str:
        """Returns what identifies the images of a task or a probe."""
        own = self._fingerprints[name]
        if kind == "train":
            return f"{own.train}/{name}/train"
        evaluation = self.study.evaluation
        some = "" if evaluation.samples is None else f"/{evaluation.samples}/{evaluation.seed}"
        return f"{own.test}/{name}/test{some}"

    def training_images(self, name: str) -> Pixels | FrozenFeatures:
        """Returns what batches are given of the training images of a task."""
        return self._task(name).images

    def _task(self, name: str) -> TrainingTask:
        if name not in self._tasks:
            task = self.benchmark.tasks[name]
            images = self.images("train", task)
            self._tasks[name] = TrainingTask(
                task, task.train, images, self.accelerator.device, self.crops
            )
        return self._tasks[name]

    def _generated(self, name: str, config: GeneratorConfig) -> TrainingTask:
        if name not in self._synthetic:
            task = self.benchmark.tasks[name]
            samples = generated(config, self.study.benchmark, task)
            key = f"{config.fingerprint()}/{self._key(name, 'train')}"
            pixels = Pixels(samples, self.backbone, self.cache, key)
            self._synthetic[name] = TrainingTask(task, samples, pixels, self.accelerator.device)
        return self._synthetic[name]

    def _stage(self, unit: Unit) -> Stage:
        training = self.study.training
        seed = derive_seed(unit.seed, *unit.prefix)
        learnt = self.method.tasks_trained_on(unit.prefix) if unit.kind == "train" else ()
        return Stage(
            prefix=unit.prefix,
            tasks={name: self._task(name) for name in unit.prefix},
            batch_size=training.batch_size,
            seed=seed,
            replicate_seed=unit.seed,
            reference=self.reference,
            synthetic={
                name: self._generated(name, self.generator)
                for name in unit.prefix[:-1]
                if self.generator
            },
            stream=draw_stream(
                {name: len(self.benchmark.tasks[name].train) for name in learnt},
                {name: training.steps_of(name) for name in learnt},
                training.batch_size,
                seed,
            ),
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
        )

    def combine(self, unit: Unit, trained: Sequence[State]) -> None:
        """Combines the states of a unit's parents into what the method predicts with.

        Raises:
            FloatingPointError: what it predicts with is not finite.
        """
        self.method.combine(dict(zip(unit.prefix, trained, strict=True)), self._stage(unit))
        self._check_vision()
        self._check_finite(f"combining '{' > '.join(unit.prefix)}'")

    def load(self, source: ExpertSource) -> State:
        """Returns the state of an expert that others have trained: the weights that it holds.

        Raises:
            ValueError: its files have changed, or it is no expert of this backbone.
        """
        source.verify()
        self.method.reset(0)
        weights = load_expert(self.backbone, source.files)
        return {f"weights/backbone.{name}": tensor for name, tensor in weights.items()}

    def train(
        self, unit: Unit, parent: State | None, checkpoints: Checkpoints | None = None
    ) -> State:
        """Trains the last task of a unit.

        Args:
            unit: What to train.
            parent: The state to begin with; None: the untouched backbone.
            checkpoints: Where a stage is written down that takes long; None: nowhere.

        Raises:
            FloatingPointError: the loss, or what is left of the training, is not finite.
            HandedOverError: the machine is about to vanish.
            TypeError: the method's state is something else than tensors by name.
        """
        if parent is None:
            self.method.reset(derive_seed(unit.seed, "initial"))
        else:
            self.method.load_state(parent)
        stage = self._stage(unit)
        # Dropout and the like draw from torch's global generator.
        torch.manual_seed(derive_seed(stage.seed, "torch", stage.rank))
        self.method.train()
        self.method.before_task(stage)
        if stage.stream:
            try:
                self._optimise(stage, checkpoints if self.method.resumes() else None)
            finally:
                self.crops.stop()
                self.backbone.meets_workers = False
        self.method.after_task(stage)
        self._check_vision()
        self._check_finite(f"training '{stage.task}'")
        return tensors_of(self.method.state(), f"{type(self.method).__name__}.state()")

    def _check_vision(self) -> None:
        """Makes sure that images are still read as they were when features stood for them.

        Raises:
            ValueError: they are not.
        """
        if self.sees_features and (now := self.backbone.reading_state("images")) != self._vision:
            names = now.keys() | self._vision.keys()
            changed = min(name for name in names if now.get(name) != self._vision.get(name))
            raise ValueError(
                f"{type(self.method).__name__} has changed '{changed}', which reads images, though "
                "features of images were computed once; name in `trainable` what it changes, or "
                "set `reads_pixels`"
            )

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yields all that the method predicts with and goes on from, by name."""
        yield from self.method.named_parameters()
        yield from self.method.named_buffers()
        source = f"{type(self.method).__name__}.extra_state()"
        yield from tensors_of(self.method.extra_state(), source).items()

    def _check_finite(self, doing: str) -> None:
        """Makes sure that no tensor of the method has become NaN or infinite.

        Workers agree on it, so that none goes on where another fails.

        Raises:
            FloatingPointError: says after `doing` what, in which tensor.
        """
        mine = [bad for bad in _broken(self._tensors()) if bad[0] not in self._never_finite]
        broken = dict(gather_object(mine))
        if broken:
            name, count = next(iter(broken.items()))
            others = f", and in {len(broken) - 1} other tensors" if len(broken) > 1 else ""
            raise FloatingPointError(
                f"{doing} left NaN or infinite values in '{name}' of {type(self.method).__name__} "
                f"({count}{others}); lower the learning rate, or mend the method"
            )

    def _optimise(self, stage: Stage, checkpoints: Checkpoints | None) -> None:
        training = self.study.training
        parameters = [p for p in self.method.parameters() if p.requires_grad]
        optimizer = adamw(self.method, self.towers, training.weight_decay)
        self.method.on_optimizer_created(optimizer)
        done = checkpoints.put_back(self.method, optimizer) if checkpoints else 0
        schedule = scheduled(optimizer, training, self.lr, stage.stream, done)
        self.backbone.meets_workers = True
        broken = torch.zeros((), dtype=torch.int64, device=self.accelerator.device)
        for step, (task, ids) in enumerate(stage.stream[done:], done):
            self.crops.start(stage.seed, step)
            loss = self._backward(stage.tasks[task].batch(stage.shard(ids)))
            broken += ~loss.isfinite()  # on the device, which nothing waits for
            self.method.after_backward()
            if training.clip_norm is not None:
                self.accelerator.clip_grad_norm_(parameters, training.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            self.method.after_step()
            PULSE.beat()
            if checkpoints and step + 1 < len(stage.stream):
                checkpoints.after_step(step + 1, self.method, optimizer)
        if count := max(gather_object([int(broken)])):
            raise FloatingPointError(
                f"the loss was NaN or infinite in {count} of {len(stage.stream)} steps of training "
                f"'{stage.task}'; lower the learning rate"
            )

    def _backward(self, batch: Batch) -> Tensor:
        """Adds the gradient of a step's batch, part by part; returns its loss, without gradient.

        Workers exchange gradients with the last part.
        """
        whole = torch.zeros((), device=self.accelerator.device)
        for some in batch.parts(self.study.training.micro_batch):
            part = some.part
            waits = part is not None and not part.is_last
            with self.accelerator.no_sync(self._step) if waits else nullcontext():
                with self.accelerator.autocast():
                    loss = self._step(some)
                if part:
                    loss = loss * part.share
                self.accelerator.backward(loss)
            whole += loss.detach()
        return whole
