"""Continual-learning methods for vision-language models, one file per algorithm.

A backbone, options and the data of a task come in; what has been learnt goes out, as a state.
"""

import lazy_loader

# What `__init__.pyi` lists is loaded when it is first used: names can be looked up without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

METHODS = {
    "zero_shot": "methods.baselines.zero_shot:ZeroShot",
    "finetune": "methods.baselines.finetune:FineTune",
    "lora": "methods.adapters.lora:Lora",
    "adapter": "methods.adapters.adapter:Adapter",
    "o_lora": "methods.adapters.o_lora:OLora",
    "inflora": "methods.adapters.inflora:InfLora",
    "osf": "methods.adapters.osf:OSF",
    "wise_ft": "methods.averaging.wise_ft:WiseFT",
    "weight_ensemble": "methods.averaging.weight_ensemble:WeightEnsemble",
    "ema": "methods.averaging.ema:Ema",
    "l2_sp": "methods.regularisation.l2_sp:L2SP",
    "ewc": "methods.regularisation.ewc:EWC",
    "online_ewc": "methods.regularisation.online_ewc:OnlineEWC",
    "si": "methods.regularisation.si:SI",
    "mas": "methods.regularisation.mas:MAS",
    "multimodal_ewc": "methods.regularisation.multimodal_ewc:MultimodalEWC",
    "contrastive": "methods.regularisation.contrastive:Contrastive",
    "lwf": "methods.distillation.lwf:LwF",
    "zscl": "methods.distillation.zscl:ZSCL",
    "dual_teacher": "methods.distillation.dual_teacher:DualTeacher",
    "modx": "methods.distillation.modx:ModX",
    "gnsp": "methods.regularisation.gnsp:GNSP",
    "er": "methods.replay.er:ER",
    "der++": "methods.replay.derpp:DERpp",
    "gift": "methods.replay.gift:GIFT",
    "frozen_head": "methods.baselines.frozen_head:FrozenHead",
    "individual": "methods.baselines.individual:Individual",
    "joint": "methods.baselines.joint:Joint",
    "coop": "methods.prompts.coop:CoOp",
    "l2p": "methods.prompts.l2p:L2P",
    "dualprompt": "methods.prompts.dualprompt:DualPrompt",
    "diki": "methods.prompts.diki:DIKI",
    "dpw": "methods.prompts.dpw:DPW",
    "average": "methods.merging.average:Average",
    "task_arithmetic": "methods.merging.task_arithmetic:TaskArithmetic",
    "ties": "methods.merging.ties:Ties",
    "dare": "methods.merging.dare:Dare",
    "magmax": "methods.merging.magmax:MagMax",
    "magmax_seq": "methods.merging.magmax_seq:MagMaxSeq",
    "randmix": "methods.merging.randmix:RandMix",
    "opcm": "methods.merging.opcm:OPCM",
    "consensus": "methods.merging.consensus:Consensus",
    "tall": "methods.merging.tall:Tall",
    "condu": "methods.merging.condu:ConDU",
    "condu_once": "methods.merging.condu_once:ConDUOnce",
    "wise_path": "methods.merging.wise_path:WisePath",
    "rail": "methods.analytic.rail:RAIL",
    "moe_adapters": "methods.adapters.moe_adapters:MoEAdapters",
    "pam": "methods.adapters.pam:PAM",
}
"""Names that studies use, and where the methods are; a new method is one line here."""

__all__ += ["METHODS"]
