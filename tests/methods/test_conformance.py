"""Every shipped method keeps what the contract promises, on a backbone of either family."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from methods import METHODS
from methods.testing import MethodChecks, Workbench
from methods.testing.checks import LONGER
from methods.testing.toy import BACKBONES, OTHER_KINDS, toy_study
from tests.methods.shipped import OF_A_KIND, OPTIONS

STEERING = ("coop", "dualprompt", "diki", "dpw")
"""Prompts can only steer a model that sees something: with random weights the tiny LLaVA hardly
does. That they learn on a fusion backbone is tested in test_prompts.py, with larger weights."""
ALL_KINDS = (
    *("finetune", "joint", "ewc", "multimodal_ewc", "lwf", "contrastive", "er", "diki", "tall"),
)
"""These are checked on further kinds of tasks by the default suite, all others by hand (long)."""
CHAOTIC = {("modx", "llava-answers")}
"""Its rows count where the largest entry is right; images that the tiny LLaVA hardly tells apart
have entries that differ by rounding, so that two workers part from one after a few steps."""
UNCHANGED_VISION = {
    "clip": ("zero_shot", "frozen_head", "coop", "rail"),
    "llava": (
        *("zero_shot", "frozen_head", "coop", "rail", "lora", "adapter", "o_lora", "inflora"),
        *("osf", "l2p", "dualprompt", "diki", "dpw", "moe_adapters", "pam"),
    ),
}
"""Methods that leave alone what reads images: of a fusion model, vision tower and projector."""


def checks_of(name: str) -> type[MethodChecks]:
    """The checks of one shipped method; slow on a fusion backbone, but for some of each family."""
    slow = () if name in OF_A_KIND else pytest.mark.slow
    settings = {
        "method": name,
        "options": OPTIONS.get(name, {}),
        "backbones": ("clip", pytest.param("llava", marks=slow)),
        "kinds": [
            pytest.param(kind, marks=() if name in ALL_KINDS else pytest.mark.long)
            for kind in OTHER_KINDS
            if (name, kind) not in CHAOTIC
        ],
        "sees_features_on": [on for on, names in UNCHANGED_VISION.items() if name in names],
        "learns_on": ("clip",) if name in STEERING else tuple(BACKBONES),
    }
    return type(f"Test_{name}", (MethodChecks,), settings)


globals().update({f"Test_{name}": checks_of(name) for name in METHODS})


@cache
def forgetting(models: Path, method: str) -> float:
    """By how much accuracy on the tasks before the last fell since they were trained.

    The Fisher information is that of all samples.
    """
    orders = [list(order) for order in ("abc", "bca", "cab")]
    options = OPTIONS.get(method, {})
    whole = {name: value for name, value in options.items() if name != "fisher_samples"}
    design = {"name": "fixed", "orders": orders}
    study = toy_study(models, {method: whole}, training=LONGER, design=design)
    falls, bench = [], Workbench(study, method)
    for order in study.blocks(study.benchmark.task_names())[0]:
        accuracy = bench.accuracy(order)
        falls += [accuracy.loc[task, task] - accuracy.loc[order[-1], task] for task in order[:-1]]
    return float(np.mean(falls))


@pytest.mark.parametrize("method", ["er", "der++", "ewc", "online_ewc", "multimodal_ewc"])
def test_forgets_less_than_finetune(models: Path, method: str) -> None:
    assert forgetting(models, method) < forgetting(models, "finetune") - 0.05
