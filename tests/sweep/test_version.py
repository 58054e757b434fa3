"""Numbers of the past: what changes them must raise `VERSION`."""

import pytest

from sweep import Study, run_single
from sweep.plan.plan import VERSION

LOSSES = {7: {"shapes": (0.7311, 1.504, 1.2572), "colors": (0.7257, 0.7307, 0.777)}}
"""By version: losses on two tasks, untouched, after learning colors, and then shapes."""


def test_the_same_inputs_give_the_same_numbers_or_another_version() -> None:
    """World, backbone, training and evaluation together; the numbers of another CPU differ less."""
    study = Study.from_dict(
        {
            "name": "numbers",
            "benchmark": {
                "name": "world",
                "tasks": ["shapes", "colors"],
                "train": 64,
                "test": 64,
            },
            "backbones": ["tiny-clip"],
            "methods": ["finetune"],
            "training": {"steps": 10, "batch_size": 16, "lr": 1e-3},
        }
    )
    records, _ = run_single(study, "finetune", ("colors", "shapes"))
    found = {
        task: [
            row["value"]
            for record in records
            for row in record.scores
            if (row["split"], row["eval_task"], row["metric"]) == ("alignment", task, "loss")
        ]
        for task in ("shapes", "colors")
    }
    for task, losses in LOSSES[VERSION].items():
        assert found[task] == pytest.approx(losses, abs=0.003)
