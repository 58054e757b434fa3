"""Tests whether measures of similarity detect a known one: the world's dial, on tiny-clip.

    nice -n 19 python benchmarks/similarity_measures.py

For every seed of the world the dial is turned from 0 (tasks share nothing) to 1 (all classes, all
styles), and every measure is averaged over all pairs of tasks. For each measure it prints the rank
correlation of that average with the dial (mean over seeds, 95 % t interval over seeds), and the
seconds of the measure itself, also as a share of one stage of 30 steps on the same tasks. Work that
several measures share is timed separately: the forward pass, and training the experts.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from methods.backbones import load_backbone
from methods.backbones.base import Backbone
from sweep import Study
from sweep.cache import CACHE
from sweep.measuring.expert_training import train_experts
from sweep.measuring.measure import make_plan
from sweep.registry import resolve
from sweep.similarity import MEASURES, OF_EMBEDDINGS, OF_EXPERTS, OF_GRADIENTS
from sweep.similarity.embedded import embed
from sweep.similarity.sampled import sample
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker
from sweep.study.backbones import EMBEDDED, find_source

FORWARD, TRAINING = "forward pass, all tasks", "training the experts"
DIALS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def study_of(dial: float, seed: int, tasks: int, images: int) -> Study:
    """Returns a study with stages of 30 steps of 32 samples, and the evaluation."""
    return Study.from_dict(
        {
            "name": "stage",
            "benchmark": {
                "name": "dial",
                "similarity": dial,
                "seed": seed,
                "num_tasks": tasks,
                "train": images,
                "test": 200,
            },
            "backbones": ["tiny-clip"],
            "methods": ["finetune"],
            "training": {"steps": 30, "batch_size": 32, "lr": 1e-3},
        }
    )


def stage_seconds(study: Study) -> float:
    """Returns the seconds of one stage, trained and evaluated."""
    plan = make_plan(study)
    worker = Worker(study, plan.pinned.sources, join_lane(study))
    states, spent = {}, []
    for unit in [plan.units[key] for key in plan.runs[0].stages[1:]]:
        started = time.perf_counter()
        states[unit.key] = worker.compute(unit, states.__getitem__).state
        spent.append(time.perf_counter() - started)
    return min(spent)


class Stopwatch:
    """Lists of seconds, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the result of a call, and times it."""
        started = time.perf_counter()
        result = function(*arguments)
        self.seconds[name].append(time.perf_counter() - started)
        return result


def measured(study: Study, backbone: Backbone, images: int, timed: Stopwatch) -> dict[str, float]:
    """Returns the mean over pairs of tasks of every measure."""
    samples = sample(backbone, study.benchmark.load().tasks, images)
    embedded = timed(FORWARD, embed, backbone, samples)
    compute = {name: resolve("measures", name).compute for name in MEASURES}
    found = {name: timed(name, compute[name], embedded) for name in OF_EMBEDDINGS}
    parameters = dict(backbone.train().named_parameters())
    weights = [parameters[name] for name in backbone.trainable()]
    for name in OF_GRADIENTS:
        found[name] = timed(name, compute[name], backbone, weights, samples)
    source = find_source(study.backbones["tiny-clip"])
    experts = timed(TRAINING, train_experts, study, "tiny-clip", source, images, CACHE)
    found |= {name: timed(name, compute[name], experts) for name in OF_EXPERTS}
    pairs = ~np.eye(len(samples), dtype=bool)
    return {name: float(S[pairs].mean()) for name, S in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--images", type=int, default=128, help="of a task that are looked at")
    options = parser.parse_args()
    backbone, timed = load_backbone(str(EMBEDDED / "tiny-clip")), Stopwatch()
    rank: dict[str, list[float]] = defaultdict(list)
    for seed in range(options.seeds):
        studies = [study_of(dial, seed, options.tasks, options.images) for dial in DIALS]
        means = [measured(study, backbone, options.images, timed) for study in studies]
        for name in MEASURES:
            found = [mean[name] for mean in means]
            rank[name].append(stats.spearmanr(DIALS, found).statistic)
    quantile = stats.t.ppf(0.975, options.seeds - 1)
    stage = stage_seconds(studies[-1])
    print("measure           rank correlation with the dial   seconds   stages")
    for name, found in rank.items():
        half = quantile * np.std(found, ddof=1) / np.sqrt(options.seeds)
        print(f"{name:17} {np.mean(found):6.3f} +- {half:.3f}" + " " * 17, end="")
        print(cost(timed, name, stage))
    for name in (FORWARD, TRAINING):
        print(f"{name:50}{cost(timed, name, stage)}")


def cost(timed: Stopwatch, name: str, stage: float) -> str:
    """Returns the cost of one call, in seconds and in stages."""
    seconds = float(np.median(timed.seconds[name]))
    return f"{seconds:8.4f} {seconds / stage:8.3f}"


if __name__ == "__main__":
    main()
