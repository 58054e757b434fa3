"""Options of the shipped methods that suit the toy benchmark, and a study of all of them."""

from pathlib import Path
from typing import Any

from methods import METHODS
from methods.testing import toy_study
from methods.testing.toy import BACKBONES
from sweep.study.schema import Study

OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"rank": 4, "alpha": 8.0},
    "adapter": {"width": 32, "lr": 0.02},
    "o_lora": {"rank": 4, "alpha": 8.0},
    "inflora": {"rank": 4, "alpha": 8.0},
    "weight_ensemble": {"every": 4},
    "ema": {"decay": 0.8},
    "ewc": {"strength": 3e4, "fisher_samples": 16},
    "online_ewc": {"strength": 3e4, "fisher_samples": 16},
    "mas": {"importance_samples": 16},
    "multimodal_ewc": {"strength": 30.0, "fisher_samples": 16},
    "lwf": {"strength": 0.2},
    "modx": {"strength": 5.0},
    "er": {"memory": 24},
    "der++": {"memory": 24},
    "task_arithmetic": {"scale": 0.5},
    "ties": {"density": 0.5},
    "dare": {"scale": 0.5},
    "randmix": {"scale": 0.7},
    "tall": {"threshold": 0.6},
    "coop": {"length": 4, "lr": 0.05},
    "l2p": {"lr": 0.05},
    "dualprompt": {"general_layers": 1, "expert_layers": 1, "lr": 0.05},
    "diki": {"lr": 0.05},
    "dpw": {"lr": 0.05},
    "rail": {"width": 64},
    "moe_adapters": {
        "experts": {"count": 4},
        "selector": {"width": 4, "steps": 300, "lr": 0.005},
        "lr": 0.03,
    },
    "pam": {"lora": {"rank": 4, "alpha": 8.0}, "every": 2},
}
"""A method that is not here takes its defaults."""
OF_A_KIND = (
    *("finetune", "individual", "ewc", "zscl", "gnsp", "er"),
    *("pam", "diki", "moe_adapters", "rail", "ties"),
)
"""One or two of every family, for checks that are too many for all methods."""


def study_of(models: Path, backbone: str, **changes: Any) -> Study:
    """A study of all methods on one tiny backbone."""
    return toy_study(
        models,
        {name: OPTIONS.get(name, {}) for name in METHODS},
        **{
            "benchmark": BACKBONES[backbone],
            "backbones": {backbone: {"path": str(models / backbone)}},
        }
        | changes,
    )
