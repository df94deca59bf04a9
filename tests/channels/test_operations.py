"""Which rule an operation has."""

import pytest
import torch

from splinelib.channels import layer_rules, rules
from splinelib.channels.operations import _TABLES, name_of, rule_of

aten = torch.ops.aten
NAMES = [name for _, names in _TABLES for name in names.split()]


def test_fused_attention_of_every_device_has_the_rule_of_heads():
    names = ("flash_attention", "flash_attention_for_cpu", "efficient_attention")
    for name in (*names, "cudnn_attention"):
        operation = getattr(aten, f"_scaled_dot_product_{name}").default
        assert rule_of(operation) is layer_rules.attention
        given = {argument.name for argument in operation._schema.arguments}
        assert given >= {"query", "key", "value"}
        assert given & {"attn_mask", "attn_bias", "is_causal"}


def test_no_operation_has_two_rules():
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_spelt_as_torch_spells_them(name):
    # operations that this version or this machine lacks
    optional = {"roi_align", "roi_pool", "cudnn_batch_norm", "miopen_batch_norm", "_safe_softmax"}
    if name not in optional:
        assert hasattr(aten, name) or hasattr(aten, f"{name}_"), name


@pytest.mark.parametrize(
    ("operation", "rule"),
    [
        (aten.relu.default, rules.together),
        (aten.relu_.default, rules.together),
        (aten.add_.Tensor, rules.together),
        (aten.hardswish_.default, rules.together),
        (aten.copy_.default, rules.copy),
        (aten._softmax.default, rules.reduce),
        (aten.convolution.default, layer_rules.convolution),
        (aten._fft_r2c.default, rules.unknown),
        (aten.index_put_.default, rules.unknown),
        (aten.nonzero.default, rules.unknown),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_rules(operation, rule):
    assert rule_of(operation) is rule


def test_names_are_the_same_in_place():
    assert name_of(aten.relu_.default) == "relu" and name_of(aten._softmax.default) == "_softmax"


def test_operations_of_others_are_not_taken_for_those_of_torch_that_have_their_name():
    library = torch.library.Library("strangers", "DEF")
    library.define("relu(Tensor x) -> Tensor")
    assert rule_of(torch.ops.strangers.relu.default) is rules.unknown
