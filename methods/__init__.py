"""Continual-learning methods for vision-language models, one file per algorithm."""

import importlib
from difflib import get_close_matches

from methods.adapters.adapter import Adapter
from methods.adapters.inflora import InfLora
from methods.adapters.lora import Lora
from methods.adapters.moe_adapters import MoEAdapters
from methods.adapters.o_lora import OLora
from methods.adapters.osf import OSF
from methods.adapters.pam import PAM
from methods.analytic.rail import RAIL
from methods.averaging.ema import Ema
from methods.averaging.weight_ensemble import WeightEnsemble
from methods.averaging.wise_ft import WiseFT
from methods.base import Method, MethodConfig
from methods.baselines.finetune import FineTune
from methods.baselines.frozen_head import FrozenHead
from methods.baselines.individual import Individual
from methods.baselines.joint import Joint
from methods.baselines.zero_shot import ZeroShot
from methods.distillation.dual_teacher import DualTeacher
from methods.distillation.lwf import LwF
from methods.distillation.modx import ModX
from methods.distillation.zscl import ZSCL
from methods.merging.average import Average
from methods.merging.condu import ConDU
from methods.merging.condu_once import ConDUOnce
from methods.merging.consensus import Consensus
from methods.merging.dare import Dare
from methods.merging.magmax import MagMax
from methods.merging.magmax_seq import MagMaxSeq
from methods.merging.opcm import OPCM
from methods.merging.randmix import RandMix
from methods.merging.tall import Tall
from methods.merging.task_arithmetic import TaskArithmetic
from methods.merging.ties import Ties
from methods.merging.wise_path import WisePath
from methods.prompts.coop import CoOp
from methods.prompts.diki import DIKI
from methods.prompts.dpw import DPW
from methods.prompts.dualprompt import DualPrompt
from methods.prompts.l2p import L2P
from methods.regularisation.contrastive import Contrastive
from methods.regularisation.ewc import EWC
from methods.regularisation.gnsp import GNSP
from methods.regularisation.l2_sp import L2SP
from methods.regularisation.mas import MAS
from methods.regularisation.multimodal_ewc import MultimodalEWC
from methods.regularisation.online_ewc import OnlineEWC
from methods.regularisation.si import SI
from methods.replay.derpp import DERpp
from methods.replay.er import ER
from methods.replay.gift import GIFT

METHODS: dict[str, type[Method]] = {
    "zero_shot": ZeroShot,
    "finetune": FineTune,
    "lora": Lora,
    "adapter": Adapter,
    "o_lora": OLora,
    "inflora": InfLora,
    "osf": OSF,
    "wise_ft": WiseFT,
    "weight_ensemble": WeightEnsemble,
    "ema": Ema,
    "l2_sp": L2SP,
    "ewc": EWC,
    "online_ewc": OnlineEWC,
    "si": SI,
    "mas": MAS,
    "multimodal_ewc": MultimodalEWC,
    "contrastive": Contrastive,
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
    "dpw": DPW,
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
    """Returns the name of a method's class, the same however a study called it.

    >>> name_of(EWC)
    'ewc'
    """
    registered = {method: name for name, method in METHODS.items()}
    return registered.get(kind, f"{kind.__module__}:{kind.__qualname__}")


def resolve(name: str) -> type[Method]:
    """Returns the method class called `name`: one of METHODS, or "package.module:Class".

    >>> resolve("ewc").__name__
    'EWC'
    >>> resolve("methods.regularisation.ewc:EWC") is resolve("ewc")
    True

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
