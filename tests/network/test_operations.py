"""What is said of functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import splinelib as sl
from splinelib.network import operations
from splinelib.network.operations import why_no_assignment, why_not_affine

H = torch.ones(3, 4)


def depends(item):
    return item is H or (isinstance(item, tuple) and any(map(depends, item)))


def why(name, *args, **kwargs):
    return why_not_affine(name, "m", args, kwargs, (0,), depends)


@pytest.mark.parametrize(
    "call",
    [
        ("linear", H, H.T),
        ("mul", H, 2),
        ("div", H, 2),
        ("gather", H, 1, torch.zeros(3, 1).long()),
        ("where", H > 3, H, 0),
        ("masked_fill", H, H > 3, 0.0),
        ("repeat_interleave", H, 2, 1),
        ("dropout", H, 0.5, False),
        ("dropout", H, 0.0),
        ("alpha_dropout", H),
    ],
)
def test_affine(call):
    assert why(*call) == ""


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (("exp", H), "'exp' is not a piecewise affine operation"),
        (("div", 1, H), "'div'"),
        (("gather", torch.ones(3, 4), 1, H), "'gather'"),
        (("where", H), "'where'"),
        (("repeat_interleave", H, 2), "repeat_interleave"),
        (("repeat_interleave", H, 2, 0), "repeat_interleave"),
        (("dropout", H, 0.5), "random here"),
        (("dropout", H, 0.5, True), "training=self.training"),
        (("gelu", H), "smooth='sign'"),
        (("batch_norm", H, None), "running statistics"),
    ],
)
def test_not_affine(call, match):
    reason = why(*call)
    assert match in reason and "module 'm'" in reason


def test_products_of_two_values_are_not():
    two = why_not_affine("mul", "", (H, H), {}, (0, 1), depends)
    assert "product of two values" in two and "own forward" in two


@pytest.mark.parametrize(
    ("index", "plain"),
    [
        ((slice(None), 1), True),
        ((Ellipsis, slice(2)), True),
        (slice(None), True),
        (0, False),
        ((slice(None), torch.tensor([0])), False),
        (H > 0, False),
    ],
)
def test_assignments_to_parts_of_every_row_are_affine(index, plain):
    assert (why_no_assignment("m", (H, index, H), depends) == "") == plain


def test_queries_constants_and_properties():
    assert all(map(operations.is_query, ("size", "is_floating_point", "len", "format")))
    assert not any(map(operations.is_query, ("item", "is_nonzero", "bool", "tolist", "equal")))
    assert operations.is_constant("zeros_like", (H,), {}, depends)
    assert operations.is_constant("expand_as", (torch.ones(1), H), {}, depends)
    assert not operations.is_constant("expand_as", (H, H), {}, depends)
    assert not operations.is_constant("new_full", (torch.ones(1), (2,), H), {}, depends)
    assert operations.property_of(torch.Tensor.data.__get__) == "data"
    assert operations.property_of(F.relu) == ""


@pytest.mark.parametrize("say", ["discrete_use", "left_torch"])
def test_messages_name_module_operation_and_remedy(say):
    message = getattr(operations, say)("mul", "block.1")
    for part in ("module 'block.1'", "'mul'", "torch.where", "smooth='ignore'"):
        assert part in message
    for message in (operations.unseen(""), operations.overwritten("")):
        assert "own forward" in message and "smooth='ignore'" in message


def test_a_refusal_advises_what_the_caller_takes():
    class Normed(nn.Module):
        def forward(self, x):
            return nn.functional.layer_norm(x, x.shape[1:])

    x = torch.randn(3, 4)
    with pytest.raises(sl.NotPiecewiseAffine, match=r"'freeze'.*'ignore'"):
        sl.region_codes(Normed(), x)
    with pytest.raises(sl.NotPiecewiseAffine, match="'freeze'") as told:
        sl.affine_map(Normed(), x[0])
    assert "'ignore'" not in str(told.value)
    for call in (
        lambda: sl.segment(Normed(), x[0], x[1]),
        lambda: sl.partition(Normed(), ((0, 1), (0, 1)), sl.Plane.through(*x)),
        lambda: sl.specialise(Normed(), (x[:1] - 1, x[:1] + 1)),
    ):
        with pytest.raises(sl.NotPiecewiseAffine, match="not a piecewise affine") as told:
            call()
        assert "smooth" not in str(told.value)
