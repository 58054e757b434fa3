"""A synthetic continual-learning world with known truth, written as a run folder.

What a stage does depends on the state its prefix left and on noise drawn from (seed, prefix), so
runs of one replicate share the noise of their common prefixes as real ones do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.data.results import COSTS_SCHEMA, ORDERS_SCHEMA, RESULTS_SCHEMA

Prefix = tuple[str, ...]
Scores = dict[tuple[str, str, str], float]
"""Keyed (split, eval_task, metric)."""
RECALL = {"i2t_r1": 0.1, "i2t_r5": 0.3, "t2i_r1": 0.0, "t2i_r5": 0.2}
TASKS = ("aircraft", "cars", "flowers", "pets", "satellite", "textures")


@dataclass(frozen=True)
class Trainer:
    """How a method of this world behaves."""

    plasticity: float
    interference: float
    erosion: float = 0.0
    """What one stage takes from probes and retrieval."""


METHODS = {
    "zero_shot": Trainer(0.0, 0.0),
    "finetune": Trainer(0.95, 0.30, 0.060),
    "ewc": Trainer(0.85, 0.17, 0.035),
    "lora": Trainer(0.80, 0.20, 0.020),
    "replay": Trainer(0.92, 0.09, 0.025),
}


@dataclass(frozen=True)
class World:
    """What tasks are there, and how they are evaluated."""

    tasks: Sequence[str] = TASKS
    probes: Sequence[str] = ("digits", "objects")
    retrieval: Sequence[str] = ("captions",)
    noise: float = 0.01
    replicate_effect: float = 0.01

    def after(
        self, trainer: Trainer, seed: int, prefix: Prefix
    ) -> dict[tuple[str, str, str], float]:
        """Every score after a prefix, keyed (split, eval_task, metric)."""
        task, probe, recall = self._start()
        shift = self.replicate_effect * np.random.default_rng([seed]).standard_normal()
        for k in range(1, len(prefix) + 1):
            names = [self.tasks.index(name) for name in prefix[:k]]
            rng = np.random.default_rng([seed, *names])
            self._learn(trainer, names[-1], task, shift, rng)
            probe = probe - trainer.erosion * (1 + 0.2 * rng.standard_normal(len(probe)))
            recall = recall - trainer.erosion * (1 + 0.2 * rng.standard_normal(len(recall)))
        scores = {("task", name, "accuracy"): task[i] for i, name in enumerate(self.tasks)}
        scores |= {("probe", name, "accuracy"): probe[i] for i, name in enumerate(self.probes)}
        for i, name in enumerate(self.retrieval):
            for metric, offset in {
                "i2t_r1": 0.1,
                "i2t_r5": 0.3,
                "t2i_r1": 0,
                "t2i_r5": 0.2,
            }.items():
                scores["retrieval", name, metric] = recall[i] + offset
        return {key: float(np.clip(value, 0, 1)) for key, value in scores.items()}

    def _start(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        task = 0.25 + 0.35 * ((np.arange(len(self.tasks)) * 0.618) % 1)
        return task, np.linspace(0.6, 0.7, len(self.probes)), np.full(len(self.retrieval), 0.4)

    def _learn(
        self, trainer: Trainer, j: int, task: np.ndarray, shift: float, rng: np.random.Generator
    ) -> None:
        n = len(task)
        distance = np.abs(np.arange(n) - j) / n
        ceiling = 0.97 - 0.25 * ((j * 0.381) % 1) + shift
        harm = 0.3 + 1.4 * ((j * 0.7) % 1)  # some tasks destroy more than others
        lost = trainer.interference * harm * distance * (task - 0.1)
        trained = bool(trainer.plasticity)
        task -= lost
        task[j] += trainer.plasticity * max(0.0, ceiling - task[j])
        task += trained * self.noise * rng.standard_normal(n)


def write_study(
    out: Path,
    orders: Sequence[Sequence[Prefix]],
    world: World = World(),
    methods: dict[str, Trainer] | None = None,
    backbones: Sequence[str] = ("tiny-clip",),
    knows_task: Mapping[str, bool] = MappingProxyType({}),
) -> Path:
    """Write the run folder of a finished study; `orders[r]` are the orders of replicate r.

    Of methods that `knows_task` does not name, nothing is said.
    """
    rows = []
    for backbone in backbones:
        for method, trainer in (METHODS if methods is None else methods).items():
            for replicate, block in enumerate(orders):
                seed = 1000 + 17 * replicate + 5 * backbones.index(backbone)
                prefixes = dict.fromkeys(o[:k] for o in block for k in range(len(o) + 1))
                for prefix in prefixes:
                    head = {"study": "synthetic", "backbone": backbone, "method": method}
                    head |= {"replicate": replicate, "seed": seed}
                    head |= {"knows_task": knows_task.get(method)}
                    rows += stage_rows(head, prefix, world.after(trainer, seed, prefix))
    write_rows(out, rows)
    write_costs(out, rows)
    write_orders(out, orders)
    return out


def stage_rows(head: dict, prefix: Prefix, scores: Scores) -> list[dict]:
    """The rows of one finished stage."""
    stage = head | {"prefix": list(prefix), "stage": len(prefix)}
    stage["trained_task"] = prefix[-1] if prefix else None
    return [
        stage
        | {"split": split, "eval_task": name, "metric": metric, "value": value}
        | {"n": 500, "status": "ok"}
        for (split, name, metric), value in scores.items()
    ]


def failed_row(head: dict, prefix: Prefix, error: str) -> dict:
    """The row of one failed stage."""
    return head | {
        "prefix": list(prefix),
        "stage": len(prefix),
        "trained_task": prefix[-1] if prefix else None,
        "value": float("nan"),
        "n": 0,
        "status": "failed",
        "error": error,
    }


def write_rows(out: Path, rows: list[dict], part: str = "part-0.parquet") -> None:
    """Write a part file of results."""
    (out / "results").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, RESULTS_SCHEMA), out / "results" / part)


def write_costs(out: Path, rows: list[dict]) -> None:
    """Every stage takes as many seconds as its method's name is long; stage 0 takes none."""
    stages = {(r["backbone"], r["method"], r["replicate"], tuple(r["prefix"])) for r in rows}
    costs = [
        {
            "backbone": backbone,
            "method": method,
            "replicate": replicate,
            "prefix": prefix,
            "train_seconds": float(len(method)) if prefix else 0.0,
            "evaluate_seconds": 1.0,
        }
        for backbone, method, replicate, prefix in sorted(stages)
    ]
    (out / "costs").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(costs, COSTS_SCHEMA), out / "costs" / "part-0.parquet")


def read_rows(out: Path) -> list[dict]:
    """All rows of the first part file."""
    return pq.read_table(out / "results" / "part-0.parquet").to_pylist()


def write_orders(out: Path, orders: Sequence[Sequence[Prefix]]) -> None:
    """Write the planned orders."""
    rows = [
        {"design": "random", "block": r, "replicate": r, "order": list(order)}
        for r, block in enumerate(orders)
        for order in block
    ]
    pq.write_table(pa.Table.from_pylist(rows, ORDERS_SCHEMA), out / "orders.parquet")


def write_similarity(
    out: Path, similar: dict[str, np.ndarray], orders: Sequence[Sequence[Prefix]], tasks: Prefix
) -> None:
    """Write how similar tasks are, by measure, and the mean over neighbours of every order."""
    pairs, scores = [], []
    for measure, S in similar.items():
        head = {"backbone": "tiny-clip", "measure": measure}
        for (i, task), (j, other) in product(enumerate(tasks), repeat=2):
            pairs.append(head | {"task": task, "other": other, "similarity": S[i, j]})
        for order in dict.fromkeys(order for block in orders for order in block):
            places = [tasks.index(task) for task in order]
            mean = S[places[:-1], places[1:]].mean()
            scores.append(head | {"order": list(order), "adjacent": mean, "path_cost": 2 * mean})
    (out / "similarity").mkdir(exist_ok=True)
    for name, rows in {"tasks": pairs, "orders": scores}.items():
        pq.write_table(pa.Table.from_pylist(rows), out / "similarity" / f"{name}.parquet")


def random_orders(
    tasks: Sequence[str], size: int, replicates: int, seed: int = 0
) -> list[list[Prefix]]:
    """`size` distinct orders per replicate."""
    rng = np.random.default_rng(seed)
    every = list(permutations(tasks))
    return [
        [every[i] for i in rng.choice(len(every), min(size, len(every)), replace=False)]
        for _ in range(replicates)
    ]
