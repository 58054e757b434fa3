"""What methods say of their stages holds together, or is refused before anything is planned."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import pytest
from hypothesis import given, settings
from torch import Tensor

from methods import METHODS
from methods.base import DependsOn, Method, MethodConfig, State
from methods.baselines.finetune import FineTune
from methods.baselines.individual import Individual
from methods.baselines.joint import Joint
from methods.baselines.zero_shot import ZeroShot
from methods.data import Batch, Stage
from methods.merging.average import Average
from methods.tools.low_rank import LoraOptions
from sweep.cli.catalogue import catalogue
from sweep.errors import InputError
from sweep.orders.order import Order
from sweep.registry import resolve
from sweep.study.sharing import check_sharing
from tests.sweep.plans import plan_of, study_of, tries

Over = Literal["set", "sequence"] | None


class LastAlone(FineTune):
    """Learns every task anew, and keeps that one alone."""

    depends_on: ClassVar[DependsOn] = "task"


class NeverCombined(LastAlone):
    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Is not asked to, since `combines_over` is missing."""


class NothingToCombine(LastAlone):
    combines_over: ClassVar[Over] = "set"


class SetOfSequence(Individual):
    depends_on: ClassVar[DependsOn] = "sequence"


class SetOfSets(Individual):
    depends_on: ClassVar[DependsOn] = "set"


class LastOfSet(FineTune):
    """Trains the last of the tasks, which are sorted."""

    depends_on: ClassVar[DependsOn] = "set"


class Borrowing(FineTune):
    reuses_training_of: ClassVar[type[Method] | None] = Individual


class Untrained(FineTune):
    """Would be shown as the untouched backbone."""

    depends_on: ClassVar[DependsOn] = "nothing"


class UntrainedInClosedForm(ZeroShot):
    def after_task(self, stage: Stage) -> None:
        """Is not called."""


class DoubledLoss(Average):
    def loss(self, batch: Batch) -> Tensor:
        """Trains otherwise than `individual`, whose key its training would have."""
        return 2 * super().loss(batch)


class Clipped(Average):
    def after_backward(self) -> None:
        """Changes gradients."""


class OneTowerByProperty(Average):
    """Changes what `FineTune.build` and `trainable` go by."""

    @property
    def adapter(self) -> LoraOptions | None:
        """An adapter, whatever the options say."""
        return LoraOptions()


class FewOptions(Average):
    Config: ClassVar[type[MethodConfig]] = MethodConfig


REFUSED = {
    NeverCombined: "has a combine() that is never called, since its combines_over is None",
    NothingToCombine: "has combines_over 'set' and no combine(); write it, or set None",
    SetOfSequence: "has depends_on 'sequence' with combines_over 'set', which has no meaning",
    SetOfSets: "has depends_on 'set' with combines_over 'set', which has no meaning; allowed with",
    LastOfSet: "has depends_on 'set', for which tasks are sorted, and trains on some of them by",
    Borrowing: "has depends_on 'sequence' and reuses the training of Individual, which has 'task'",
    Untrained: "has depends_on 'nothing' and trains on tasks (tasks_trained_on), so that it would",
    UntrainedInClosedForm: "has depends_on 'nothing' and has after_task(), so that it would be",
    DoubledLoss: "reuses the training of Individual and has another loss(), which that training",
    Clipped: "reuses the training of Individual and has another after_backward(), which that",
    OneTowerByProperty: "reuses the training of Individual and has another adapter(), which that",
    FewOptions: "reuses the training of Individual and has no option 'lora', which that has",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_not_hold_together_is_refused_when_a_study_is_loaded(kind: type) -> None:
    path = f"{kind.__module__}:{kind.__qualname__}"
    with pytest.raises(InputError) as error:
        study_of([("a", "b")], {"mine": {"method": path}})
    message = str(error.value)
    assert f"method 'mine' ({path}) {REFUSED[kind]}" in message
    assert message.endswith(".")
    assert "\n" not in message


def test_all_that_is_shipped_holds_together() -> None:
    check_sharing({name: resolve("methods", name) for name in METHODS})
    check_sharing({"mine": LastAlone, "joint": Joint})


def shown(orders: list[Order], method: str, every: int) -> None:
    """Checks which unit every stage of every order is, and on what it is evaluated."""
    plan = plan_of(study_of(orders, {"mine": {"method": method}}, evaluation={"every": every}))
    for run in plan.runs:
        for k, key in enumerate(run.stages[1:], 1):
            unit = plan.units[key]
            if plan.study.methods["mine"].kind is LastAlone:
                assert unit.prefix == (run.order[k - 1],)
            else:
                assert set(unit.prefix) == set(run.order[:k])
            assert unit.is_evaluated
            assert not unit.only or run.order[k - 1] in unit.only
            if k % every == 0 or k == len(run.order):
                assert not unit.only


@given(tries())
def test_a_method_that_keeps_the_last_task_alone_is_shown_by_the_last_learnt(
    orders: list[Order],
) -> None:
    shown(orders, f"{LastAlone.__module__}:{LastAlone.__qualname__}", every=1)
    shown(orders, f"{LastAlone.__module__}:{LastAlone.__qualname__}", every=3)


@pytest.mark.parametrize("method", ["finetune", "joint", "individual", "opcm", "magmax_seq"])
@settings(max_examples=20)
@given(tries())
def test_stages_that_are_due_later_are_evaluated_on_what_each_order_learnt_last(
    method: str, orders: list[Order]
) -> None:
    shown(orders, method, every=3)


def test_the_catalogue_tells_what_results_depend_on() -> None:
    described = {line.name: line.description for line in catalogue("methods")}
    for name, shares in {
        "zero_shot": "(nothing) ",
        "finetune": "(sequence) ",
        "joint": "(set) ",
        "individual": "(task, set, told the task) ",
        "opcm": "(task, sequence) ",
        "condu": "(task, sequence, told the task) ",
        "magmax_seq": "(sequence) ",
    }.items():
        assert described[name].startswith(shares)
