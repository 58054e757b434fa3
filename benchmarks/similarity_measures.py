"""Do the measures of similarity see what is there? The embedded world with its dial, on tiny-clip.

    nice -n 19 python benchmarks/similarity_measures.py

For every seed of the world the dial is turned from 0 (tasks share nothing) to 1 (all classes, all
styles), and every measure is averaged over all pairs of tasks. Printed are, per measure, the rank
correlation of that average with the dial (mean over seeds, 95 % t interval over seeds), and the
seconds of the measure itself. The forward pass that all of them rest on is timed apart, and set
against one stage of the quickstart study on the same tasks.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

from methods.backbones import load_backbone
from sweep import Study
from sweep.learner import join_lane
from sweep.plan import Plan
from sweep.similarity.embedded import embed
from sweep.similarity.measures import MEASURES
from sweep.sources import EMBEDDED
from sweep.tasks.world import Dial
from sweep.worker import Worker

DIALS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def stage_seconds(tasks: int, images: int) -> float:
    """One stage as the quickstart study trains it: 30 steps of 32, and the evaluation."""
    study = Study.from_dict(
        {
            "name": "stage",
            "benchmark": {"name": "dial", "num_tasks": tasks, "train": images, "test": 200},
            "backbones": ["tiny-clip"],
            "methods": ["finetune"],
            "training": {"steps": 30, "batch_size": 32, "lr": 1e-3},
        }
    )
    plan = Plan(study)
    worker = Worker(study, plan.sources, join_lane(study), Path(tempfile.gettempdir()))
    states, spent = {}, []
    for unit in [plan.units[key] for key in plan.runs[0].stages[1:]]:
        started = time.perf_counter()
        states[unit.key] = worker.compute(unit, states.__getitem__).state
        spent.append(time.perf_counter() - started)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--images", type=int, default=128, help="of a task that are embedded")
    options = parser.parse_args()
    backbone = load_backbone(str(EMBEDDED / "tiny-clip"))
    pairs = ~np.eye(options.tasks, dtype=bool)
    rank: dict[str, list[float]] = {name: [] for name in MEASURES}
    seconds, forward = dict.fromkeys(MEASURES, 0.0), []
    for seed in range(options.seeds):
        means: dict[str, list[float]] = {name: [] for name in MEASURES}
        for dial in DIALS:
            world = Dial(
                similarity=dial, num_tasks=options.tasks, train=options.images, test=1, seed=seed
            ).load()
            started = time.perf_counter()
            embedded = embed(backbone, world.tasks, options.images)
            forward.append(time.perf_counter() - started)
            for name, measure in MEASURES.items():
                started = time.perf_counter()
                means[name].append(measure(embedded)[pairs].mean())
                seconds[name] += time.perf_counter() - started
        for name in MEASURES:
            rank[name].append(stats.spearmanr(DIALS, means[name]).statistic)
    count, quantile = options.seeds, stats.t.ppf(0.975, options.seeds - 1)
    print("measure       rank correlation with the dial   seconds")
    for name, found in rank.items():
        half = quantile * np.std(found, ddof=1) / np.sqrt(count)
        spent = seconds[name] / (count * len(DIALS))
        print(f"{name:13} {np.mean(found):.3f} +- {half:.3f}                  {spent:.4f}")
    stage = stage_seconds(options.tasks, options.images)
    print(
        f"forward pass of {options.tasks} x {options.images} images: {np.mean(forward):.2f} s "
        f"({np.mean(forward) / stage:.2f} of a stage)"
    )


if __name__ == "__main__":
    main()
