"""What a method class says of itself is of the types that its base class declares, or refused."""

from typing import Any, ClassVar

import pytest
from pydantic import Field

from methods import METHODS
from methods.base import MethodConfig, Requirement
from methods.baselines.finetune import FineTune, FineTuneConfig
from sweep import registry
from sweep.cli.catalogue import catalogue
from sweep.errors import InputError
from sweep.registry import Part, resolve
from sweep.study.claims import check_answers, check_claims
from tests.sweep.plans import study_of


class Misspelt(FineTune):
    depends_on: ClassVar[Any] = "tasks"


class MisspeltNeed(FineTune):
    requires: ClassVar[Any] = frozenset({"referense"})


class MisspeltAnswer(FineTune):
    @classmethod
    def needs(cls, config: MethodConfig) -> frozenset[Requirement]:
        """Returns what is nowhere."""
        misspelt: Any = frozenset({"referense"})
        return misspelt


class TextForBool(FineTune):
    needs_classes: ClassVar[Any] = "no"


class AttributeForMethod(FineTune):
    knows_task: ClassVar[Any] = True


class PlainFunction(FineTune):
    def most_samples(self, config: MethodConfig) -> int | None:  # type: ignore[override]
        """Is no class method."""
        return None


class OfAnother(FineTune):
    reuses_training_of: ClassVar[Any] = "individual"


REFUSED = {
    Misspelt: "depends_on: must be 'nothing', 'task', 'set' or 'sequence', got 'tasks'.",
    MisspeltNeed: "requires.0: must be 'reference' or 'generator', got 'referense'.",
    MisspeltAnswer: "needs.0: must be 'reference' or 'generator', got 'referense'.",
    TextForBool: "needs_classes: must be a valid boolean, got 'no'.",
    AttributeForMethod: "knows_task must be a class method, as it is in methods.base.Method, got",
    PlainFunction: "most_samples must be a class method, as it is in methods.base.Method, got",
    OfAnother: "reuses_training_of: must be a subclass of Method, got 'individual'.",
}


def path_of(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_said_is_refused_when_a_study_is_loaded(kind: type) -> None:
    with pytest.raises(InputError) as error:
        study_of([("a", "b")], {"mine": {"method": path_of(kind)}})
    message = str(error.value)
    assert f"{path_of(kind)}: {REFUSED[kind]}" in message
    assert message.endswith(".")
    assert "\n" not in message


def test_all_that_is_shipped_says_what_can_be_said() -> None:
    for name in METHODS:
        kind = resolve("methods", name)
        check_claims(kind)
        check_answers(kind, kind.Config())


class OnlyWithOptionsConfig(FineTuneConfig):
    """An option without a default."""

    scale: float = Field(description="Factor of the loss.")


class OnlyWithOptions(FineTune):
    """Scale the loss."""

    Config = OnlyWithOptionsConfig


class Raises(FineTune):
    @classmethod
    def knows_task(cls, config: MethodConfig) -> bool:
        """Raises an error."""
        raise RuntimeError("out of order")


def test_no_method_of_a_package_hides_another(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (AttributeForMethod, Raises, OnlyWithOptions)
    brought = [Part(kind.__name__, path_of(kind), "theirs") for kind in kinds]
    monkeypatch.setattr(registry, "_installed", lambda kind: brought)
    listed = {line.name: line.description for line in catalogue("methods")}
    assert listed.keys() == METHODS.keys() | {kind.__name__ for kind in kinds}
    assert "knows_task must be a class method" in listed["AttributeForMethod"]
    assert listed["Raises"] == "Unusable: out of order"
    assert listed["OnlyWithOptions"] == (
        "(sequence) Scale the loss. Only with options: the key 'scale' is missing."
    )
    assert not any(listed[name].startswith("Unusable") for name in METHODS)
