"""Finds out what has changed since stages of a run were finished, and what that costs."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import yaml

from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Scheduler
from sweep.plan.units import Unit
from sweep.storage.folder import DamagedError
from sweep.storage.inputs import changes, inputs, other_packages, read_inputs
from sweep.storage.planned import PLAN, read_plan
from sweep.storage.store import READERS, Store
from sweep.study.schema import Study
from sweep.texts import duration

MAY_CHANGE = {
    *("lanes", "keep_states", "replicates", "methods", "similarity", "stopping", "report"),
    *("name", "evaluation", "design", "benchmark", "reference", "generator", "backbones"),
}
"""Keys that may differ when a study resumes: where it runs, additions, how far it goes, what its
report shows, and what is compared by its content."""
WHY_LESS = ("design", "backbones", "benchmark")
"""Of these, the keys because of which runs may no longer be planned."""


@dataclass(frozen=True)
class Changed:
    """What has changed since stages of a run were finished."""

    setting: str
    """The key of the study that differs, if it is another study; "" if it is not."""
    what: list[str]
    """The inputs that differ, in words."""
    again: int
    """Finished stages that have to be computed again for it."""
    seconds: float
    """What their training took."""
    finished: int
    packages: list[str]
    """Packages of another version, in words; what is finished does not change with these."""

    def __str__(self) -> str:
        """Returns what has changed and what that costs, in sentences."""
        said = []
        if self.again:
            what = "; ".join(self.what) or "what they are evaluated on"
            said.append(
                f"Since its stages were finished, this has changed: {what}. Of "
                f"{self.finished} finished stages {self.again} would be computed again "
                f"({duration(self.seconds)} of training)."
            )
        if self.packages:
            said.append(
                f"Its {self.finished} finished stages were computed with other packages "
                f"({', '.join(self.packages)}); they are kept, but new ones may differ slightly."
            )
        return " ".join(said)


def find_changes(store: Store, plan: Plan) -> Changed | None:
    """Returns what has changed since the stages in a folder were finished, if it matters to them.

    Args:
        store: The stages.
        plan: What is to be run now.
    """
    finished = store.finished(plan.units)
    held = _held(store, finished)
    scheduler = Scheduler(plan, finished, lease=float("inf"))
    todo = {_place(unit): key in scheduler.todo for key, unit in plan.units.items()}
    gone = {key: held[key] for key in finished if key in held and key not in plan.units}
    left_out = [key for key, unit in gone.items() if unit and _place(unit) not in todo]
    # Of another version nothing is known; what is done with the inputs of now, is not done again.
    again = [key for key, unit in gone.items() if not unit or todo.get(_place(unit))]
    lacking = [key for key in scheduler.todo if key in finished and not finished[key].has_scores]
    trained = [*again, *(key for key in lacking if _is_trained(key, scheduler))]
    old, new = read_inputs(store.folder), inputs(plan)
    changed, added = changes(old, new)
    packages = other_packages(old, new) if finished and scheduler.to_compute else []
    if not (left_out or trained or (lacking and changed) or packages):
        return None
    return Changed(
        setting=_other_setting(store, plan.study, bool(left_out)) if left_out or again else "",
        what=changed + added,
        again=len(again) + len(lacking),
        seconds=_seconds_of_training(store, trained),
        finished=len(finished),
        packages=packages,
    )


def _held(store: Store, finished: Collection[str]) -> dict[str, Unit | None]:
    """Returns the units that were planned before; None for those of another version."""
    if not store.folder.exists(PLAN):
        return {}
    try:
        return dict(read_plan(store.folder)[1].units)
    except InputError:
        return dict.fromkeys(finished)


def _place(unit: Unit) -> tuple[str, str, int, Order]:
    """Returns what a unit is a result of, whatever it is made from."""
    return unit.backbone, unit.method, unit.replicate, unit.prefix


def _is_trained(key: str, scheduler: Scheduler) -> bool:
    return scheduler.graph.units[key].kind == "train" and key in scheduler.to_compute


def _seconds_of_training(store: Store, keys: Collection[str]) -> float:
    def seconds(key: str) -> float:
        try:
            return store.training(key).seconds.get("train", 0.0)
        except DamagedError:  # it is trained again in any case
            return 0.0

    with ThreadPoolExecutor(READERS) as pool:
        return sum(pool.map(seconds, keys))


def _other_setting(store: Store, new: Study, is_less: bool) -> str:
    """Returns the first key of the study that differs from the one in the folder.

    Args:
        store: Its folder holds the other study.
        new: The study to be run.
        is_less: Whether runs of the other study are no longer planned.
    """
    try:
        held = Study.from_dict(yaml.safe_load(store.folder.read("study.yaml")))
    except (InputError, OSError, ValueError, yaml.YAMLError):  # the last two: it is damaged
        return "plan" if is_less else ""
    less = (key for key in WHY_LESS if is_less and getattr(held, key) != getattr(new, key))
    return conflict(held, new) or next(less, "plan" if is_less else "")


def conflict(held: Study, new: Study) -> str:
    """Returns the first key in which two studies differ beyond MAY_CHANGE; "" if they agree."""
    for key in Study.model_fields:
        if key not in MAY_CHANGE and getattr(held, key) != getattr(new, key):
            return key
    for label, entry in held.methods.items():
        if new.methods.get(label) != entry:
            return f"methods.{label}"
    return "replicates" if new.replicates < held.replicates else ""
