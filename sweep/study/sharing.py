"""Makes sure that what methods say of their stages can be planned: what is trained once for all."""

import inspect
from collections.abc import Mapping
from types import FunctionType

from methods.base import Method
from sweep.errors import InputError

COMBINED: Mapping[str, tuple[str | None, ...]] = {
    "nothing": (None,),
    "task": (None, "set", "sequence"),
    "set": (None,),
    "sequence": (None, "sequence"),
}
"""By `depends_on`: what a second step may depend on, that combines trained states."""
_AFTER_TRAINING = frozenset(
    {
        *("build", "changed", "load_state", "combine", "select", "predict", "predictions"),
        *("routing", "write"),
        *("learns_in", "knows_task", "needs", "most_samples", "context_length"),
    }
)
"""What may be another than in the method whose trainings are reused: how trained states are used,
and what a class says of itself."""
_SOME = ("first", "second")
"""Names of tasks, sorted as those of a set are."""


def check_sharing(methods: Mapping[str, type[Method]]) -> None:
    """Makes sure that no stage of a method would be shared wrongly, or shown of another task.

    Args:
        methods: Classes, by label.

    Raises:
        InputError: says in one sentence what a class declares that does not hold together.
    """
    for label, kind in methods.items():
        if problem := _problem(kind):
            raise InputError(f"method '{label}' ({kind.__module__}:{kind.__qualname__}) {problem}.")


def _problem(kind: type[Method]) -> str | None:
    depends_on, combines_over = kind.depends_on, kind.combines_over
    if combines_over not in COMBINED[depends_on]:
        allowed = " or ".join(map(repr, COMBINED[depends_on]))
        return (
            f"has depends_on '{depends_on}' with combines_over {combines_over!r}, which has no "
            f"meaning; allowed with it: {allowed}"
        )
    writes_combine = kind.combine is not Method.combine
    if writes_combine and not combines_over:
        return (
            "has a combine() that is never called, since its combines_over is None, so that it "
            "would be shown as its last training alone; set combines_over to 'set' or 'sequence'"
        )
    if combines_over and not writes_combine:
        return f"has combines_over '{combines_over}' and no combine(); write it, or set None"
    if depends_on == "set" and set(kind.tasks_trained_on(_SOME)) not in (set(), set(_SOME)):
        return (
            "has depends_on 'set', for which tasks are sorted, and trains on some of them by their "
            "position; let tasks_trained_on return all, or set depends_on to 'sequence'"
        )
    if depends_on == "nothing" and (learns := _learns(kind)):
        return (
            f"has depends_on 'nothing' and {learns}, so that it would be shown untrained; let "
            "depends_on say what its training depends on, or let it learn nothing"
        )
    return _problem_of_reuse(kind, kind.reuses_training_of) if kind.reuses_training_of else None


def _learns(kind: type[Method]) -> str | None:
    """Returns what a method learns by, which the engine only calls in a training."""
    if kind.tasks_trained_on(_SOME):
        return "trains on tasks (tasks_trained_on)"
    hooks = [name for name in ("before_task", "after_task") if _differs(kind, Method, name)]
    return f"has {hooks[0]}()" if hooks else None


def _problem_of_reuse(kind: type[Method], trainer: type[Method]) -> str | None:
    """Returns in what the trainings of a method are not those of the one that it names."""
    reuses = f"reuses the training of {trainer.__name__}"
    if trainer.depends_on != kind.depends_on:
        return (
            f"has depends_on '{kind.depends_on}' and {reuses}, which has '{trainer.depends_on}'; "
            "make them equal"
        )
    if missing := trainer.Config.model_fields.keys() - kind.Config.model_fields.keys():
        return f"{reuses} and has no option '{min(missing)}', which that has; derive its Config"
    names = {
        name
        for base in trainer.__mro__
        if issubclass(base, Method)
        for name, part in vars(base).items()
        if isinstance(part, FunctionType | classmethod | staticmethod | property)
    }
    others = [name for name in sorted(names - _AFTER_TRAINING) if _differs(kind, trainer, name)]
    if others:
        return (
            f"{reuses} and has another {others[0]}(), which that training would not be with; leave "
            "it out, or set reuses_training_of to None"
        )
    return None


def _differs(kind: type, other: type, name: str) -> bool:
    return inspect.getattr_static(kind, name) is not inspect.getattr_static(other, name)
