"""Writes down a stage in training from time to time, and goes on from there.

What a checkpoint holds besides the stage's beginning, which is made again: the weights in training,
the buffers, the optimiser's memory, the random numbers of torch, and the method's `step_state`. On
CPUs what comes of it is what would have come without a break, bit for bit.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch.optim import Optimizer

from methods.base import Method, State, part_of
from methods.held_tensors import tensors_of
from sweep.pulse import PULSE
from sweep.storage.checkpoint_files import Checkpoint, CheckpointFiles
from sweep.storage.folder import DamagedError

SHARED, OWN = "shared/", "own/"
"""What names in a worker's file begin with; what is shared is in the first worker's."""
LOOK_SECONDS = 1.0
"""Seconds between two looks at the clock: workers have to agree on what it says."""


class HandedOverError(Exception):
    """Says that a stage was left with a checkpoint, since its machine is about to vanish."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step
        """Steps that were done."""


class Checkpoints:
    """Decides for all workers of a lane when a checkpoint is due, writes it, and finds it again."""

    def __init__(
        self,
        files: CheckpointFiles,
        accelerator: Accelerator,
        every: float,
        is_leaving: Callable[[], bool] = lambda: False,
        look: float = LOOK_SECONDS,
    ) -> None:
        """Look at nothing yet.

        Args:
            files: Where they are.
            accelerator: The workers.
            every: Seconds from one checkpoint of a stage to the next.
            is_leaving: Whether a machine of the lane is about to vanish; all workers ask together.
            look: Seconds between two looks at the clock and at the machines.
        """
        self._files = files
        self._accelerator = accelerator
        self._every = every
        self._is_leaving = is_leaving
        self._look = look
        self._key = ""
        self._is_there = False
        self.earlier = 0.0
        """Seconds of the stage's steps before its checkpoint."""

    def begin(self, key: str) -> None:
        """Turn to another stage."""
        self._key, self.earlier, self._is_there = key, 0.0, False
        self._begun = self._last = time.monotonic()
        self._first = self._next = 0

    def put_back(self, method: Method, optimizer: Optimizer) -> int:
        """Go on where the stage was; returns how many steps were done, 0 without a checkpoint."""
        rank, workers = self._accelerator.process_index, self._accelerator.num_processes
        found = [self._files.find(self._key) if rank == 0 else None]
        checkpoint: Checkpoint | None = broadcast_object_list(found)[0]
        if checkpoint is None:
            return 0
        self._is_there = True
        read: list[State] = []
        if len(checkpoint.digests) == workers:
            # One that cannot be read saves no time, and the stage is trained from its start.
            with suppress(OSError, DamagedError):
                read = [self._files.read(self._key, checkpoint, i) for i in (0, rank)[: rank + 1]]
        if not all(gather_object([bool(read)])):
            return 0
        put_back(method, optimizer, part_of(read[0], SHARED), part_of(read[-1], OWN))
        self.earlier = checkpoint.seconds
        self._first = self._next = checkpoint.step
        return checkpoint.step

    def after_step(self, done: int, method: Method, optimizer: Optimizer) -> None:
        """Write a checkpoint if one is due.

        Args:
            done: Steps of the stage that are done; there are more.
            method: What is trained.
            optimizer: What trains it.

        Raises:
            HandedOverError: a machine of the lane is about to vanish.
        """
        if done < self._next:
            return
        now = time.monotonic()
        each = (now - self._begun) / (done - self._first)
        seen = [now - self._last >= self._every, max(1, int(self._look / max(each, 1e-6)))]
        is_due, steps = broadcast_object_list(seen)  # the first worker's clock counts
        self._next = done + steps
        is_leaving = self._is_leaving()
        is_written = (is_due or is_leaving) and self._write(done, method, optimizer)
        if is_leaving and is_written:
            raise HandedOverError(done)

    def _write(self, done: int, method: Method, optimizer: Optimizer) -> bool:
        """Returns whether there now is a checkpoint of this step.

        On a full disk, or with a server that is silent, there is none, and training goes on.
        """
        rank, digest, is_written = self._accelerator.process_index, "", False
        state = taken(method, optimizer, with_shared=rank == 0)
        with suppress(OSError):
            digest = self._files.write(self._key, done, rank, state)
        digests = gather_object([digest])
        self._last = time.monotonic()
        self._is_there = True
        if rank == 0 and all(digests):
            seconds = round(self.earlier + self._last - self._begun, 4)
            with suppress(OSError):
                self._files.complete(self._key, Checkpoint(done, seconds, digests))
                is_written = True
        PULSE.beat()
        return bool(broadcast_object_list([is_written])[0])

    def drop(self, key: str) -> None:
        """Delete the checkpoint of the stage that was trained last, and now is stored."""
        if key == self._key and self._is_there:
            self._files.drop(key)


def taken(method: Method, optimizer: Optimizer, with_shared: bool) -> State:
    """Returns what a worker needs to go on after a step, as CPU tensors.

    Args:
        method: What is trained.
        optimizer: What trains it.
        with_shared: Whether what all workers have alike is with it.

    Raises:
        TypeError: the method keeps other things than tensors.
    """
    source = f"{type(method).__name__}.step_state()"
    parts = _named(f"{OWN}method", method.step_state(), source)
    parts |= {f"{OWN}random": torch.get_rng_state()} | _device_random(method)
    if with_shared:
        parts |= _named(f"{SHARED}weights", _trained(method))
        parts |= _named(f"{SHARED}buffers", _buffers(method))
        for i, memory in optimizer.state_dict()["state"].items():
            parts |= _named(f"{SHARED}optimizer/{i}", memory, "optimizer.state")
    return {name: part.detach().to("cpu", copy=True).contiguous() for name, part in parts.items()}


@torch.no_grad()
def put_back(method: Method, optimizer: Optimizer, shared: State, own: State) -> None:
    """Go on from what `taken` gave, after `before_task` and `on_optimizer_created`.

    Args:
        method: What is trained.
        optimizer: What trains it.
        shared: What all workers have alike.
        own: What is this worker's own.
    """
    for kind, held in (("weights/", _trained(method)), ("buffers/", _buffers(method))):
        for name, tensor in part_of(shared, kind).items():
            held[name].copy_(tensor)
    memory: dict[int, State] = defaultdict(dict)
    for name, tensor in part_of(shared, "optimizer/").items():
        i, _, entry = name.partition("/")
        memory[int(i)][entry] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": dict(memory)})
    method.load_step_state(part_of(own, "method/"))
    torch.set_rng_state(own["random"])
    if "device random" in own:
        device = method.backbone.device
        torch.get_device_module(device).set_rng_state(own["device random"], device)


def _trained(method: Method) -> State:
    return {name: weight for name, weight in method.named_parameters() if weight.requires_grad}


def _buffers(method: Method) -> State:
    return dict(method.named_buffers())


def _device_random(method: Method) -> State:
    device = method.backbone.device
    if device.type == "cpu":
        return {}
    return {f"{OWN}device random": torch.get_device_module(device).get_rng_state(device)}


def _named(kind: str, tensors: object, source: str = "") -> State:
    return {f"{kind}/{name}": tensor for name, tensor in tensors_of(tensors, source).items()}
