"""Continual-learning methods for vision-language models, one file per algorithm."""

import importlib
from difflib import get_close_matches

from methods.adapter import Adapter
from methods.average import Average
from methods.base import Method, MethodConfig
from methods.condu import ConDU
from methods.condu_once import ConDUOnce
from methods.consensus import Consensus
from methods.coop import CoOp
from methods.dare import Dare
from methods.derpp import DERpp
from methods.diki import DIKI
from methods.dual_teacher import DualTeacher
from methods.dualprompt import DualPrompt
from methods.ema import Ema
from methods.er import ER
from methods.ewc import EWC
from methods.finetune import FineTune
from methods.frozen_head import FrozenHead
from methods.gift import GIFT
from methods.gnsp import GNSP
from methods.individual import Individual
from methods.inflora import InfLora
from methods.joint import Joint
from methods.l2_sp import L2SP
from methods.l2p import L2P
from methods.lora import Lora
from methods.lwf import LwF
from methods.magmax import MagMax
from methods.magmax_seq import MagMaxSeq
from methods.mas import MAS
from methods.modx import ModX
from methods.moe_adapters import MoEAdapters
from methods.multimodal_ewc import MultimodalEWC
from methods.o_lora import OLora
from methods.online_ewc import OnlineEWC
from methods.opcm import OPCM
from methods.pam import PAM
from methods.rail import RAIL
from methods.randmix import RandMix
from methods.si import SI
from methods.tall import Tall
from methods.task_arithmetic import TaskArithmetic
from methods.ties import Ties
from methods.weight_ensemble import WeightEnsemble
from methods.wise_ft import WiseFT
from methods.wise_path import WisePath
from methods.zero_shot import ZeroShot
from methods.zscl import ZSCL

METHODS: dict[str, type[Method]] = {
    "zero_shot": ZeroShot,
    "finetune": FineTune,
    "lora": Lora,
    "adapter": Adapter,
    "o_lora": OLora,
    "inflora": InfLora,
    "wise_ft": WiseFT,
    "weight_ensemble": WeightEnsemble,
    "ema": Ema,
    "l2_sp": L2SP,
    "ewc": EWC,
    "online_ewc": OnlineEWC,
    "si": SI,
    "mas": MAS,
    "multimodal_ewc": MultimodalEWC,
    "lwf": LwF,
    "zscl": ZSCL,
    "dual_teacher": DualTeacher,
    "modx": ModX,
    "gnsp": GNSP,
    "er": ER,
    "der++": DERpp,
    "gift": GIFT,
    "frozen_head": FrozenHead,
    "individual": Individual,
    "joint": Joint,
    "coop": CoOp,
    "l2p": L2P,
    "dualprompt": DualPrompt,
    "diki": DIKI,
    "average": Average,
    "task_arithmetic": TaskArithmetic,
    "ties": Ties,
    "dare": Dare,
    "magmax": MagMax,
    "magmax_seq": MagMaxSeq,
    "randmix": RandMix,
    "opcm": OPCM,
    "consensus": Consensus,
    "tall": Tall,
    "condu": ConDU,
    "condu_once": ConDUOnce,
    "wise_path": WisePath,
    "rail": RAIL,
    "moe_adapters": MoEAdapters,
    "pam": PAM,
}


def name_of(kind: type[Method]) -> str:
    """The inverse of `resolve`: the same however a study called the method."""
    registered = {method: name for name, method in METHODS.items()}
    return registered.get(kind, f"{kind.__module__}:{kind.__qualname__}")


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
            f"Unknown method '{name}'; allowed: the {len(METHODS)} that `sweep list methods` "
            f"shows, or package.module:Class.{hint}"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Method '{name}' cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise ValueError(f"'{name}' is not a methods.base.Method.")
    return found


__all__ = ["METHODS", "Method", "MethodConfig", "name_of", "resolve"]
