"""How many entries of an adapter contradict the one that PAM averages it with?

    python benchmarks/pam_misaligned.py        # a quarter of an hour of one core

PAM (methods/adapters/pam.py) aligns a task's adapter with the global one: entries of the other sign
are reset among the largest half of the global one's. Sokar et al. (arXiv 2506.03189) report that 29
percent of the parameters are misaligned, on average, for PaliGemma and adapters of rank 32. Here
nothing is aligned, and the share is counted when a task has been learnt: of the largest half of the
global adapter's entries, those that have the other sign in the task's.

tiny-clip, three tasks, one order. The shares in percent after the second and the third task, of all
entries and of those of B; accuracy on each task right after it was learnt:

    tasks           rank  steps   rate         all        of B        learnt
    world              8     24  5e-03       6   5      12  10    92  90  83
    world             32     24  5e-03       7   6      14  13    92  92  81
    world             32    200  5e-03       7   7      13  12    98  98  84
    world             32     24  2e-02      14  10      17  12    12  12   7
    world              -     24  1e-03      15  12                88  82  79
    half renamed      32     24  5e-03      10   6      20  12    99  81  88
    all renamed       32     12  5e-03      13   6      25  12    95  34  24
    all renamed       32     24  5e-03      13   9      27  18    99  73  48
    all renamed       32    100  5e-03      12  10      22  19   100  95  70
    all renamed        -     24  1e-03      31  26                91  70  60

(Renamed: the same pictures with other names, examples/relabelled.py. Without a rank all weights are
trained, and entries are those of theta - theta_0.) A keeps the signs that it was drawn with, so
that an adapter hardly gets beyond a quarter of B's entries; longer stages change little, and a rate
at which more entries turn round destroys the model. The paper's share is reached where all weights
are trained on tasks that contradict each other.
"""

from collections.abc import Sequence
from typing import Any

import torch

from methods.adapters.pam import PAM
from methods.data import Stage
from sweep import Study
from sweep.single import matrix, run_single

WORLD = {"name": "world", "tasks": ["positions", "scenes", "sketches"], "test": 120}
CONFLICT = {
    "name": "examples.relabelled:Relabelled",
    "tasks": ["scenes"],
    "versions": 3,
    "test": 120,
}
CASES: Sequence[tuple[str, dict[str, Any], int | None, int, float]] = [
    ("world", WORLD, 8, 24, 5e-3),
    ("world", WORLD, 32, 24, 5e-3),
    ("world", WORLD, 32, 200, 5e-3),
    ("world", WORLD, 32, 24, 2e-2),
    ("world", WORLD, None, 24, 1e-3),
    ("half renamed", CONFLICT | {"share": 0.5}, 32, 24, 5e-3),
    ("all renamed", CONFLICT, 32, 12, 5e-3),
    ("all renamed", CONFLICT, 32, 24, 5e-3),
    ("all renamed", CONFLICT, 32, 100, 5e-3),
    ("all renamed", CONFLICT, None, 24, 1e-3),
]
"""Name, benchmark, rank (None: all weights are trained), steps of a task, learning rate."""


def main() -> None:
    """Train every case once and print what was counted."""
    counted: list[tuple[float, float]] = []
    average = PAM.after_task

    def count(self: PAM, stage: Stage) -> None:
        if self.merges:
            counted.append((misaligned(self, ""), misaligned(self, ".lora_B.")))
        average(self, stage)

    PAM.after_task = count  # type: ignore[method-assign]
    print(f"{'tasks':<14}{'rank':>6}{'steps':>7}{'rate':>7}{'all':>12}{'of B':>12}{'learnt':>14}")
    for name, benchmark, rank, steps, lr in CASES:
        counted.clear()
        lora = {"rank": rank, "alpha": 2 * rank} if rank else None
        study = Study.from_dict(
            {
                "name": "pam-misaligned",
                "benchmark": benchmark,
                "backbones": ["tiny-clip"],
                "methods": {"pam": {"lr": lr, "lora": lora, "every": 10 * steps}},
                "training": {"steps": steps, "batch_size": 32},
            }
        )
        order = tuple(study.benchmark.task_names())
        records, _ = run_single(study, "pam", order)
        scores = matrix(order, records, study.evaluation)
        shares = "".join(
            f"{'':>4}"
            + "".join(f"{100 * share:>4.0f}" if share == share else f"{'':>4}" for share in pair)
            for pair in zip(*counted, strict=True)
        )
        learnt = "".join(f"{100 * scores.loc[task, task]:>4.0f}" for task in order)
        print(f"{name:<14}{rank or '-':>6}{steps:>7}{lr:>7.0e}{shares}  {learnt}", flush=True)


@torch.no_grad()
def misaligned(method: PAM, part: str) -> float:
    """Returns the share of entries that alignment would reset, in weights named like `part`."""
    opposed = looked_at = 0
    for name, weight in method.weights.items():
        if part in name:
            guide = method.guides[name]
            sign = (weight - method.zeros[name]).sign()
            opposed += int((sign * guide.sign() < 0).sum())
            looked_at += int((guide != 0).sum())
    return opposed / looked_at if looked_at else float("nan")


if __name__ == "__main__":
    main()
