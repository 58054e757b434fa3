"""What methods use of peft and transformers without a promise from these is still as it was."""

import peft
import pytest
import torch
from peft.tuners.osf import OSFLayer
from peft.tuners.osf.utils import decompose_weight_matrix
from torch import nn
from transformers import AttentionInterface, CLIPModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from methods.adapters.osf import factors
from methods.testing import tiny_models


def test_sdpa_is_torchs_attention_with_heads_put_last() -> None:
    query, key, value = torch.randn(3, 2, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    layer = nn.Module()
    layer.is_causal = False
    found, weights = sdpa_attention_forward(layer, query, key, value, None, scaling=8**-0.5)
    expected = nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(found, expected.transpose(1, 2))
    assert weights is None


def test_the_mask_function_of_sdpa_can_be_called_under_another_name() -> None:
    mask = sdpa_mask(batch_size=2, q_length=3, kv_length=3, allow_is_causal_skip=False)
    assert mask is not None
    assert torch.equal(mask[0, 0], torch.ones(3, 3, dtype=torch.bool).tril())


def test_a_named_attention_reaches_the_layers() -> None:
    called = []

    def listen(layer: nn.Module, *arguments: object, **options: object) -> object:
        called.append(layer)
        return sdpa_attention_forward(layer, *arguments, **options)

    AttentionInterface.register("listening", listen)
    model = CLIPModel.from_pretrained(tiny_models() / "clip")
    model.set_attn_implementation("listening")
    layers = [module for module in model.modules() if hasattr(module, "k_proj")]
    assert {layer.config._attn_implementation for layer in layers} == {"listening"}
    model.get_image_features(pixel_values=torch.zeros(1, 3, 32, 32))
    assert called == [layer for layer in layers if layer in model.vision_model.modules()]


@pytest.mark.parametrize(
    ("shape", "held"), [((4, 6), {"V_high"}), ((6, 4), {"U_high"}), ((5, 5), set())]
)
def test_osf_keeps_the_factors_that_the_method_fills(
    shape: tuple[int, int], held: set[str]
) -> None:
    """A square factor of minor directions implies the leading ones, which are not held then."""
    model = nn.ModuleDict({"layer": nn.Linear(shape[1], shape[0])})
    options = peft.OSFConfig(effective_rank=0.5, target_modules=["layer"])
    peft.inject_adapter_in_model(options, model)
    layer = model["layer"]
    assert isinstance(layer, OSFLayer)
    weight = layer.get_base_layer().weight
    expected = decompose_weight_matrix(weight, layer.effective_rank["default"])
    found = dict(factors(layer))
    assert found.keys() == {"U_low", "S_low", "V_low"} | held
    for name, factor in found.items():
        torch.testing.assert_close(factor, expected[name])
    assert layer.merged_adapters == []
    assert not layer.get_delta_weight("default").any()
