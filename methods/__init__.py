"""Continual-learning methods for vision-language models, one file per algorithm."""

import importlib
from difflib import get_close_matches

from methods.base import Method, MethodConfig
from methods.ema import Ema
from methods.finetune import FineTune
from methods.individual import Individual
from methods.joint import Joint
from methods.lora import Lora
from methods.replay import Replay
from methods.weight_ensemble import WeightEnsemble
from methods.wise_ft import WiseFT
from methods.zero_shot import ZeroShot

METHODS: dict[str, type[Method]] = {
    "zero_shot": ZeroShot,
    "finetune": FineTune,
    "lora": Lora,
    "wise_ft": WiseFT,
    "weight_ensemble": WeightEnsemble,
    "ema": Ema,
    "replay": Replay,
    "individual": Individual,
    "joint": Joint,
}


def resolve(name: str) -> type[Method]:
    """The method class called `name`: one of METHODS, or "package.module:Class".

    Raises:
        ValueError: there is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        near = get_close_matches(name, METHODS, n=1, cutoff=0.5)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(
            f"Unknown method '{name}'; allowed: {', '.join(METHODS)}, or package.module:Class."
            + hint
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Method '{name}' cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise ValueError(f"'{name}' is not a methods.base.Method.")
    return found


__all__ = ["METHODS", "Method", "MethodConfig", "resolve"]
