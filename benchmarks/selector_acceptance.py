"""How many test samples DDAS accepts: of tasks learnt, of held-out suites, of tasks not learnt.

    python benchmarks/selector_acceptance.py

Prints the table of `methods/adapters/ddas.py`: both embedded worlds, two sets of four tasks each,
after one and after four tasks. "before" is without images of no task: features standardised with
each task's own, 32 hidden units, 300 steps, and the threshold alone. About a minute.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from methods.adapters.ddas import (
    SelectorOptions,
    errors,
    fit_autoencoder,
    scale_of,
    select_task,
)
from methods.base import State
from methods.data import Task
from sweep import Study
from sweep.measuring.measure import make_plan
from sweep.stage.trainer import Trainer, join_lane
from sweep.stage.worker import Worker

WORLDS = {
    ("world", "tiny-clip"): (
        ("positions", "scenes", "sketches", "arrows"),
        ("shapes", "colors", "letters", "relations"),
    ),
    ("pictures", "tiny-clip-pictures"): (
        ("clothing", "digits", "places", "people"),
        ("animals", "food", "scripts", "objects"),
    ),
}
"""Benchmark and backbone, and sets of tasks in the order in which they are learnt."""
SIZES = {"train": 512, "test": 256}
"""At most so many images of every task."""
BEFORE = SelectorOptions(width=32, steps=300)
NOW = SelectorOptions()


def main() -> None:
    """Prints the table."""
    print(f"{'tasks':34} learnt   before: own, held-out, others   now: own, held-out, others")
    for (name, backbone), sets in WORLDS.items():
        trainer = trainer_of(name, backbone)
        assert trainer.reference is not None
        pool = trainer.reference.image_embeddings
        tasks, probes = trainer.benchmark.tasks, trainer.benchmark.probes.values()
        train = {task.name: embedded(trainer, task, "train") for task in tasks.values()}
        test = {task.name: embedded(trainer, task, "test") for task in tasks.values()}
        suites = {task.name: embedded(trainer, task, "test") for task in probes}
        for names in sets:
            for count in (1, 4):
                learnt = names[:count]
                before, now = (
                    rates(accepted, learnt, test, suites)
                    for accepted in (before_(learnt, train), now_(learnt, train, pool))
                )
                print(f"{', '.join(names):38} {count}   {before}   {now}")


def trainer_of(name: str, backbone: str) -> Trainer:
    """Returns a trainer of a method that has the pool."""
    sections = {
        "name": "selector",
        "benchmark": {"name": name, **SIZES},
        "backbones": [backbone],
        "methods": ["moe_adapters"],
        "training": {"steps": 1, "batch_size": 8},
    }
    plan = make_plan(Study.from_dict(sections))
    worker = Worker(plan.study, plan.pinned, join_lane(plan.study))
    worker.load(next(unit for unit in plan.units.values() if unit.kind == "train"))
    return worker.trainer


@torch.no_grad()
def embedded(trainer: Trainer, task: Task, kind: str) -> Tensor:
    """Returns the untouched embeddings of a split, float32 [N, D]."""
    split = task.train if kind == "train" else task.test
    pixels = trainer.pixels(kind, task)
    ids = torch.split(torch.from_numpy(split.shown), 256)
    return torch.cat([trainer.backbone.untouched(pixels[some]).float() for some in ids])


def before_(learnt: Sequence[str], train: Mapping[str, Tensor]) -> tuple[list[State], State | None]:
    """Returns autoencoders with scales of their own, and none of no task."""
    return [
        fit_autoencoder(train[task], scale_of(train[task]), BEFORE, i)
        for i, task in enumerate(learnt)
    ], None


def now_(
    learnt: Sequence[str], train: Mapping[str, Tensor], pool: Tensor
) -> tuple[list[State], State | None]:
    """Returns autoencoders with the pool's scale, and that of the pool."""
    scale = scale_of(pool)
    models = [fit_autoencoder(train[task], scale, NOW, i) for i, task in enumerate(learnt)]
    return models, fit_autoencoder(pool, scale, NOW, 99)


def rates(
    fitted: tuple[list[State], State | None],
    learnt: Sequence[str],
    test: Mapping[str, Tensor],
    suites: Mapping[str, Tensor],
) -> str:
    """Returns percents accepted: mean of the tasks learnt; mean and most of suites; others."""
    models, of_no_task = fitted

    def share(features: Tensor) -> float:
        if of_no_task is not None:
            return 100 * float(select_task(models, of_no_task, features)[1].float().mean())
        found = torch.stack([errors(model, features) for model in models], dim=1)
        error, best = found.min(dim=1)
        within = error <= torch.stack([model["threshold"] for model in models])[best]
        return 100 * float(within.float().mean())

    own = [share(test[task]) for task in learnt]
    held_out = [share(features) for features in suites.values()]
    others = [share(features) for task, features in test.items() if task not in learnt]
    mean, most = sum(held_out) / len(held_out), max(held_out)
    return (
        f"{sum(own) / len(own):3.0f}  {mean:3.0f} ({most:3.0f})  {sum(others) / len(others):3.0f}"
    )


if __name__ == "__main__":
    main()
