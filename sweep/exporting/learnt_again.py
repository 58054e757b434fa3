"""Brings back what a stage learnt: reads its state where it was kept, else trains it again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from safetensors.torch import save

from methods.base import State
from methods.tools.model_folders import obstacle
from sweep.errors import InputError
from sweep.exporting.planned_stage import PlannedStage
from sweep.plan.plan import Plan
from sweep.plan.units import Unit
from sweep.single import plan_single
from sweep.stage.trainer import Trainer, join_lane
from sweep.stage.worker import Worker
from sweep.storage.inputs import changes, inputs, read_inputs
from sweep.storage.store import StateLostError
from sweep.texts import plural

Say = Callable[[str], None]


@dataclass(frozen=True)
class BroughtBack:
    """A method that predicts as it did after a stage."""

    trainer: Trainer
    plan: Plan
    trained: int
    """Stages that were trained again."""
    differing: int
    """Of these, how many ended with another state than in the run, as far as that is known."""


def bring_back(stage: PlannedStage, say: Say) -> BroughtBack:
    """Returns the method with what it had learnt, in evaluation mode.

    Args:
        stage: What to bring back.
        say: Is told, before it begins, if something has to be trained.

    Raises:
        InputError: what it predicts with is no model, or what it was made from has changed.
    """
    run = stage.run
    plan = plan_single(stage.study, run.method, stage.prefix, run.replicate, run.backbone)
    _check_inputs(stage, plan)
    to_do = _to_do(stage, plan)
    worker = Worker(plan.study, plan.pinned, join_lane(plan.study))
    worker.load(stage.unit)
    _check_method(stage, worker.trainer)
    training = [unit for unit, is_kept in to_do if unit.kind == "train" and not is_kept]
    if training:
        were = "was" if len(training) == 1 else "were"
        say(
            f"{plural(len(training), 'state')} of this run {were} not kept; training "
            f"{plural(len(training), 'stage')} again, in this process."
        )
    states: dict[str, State] = {}
    differing = 0

    def state_of(key: str) -> State:
        return states[key] if key in states else stage.store.state(key)

    for number, (unit, is_kept) in enumerate(to_do):
        result = worker.compute(replace(unit, evaluation=""), state_of, is_kept)
        later = {key for other, _ in to_do[number + 1 :] for key in other.parents}
        states = {key: state for key, state in states.items() if key in later}
        if result.state is not None:
            differing += _differs(stage, unit, result.state)
            if unit.key in later:
                states[unit.key] = result.state
    method = worker.trainer.method.eval()
    if worker.trainer.knows_task:
        method.select(stage.prefix[-1])
    return BroughtBack(worker.trainer, plan, len(training), differing)


def _check_inputs(stage: PlannedStage, plan: Plan) -> None:
    """Makes sure that the stage would be made today from what it was made from."""
    if plan.runs[0].stages[-1] != stage.unit.key:
        changed, _ = changes(read_inputs(stage.store.folder), inputs(plan))
        what = "; ".join(changed) or "the settings of its study"
        raise InputError(
            f"what '{stage.store.folder.uri}' learnt cannot be brought back, because this has "
            f"changed since: {what}."
        )


def _check_method(stage: PlannedStage, trainer: Trainer) -> None:
    """Makes sure that a folder can hold what the method predicts with.

    Raises:
        InputError: says why it cannot, and what could be exported instead.
    """
    method, label = trainer.method, stage.run.method
    reason = obstacle(method, trainer.pretrained)
    if reason:
        raise InputError(f"method '{label}' cannot be exported: {reason}.")
    if trainer.knows_task and stage.number > 1:
        raise InputError(
            f"method '{label}' cannot be exported after several tasks: it predicts with another "
            "model for each of them; give --stage 1, or an order of one task, for the model of the "
            "first."
        )


def _to_do(stage: PlannedStage, plan: Plan) -> list[tuple[Unit, bool]]:
    """Returns the units to compute, parents first, and whether the state of each was kept.

    A unit whose state was kept, and which only serves as a parent, need not be computed.
    """
    kept = {key for key, found in stage.store.finished().items() if found.has_state}
    target = plan.units[stage.unit.key]
    found: dict[str, Unit] = {}

    def add(unit: Unit) -> None:
        if unit.key in found or (unit.key in kept and _is_whole(stage, unit.key)):
            return
        for parent in unit.parents:
            add(plan.units[parent])
        found[unit.key] = unit

    add(target)
    return [(unit, False) for unit in found.values()] or [(target, True)]


def _is_whole(stage: PlannedStage, key: str) -> bool:
    """Returns whether a state that was kept can be read."""
    try:
        stage.store.state(key)
    except StateLostError:
        return False
    return True


def _differs(stage: PlannedStage, unit: Unit, state: State) -> bool:
    """Returns whether a state is known not to be the one that the run had."""
    try:
        recorded = stage.store.training(unit.key).state_sha256
    except FileNotFoundError:
        return False
    return bool(recorded) and hashlib.sha256(save(state)).hexdigest() != recorded
