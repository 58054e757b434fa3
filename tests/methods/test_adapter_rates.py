"""Adapters, prompts and heads learn at a rate of their own, unless a study says otherwise."""

from typing import Any

import pytest

from methods.tools.low_rank import ADAPTER_LR
from sweep.registry import resolve
from tests.methods.shipped import METHODS

RATES = {
    "lora": ADAPTER_LR,
    "inflora": 5e-4,
    "o_lora": 1e-3,
    "adapter": ADAPTER_LR,
    **dict.fromkeys(("coop", "l2p", "dualprompt", "diki", "dpw"), 2e-3),
    "moe_adapters": 1e-3,
    "frozen_head": 1e-2,
}


@pytest.mark.parametrize("name", METHODS)
def test_an_adapter_does_not_learn_at_the_rate_of_full_weights(name: str) -> None:
    config = resolve("methods", name).Config
    if "lora" in config.model_fields:
        shape: Any = {"rank": 4}
        assert config(lora=shape).lr == ADAPTER_LR
        assert config(lora=shape, lr=0.1).lr == 0.1
        assert config(lora=shape, lr=None).lr is None
        assert config(lora=None).lr is None
        again = config(**config(lora=shape, lr=None).model_dump())
        assert again.lr is None
    elif name in RATES:
        assert config().lr == RATES[name]
        assert config(lr=None).lr is None


def test_pam_has_an_adapter_by_default() -> None:
    config = resolve("methods", "pam").Config
    assert config().lr == ADAPTER_LR
    assert config(lora=None).lr is None
