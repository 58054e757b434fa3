"""Measures what the engine costs beyond bare training, as ratios within one run of this script.

    python benchmarks/engine_overhead.py lanes   # 120 orders of 5 tasks, one method
    python benchmarks/engine_overhead.py naive   # 24 orders of 4 tasks, against one trial per order

`lanes` prints wall time / (distinct stages x bare stage / cores), and the same ratio for the time
after the first stage: the time before it is the start of Ray and of the lanes, which is the same
for every study. A bare stage is the time of one stage in a process that has everything loaded,
while every other core does the same; it is the mean of measurements before and after the sweep.

`naive` runs the same 24 orders twice: on lanes, and as one Ray Tune trial per order, each a Ray
Train job that trains its four stages without sharing anything (in a Ray that is set up as the
engine's own, so that only the design differs). It prints the ratio of wall times. The ratio is
larger for shorter stages: with short stages the start of a Train job for every order dominates,
with long ones the stages that are trained more than once.

On two quiet cores: `lanes` 1.20, 1.20, 1.15 in three runs (stages of 1.4 to 1.5 s; 1.13, 1.12, 1.08
after the first stage), 1.14 with `--steps 120` (one run, stages of 3.6 s; 1.11). The rest is mostly
due to Ray's idle processes, a tenth of a core, which interrupt training hundreds of times a second.
`naive` 8.2, 8.9, 8.9 (stages of 0.3 s).

A bare stage uses Python's default allocator settings; those that the engine sets for its lanes save
2 % of a stage (`sweep.engine.cluster.ENVIRONMENT`).
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from ray import train, tune
from ray.train.torch import TorchTrainer

from analysis import load
from sweep import Study, run, run_single
from sweep.engine.cluster import HEAD, connected
from sweep.engine.outcomes import Progress
from sweep.measuring.measure import make_plan
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker

TASKS = ["shapes", "textures", "letters", "relations", "scenes"]


def study(num_tasks: int, steps: int, test: int = 200) -> Study:
    return Study.from_dict(
        {
            "name": "overhead",
            "benchmark": {"name": "world", "tasks": TASKS[:num_tasks], "test": test},
            "backbones": ["tiny-clip"],
            "methods": ["finetune"],
            "design": "exhaustive",
            "training": {"steps": steps, "batch_size": 64, "lr": 8e-4, "warmup_steps": 5},
        }
    )


def bare_stage(content: dict, seconds: float) -> float:
    """Returns the mean seconds of a stage in a process that has everything loaded."""
    sweep_study = Study.model_validate(content)
    plan = make_plan(sweep_study)
    worker = Worker(sweep_study, plan.pinned.sources, join_lane(sweep_study))
    states = {}
    chain = [plan.units[key] for key in plan.runs[0].stages[1:]]
    for unit in chain:  # warm up; leaves every parent's state in memory
        states[unit.key] = worker.compute(unit, states.__getitem__).state
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        worker.compute(chain[done % len(chain)], states.__getitem__)
        done += 1
    return (time.perf_counter() - started) / done


def bare_stage_on_all_cores(sweep_study: Study, cores: int, seconds: float) -> float:
    content = dict(sweep_study)
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(bare_stage, [content] * cores, [seconds] * cores)) / cores


def lanes(steps: int, cores: int) -> None:
    sweep_study = study(5, steps)
    stages = len(make_plan(sweep_study).units)
    before = bare_stage_on_all_cores(sweep_study, cores, 20)
    first: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()

        def note_first(progress: Progress, _: int) -> None:
            if progress.done and not first:
                first.append(time.perf_counter() - started)

        finished = run(sweep_study, f"{folder}/out", on_progress=note_first)
        wall = time.perf_counter() - started
        costs = load(finished.out).costs
    assert finished.is_settled
    assert not finished.failed
    after = bare_stage_on_all_cores(sweep_study, cores, 20)
    ideal = stages * (before + after) / 2 / cores
    print(f"orders 120, stages {stages}, bare stage {before:.2f} s before, {after:.2f} s after")
    print(f"wall {wall:.0f} s, ideal {ideal:.0f} s, ratio {wall / ideal:.2f}")
    print(
        f"first stage done after {first[0]:.0f} s; ratio of the rest "
        f"{(wall - first[0]) / (ideal * (1 - 1 / stages)):.2f}"
    )
    inside = costs[["train_seconds", "evaluate_seconds"]].sum(axis=1).mean()
    print(f"training and evaluation take {inside:.2f} s of a stage on a lane")


def naive(steps: int, cores: int) -> None:
    sweep_study = study(4, steps, test=40)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run(sweep_study, f"{folder}/lanes")
        shared = time.perf_counter() - started
        started = time.perf_counter()
        one_trial_per_order(sweep_study, f"{folder}/naive", cores)
        separate = time.perf_counter() - started
    print(f"orders 24, on lanes {shared:.0f} s, one trial per order {separate:.0f} s")
    print(f"times faster: {separate / shared:.1f}")


def one_trial_per_order(sweep_study: Study, out: str, cores: int) -> None:
    """Runs the obvious design: a Tune trial per order, a Train job in each, nothing shared."""

    def train_order(config: dict) -> None:
        run_single(sweep_study, "finetune", tuple(config["order"]))

    def trial(config: dict) -> None:
        TorchTrainer(
            train_order,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=1),
            run_config=train.RunConfig(
                name=tune.get_context().get_trial_id(), storage_path=f"{out}/train"
            ),
        ).fit()
        tune.report({"done_order": 1})

    orders = [list(order) for order in sweep_study.blocks(sweep_study.benchmark.task_names())[0]]
    with connected(None, sweep_study.lanes):
        tune.Tuner(
            tune.with_resources(trial, {"CPU": 0, HEAD: 0.9 / cores}),
            param_space={"order": tune.grid_search(orders)},
            run_config=tune.RunConfig(name="orders", storage_path=out, verbose=0),
        ).fit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=["lanes", "naive"])
    parser.add_argument("--steps", type=int, help="training steps of a stage (40; naive: 5)")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    case, steps = {"lanes": (lanes, 40), "naive": (naive, 5)}[options.case]
    case(options.steps or steps, cores)


if __name__ == "__main__":
    main()
