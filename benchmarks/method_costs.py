"""What training costs with every method of a study, fine-tuning = 1.

    python benchmarks/method_costs.py [STUDY [METHOD ...]]     # default: all methods of `methods`

One order of all tasks on one core. Counted are the CPU seconds in which states come about: of
trainings, with what a method does before and after them, and of combinations; not those of loading
and of evaluation. Fine-tuning is measured again after every method, and a ratio is to the mean of
the two around it, since a machine may change its pace. Printed are the median of three ratios, the
least and the most. The columns "cost" of methods/README.md; with all methods of `methods` half an
hour.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import time
from dataclasses import replace

from methods.base import State
from sweep import Study
from sweep.single import plan_single
from sweep.stage.trainer import join_lane
from sweep.stage.worker import Worker

BASELINE = "finetune"
ACTIVITIES = ("train", "combine")
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="methods")
    parser.add_argument("methods", nargs="*")
    given = parser.parse_args()
    time.perf_counter = time.process_time  # by which stages take times
    study = Study.load(given.study, ("replicates=1",))
    seconds_of(study, BASELINE)  # what is made once only is made
    before = seconds_of(study, BASELINE)
    print(f"{BASELINE}: {before:.1f} s")
    for method in given.methods or [name for name in study.methods if name != BASELINE]:
        ratios = []
        for _ in range(REPEATS):
            spent, after = seconds_of(study, method), seconds_of(study, BASELINE)
            ratios.append(2 * spent / (before + after))
            before = after
        least, median, most = sorted(ratios)
        print(f"{method:24} {median:5.2f}   ({least:.2f} to {most:.2f})", flush=True)


def seconds_of(study: Study, method: str) -> float:
    """Returns the CPU seconds in which the states of one order come about."""
    plan = plan_single(study, method, study.benchmark.task_names(), replicate=0, backbone=None)
    worker = Worker(plan.study, plan.pinned, join_lane(plan.study))
    states: dict[str, State] = {}
    total = 0.0
    for key, unit in plan.units.items():
        result = worker.compute(replace(unit, evaluation=""), states.__getitem__)
        if result.state is not None:
            states[key] = result.state
        total += sum(result.record.seconds.get(activity, 0.0) for activity in ACTIVITIES)
    return total


if __name__ == "__main__":
    main()
