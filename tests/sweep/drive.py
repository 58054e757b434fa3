"""A driver to be killed: python -m tests.sweep.drive FOLDER OUT LANES WORKERS TASKS."""

import sys
from pathlib import Path

from methods.testing.toy import TOY, toy_study
from sweep import run


def main(folder: str, out: str, lanes: str, workers: str, tasks: str) -> int:
    study = toy_study(
        Path(folder),
        benchmark={"name": TOY, "num_tasks": int(tasks)},
        training={"steps": 60, "batch_size": 16, "lr": 0.003},
        lanes={"count": int(lanes), "workers": int(workers), "cpus_per_worker": 1},
        keep_states="all",
    )
    finished = run(study, out)
    return 0 if finished.is_settled and not finished.failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
