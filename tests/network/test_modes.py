"""A model comes back as it was; what cannot be computed with is refused."""

import pytest
import torch
from torch import nn

from splinelib.errors import PruningError
from splinelib.network.modes import check_inputs, check_weights, device_of, evaluating


def test_every_module_gets_its_own_mode_back_whatever_happens_inside():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).train()
    model[1].eval()
    with pytest.raises(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_a_weight_that_is_no_number_is_named():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    check_weights(model)
    model[1].running_var[1] = torch.inf
    with pytest.raises(ValueError, match=r"'1\.running_var'"):
        check_weights(model)
    large = nn.Linear(2, 1)
    large.weight.data.fill_(3e38)  # finite, though their sum is not
    check_weights(large)
    with pytest.raises(TypeError, match="function"):
        check_weights(lambda x: x)


def test_the_device_is_that_of_the_first_tensor():
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(nn.BatchNorm1d(1, affine=False)).type == "cpu"
    assert device_of(nn.ReLU()).type == "cpu"


@pytest.mark.parametrize(
    ("inputs", "error", "match"),
    [
        (torch.ones(3, 2).to_sparse(), ValueError, r"sparse.*data\.to_dense\(\)"),
        ([1.0], TypeError, "not list"),
        (torch.zeros(3), ValueError, "shape"),
        (torch.zeros(0, 3), ValueError, "N >= 1"),
        (torch.full((1, 2), torch.nan), ValueError, "NaN"),
        (torch.zeros(1, 2, dtype=torch.uint8), ValueError, "to_float"),
    ],
)
def test_inputs_that_no_model_takes_are_refused(inputs, error, match):
    with pytest.raises(error, match=match):
        check_inputs(nn.Linear(2, 1), inputs)


def test_inputs_come_to_the_device_of_the_model():
    assert check_inputs(nn.Linear(2, 1, device="meta"), torch.zeros(1, 2)).device.type == "meta"
    with pytest.raises(PruningError, match="no parameters"):
        check_inputs(nn.ReLU(), torch.zeros(1, 2))


def test_what_torch_export_makes_is_refused_by_name():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    exported = torch.export.export(model, (torch.zeros(3, 2),)).module()
    with (
        pytest.raises(TypeError, match=r"torch\.export.*Give the torch\.nn\.Module"),
        evaluating(exported),
    ):
        pass


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_that_are_only_stored_are_named(dtype):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    model[2].weight.data = model[2].weight.data.to(dtype)
    with pytest.raises(ValueError, match=r"'2\.weight' is of torch\.float8.*model\.float\(\)"):
        check_weights(model)
    check_weights(model.float())


def test_weights_on_the_meta_device_are_named():
    with pytest.raises(ValueError, match=r"'0\.weight'.*to_empty"):
        check_weights(nn.Sequential(nn.Linear(2, 2, device="meta")))
    with pytest.raises(ValueError, match=r"'running_mean'.*to_empty"):
        check_weights(nn.BatchNorm1d(2, affine=False, device="meta"))
