import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.network.overflow import holds_nan, overflow


def overflowing(dtype=torch.float32, size: float = 1e30) -> nn.Module:
    """Infinite behind its second layer, NaN behind its third."""
    model = nn.Sequential(
        *(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 2))
    ).to(dtype)
    with torch.no_grad():
        for layer in (model[0], model[2][0]):
            layer.weight.fill_(size)
        model[3].weight.copy_(torch.tensor([[1.0, -1.0], [1.0, -1.0]]))
    return model


def test_names_the_first_module_and_the_precision():
    said = overflow(overflowing(), torch.ones(1, 2))
    assert said.startswith("module '2.0' gives NaN or infinite values")
    assert "too large for float32" in said
    said = overflow(overflowing(torch.float16, 300.0), torch.ones(1, 2).half())
    assert "module '2.0'" in said and "float16" in said


def test_a_forward_of_the_models_own_is_named_as_such():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x) / 0 * 0

    assert overflow(Own(), torch.ones(1, 1)).startswith("the model's own forward gives NaN")


def test_nan_is_found_in_whatever_is_returned_and_infinity_may_be_meant():
    nan = torch.tensor([0.0, torch.nan])
    assert holds_nan({"out": (nan, None)})
    assert not holds_nan([torch.tensor([torch.inf, -torch.inf]), torch.ones(2, dtype=torch.int64)])
    assert not holds_nan(None)


CALLS = {
    "codes": lambda m, x: sl.region_codes(m, x),
    "codes of an iterable": lambda m, x: sl.region_codes(m, [x[:1] * 0, x]),
    "map": lambda m, x: sl.affine_map(m, x[0]),
    "layout": lambda m, x: sl.find_groups(m, x),
    "score": lambda m, x: sl.score(m, "lsq", data=x),
    "refit": lambda m, x: sl.prune(m, 0.5, "magnitude", data=x, compensate="refit"),
    "evaluate": lambda m, x: sl.training.evaluate(m, x, torch.zeros(len(x)).long()),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_result_is_made_of_values_that_are_no_numbers(name):
    with pytest.raises(ValueError, match=r"module '2\.0' gives NaN or infinite values"):
        CALLS[name](overflowing(), torch.ones(8, 2))
