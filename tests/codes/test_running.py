"""A model that is run for its codes: what it must not do, and when numbers are asked for."""

import pytest
import torch
import torch.nn.functional as F
from networks import Calling, small
from torch import nn

import splinelib as sl
from splinelib.codes.running import Run


@pytest.mark.parametrize(
    "mixing",
    [
        lambda h: h - h.mean(0),
        lambda h: h - h[0],
        lambda h: h + h.flip(0),
    ],
)
def test_inputs_that_look_at_each_other_are_refused(mixing):
    model, x = Calling(mixing), torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(sl.NotPiecewiseAffine, match=r"'second'.*other inputs of its batch"):
        sl.region_codes(model, x)
    assert len(sl.region_codes(model, x, smooth="ignore")) == 30


def test_inputs_in_another_dimension_than_the_first_are_refused():
    model = Calling(lambda h: F.relu(h.view(-1, 4, 4).transpose(0, 1)).transpose(0, 1).flatten(1))
    for rows in (1, 2, 4, 7):
        with pytest.raises(ValueError, match="Keep the inputs in the first dimension"):
            sl.region_codes(model, torch.rand(rows, 4))


def test_a_path_that_depends_on_the_input_is_refused():
    class Fickle(nn.Module):
        def forward(self, x):
            return F.relu(F.relu(x)) if x.sum() > 0 else F.relu(x)

    with pytest.raises(ValueError, match="path depends on the input"):
        sl.region_codes(Fickle(), torch.tensor([[1.0], [-1.0]]), batch_size=1)


def test_a_run_gives_a_row_of_bytes_for_each_input_and_layer():
    model, x = small().eval(), torch.rand(5, 1, 8, 8)
    run = Run(model, x, "raise", None)
    packed, codes = run(x), sl.region_codes(model, x)
    assert run.layers == codes.layers and not run.composed
    for one, words in zip(packed, codes.packed.values(), strict=True):
        assert one.dtype == torch.uint8 and (one.numpy().view("uint64") == words).all()
    assert Run(Calling(lambda h: h * (h > 0)), torch.rand(2, 4), "raise", None).composed


def test_numbers_are_asked_for_at_once_or_at_the_end():
    model, x = small().eval(), torch.rand(4, 1, 8, 8)
    early, late = (Run(model, x, "raise", None, asks) for asks in (True, False))
    with torch.no_grad():
        model[-1].weight.fill_(3e38)
        model[-1].weight[0, ::2] = -3e38
    with pytest.raises(ValueError, match="gives NaN or infinite values"):
        early(1e3 * x)
    late(1e3 * x)
    with pytest.raises(ValueError, match="NaN for some inputs"):
        late.check_numbers()
    late.forget_numbers()
    late.check_numbers()
