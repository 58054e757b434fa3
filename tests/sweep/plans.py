"""Plans of toy studies whose backbones are never loaded."""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, ClassVar, Literal

from hypothesis import strategies as st

from methods.base import Method, State
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.baselines.individual import Individual
from methods.data import Stage
from methods.testing.toy import TOY
from sweep.plan.plan import Plan
from sweep.plan.scheduler import Kept
from sweep.registry import name_of
from sweep.study.backbones import Source
from sweep.study.pinned import Pinned
from sweep.study.schema import Study

METHODS = {"nothing": "zero_shot", "sequence": "finetune", "set": "joint", "task": "individual"}
"""A method for everything that a result may depend on."""


class MergedConfig(FineTuneConfig):
    scale: float = 1.0


class Merged(Individual):
    """Combines the experts that `individual` trains, per sequence."""

    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    reuses_training_of: ClassVar[type[Method] | None] = Individual
    Config = MergedConfig


class ReadOut(FineTune):
    """Combines the path that `finetune` trains."""

    combines_over: ClassVar[Literal["set", "sequence"] | None] = "sequence"
    reuses_training_of: ClassVar[type[Method] | None] = FineTune
    Config = MergedConfig

    def combine(self, experts: Mapping[str, State], stage: Stage) -> None:
        """Reads out the end of the path."""
        self.load_state(experts[stage.task])


MERGED, READ_OUT = "tests.sweep.plans:Merged", "tests.sweep.plans:ReadOut"


def study_of(orders: Sequence[Sequence[str]], methods: Any = "finetune", **changes: Any) -> Study:
    """A study of given orders of the same tasks, which are a, b, c, ..."""
    content = {
        "name": "planned",
        "benchmark": {"name": TOY, "num_tasks": len(orders[0])},
        "backbones": {"clip": {"path": "some/clip"}},
        "methods": methods,
        "design": {"name": "fixed", "orders": [list(order) for order in orders]},
    }
    return Study.from_dict(content | changes)


def plan_of(study: Study, weights: Mapping[str, str] | None = None) -> Plan:
    """A plan for backbones that are known by `weights`, or by their labels."""
    known = {label: label for label in study.backbones} | dict(weights or {})
    sources = {
        label: Source(config, None, known[label]) for label, config in study.backbones.items()
    }
    data = {section: config.fingerprint() for section, config in study.data().items()}
    return Plan(
        study,
        Pinned(
            tasks=study.benchmark.task_names(),
            data=data,
            fingerprints=study.benchmark.fingerprints(),
            sources=sources,
            code={
                name_of("methods", kind): {"module": "digest"}
                for entry in study.methods.values()
                for kind in (entry.kind, entry.kind.reuses_training_of)
                if kind
            },
        ),
    )


@st.composite
def tries(draw: st.DrawFn, most_tasks: int = 4) -> list[tuple[str, ...]]:
    """A few orders of the same tasks."""
    tasks = "abcdef"[: draw(st.integers(2, most_tasks))]
    every = list(permutations(tasks))
    return draw(st.lists(st.sampled_from(every), min_size=1, max_size=8, unique=True))


def kept(states: Mapping[str, bool]) -> dict[str, Kept]:
    """Finished units, and whether their state is there."""
    return {key: Kept(has_state=state) for key, state in states.items()}
