"""Networks and inputs on another device than the CPU; see `pretend_device`."""

import copy

import pytest
import torch
from pretend_device import DEVICE, There, device

import splinelib as sl
from splinelib import models, training
from splinelib.codes.probe import Probe
from splinelib.training.batches import Batches


@pytest.fixture(scope="module")
def digits():
    return sl.data.load("digits").subset(train=256, test=64)


@pytest.fixture(params=["mlp", "vgg16", "preresnet11"])
def both(request, digits):
    """A network and inputs on the CPU, and the same on the other device."""
    width = 0.0625 if request.param == "vgg16" else 0.125
    model = models.build(request.param, digits, width=width, seed=0).eval()
    inputs = digits.to_float(digits.train_images[:16])
    with device():
        yield model, inputs, copy.deepcopy(model).to(DEVICE), inputs.to(DEVICE)


def test_the_pretended_device_refuses_what_a_device_refuses():
    cpu = torch.arange(6.0).reshape(2, 3)
    with device():
        there = cpu.to(DEVICE)
        assert there.device == DEVICE and isinstance(there @ there.T, There)
        assert torch.equal((there @ there.T + 1).cpu(), cpu @ cpu.T + 1)
        there[1, torch.tensor([0])] = 5.0  # indices may lie on the CPU, and numbers anywhere
        assert there[1, 0].item() == 5 and there.tolist()[1][0] == 5
        back = torch.zeros(2, 3)
        assert back.copy_(there) is back and torch.equal(back, there.cpu())
        assert torch.zeros(2, device=DEVICE).device == DEVICE
        assert torch.tensor(1.5, device=DEVICE).device == DEVICE
        assert there.new_tensor([1, 2]).dtype == torch.float32
        generator = torch.Generator().manual_seed(0)
        for refused in (
            lambda: there + cpu,
            lambda: cpu @ there.T,
            lambda: cpu[torch.tensor([0], device=DEVICE)],
            lambda: torch.where(there > 0, cpu, 0.0),
            lambda: torch.randn(2, generator=generator, device=DEVICE),
            lambda: there.index_put((torch.tensor([0]),), cpu[0]),
        ):
            with pytest.raises(RuntimeError, match="not all on one device"):
                refused()
        with pytest.raises(RuntimeError):
            there.numpy()


def test_codes_and_hyperplanes_are_those_of_the_cpu(both):
    here, inputs, there, moved = both
    codes = sl.region_codes(here, inputs)
    for given in (moved, inputs):  # inputs may come from the CPU, batch by batch
        assert sl.region_codes(there, given, batch_size=7).distance(codes) == 0
    for one, two in zip(
        sl.spline_layers(here, inputs[:1]), sl.spline_layers(there, moved[:1]), strict=True
    ):
        assert (one.name, one.unit_shape) == (two.name, two.unit_shape)
    affine, constant = sl.affine_map(there, moved[0])
    expected, offset = sl.affine_map(here, inputs[0])
    assert affine.device == constant.device == DEVICE
    torch.testing.assert_close(affine.cpu(), expected)
    torch.testing.assert_close(constant.cpu(), offset)
    with pytest.raises(ValueError, match="move one of them"):
        sl.affine_map(there, inputs[0])


LAYOUTS: dict[str, object] = {}
PRUNERS: dict[str, tuple] = {}


def layout_of(both):
    """The layout found on the pretended device, once for each network: it takes long there."""
    here, inputs, there, moved = both
    if str(here) not in LAYOUTS:
        LAYOUTS[str(here)] = sl.find_groups(there, moved)
        assert [*LAYOUTS[str(here)].groups] == [*sl.find_groups(here, inputs).groups]
    return LAYOUTS[str(here)]


def pruner_of(both):
    """A network on the pretended device and its pruner, once for each, for the same reason."""
    here, _, there, moved = both
    if str(here) not in PRUNERS:
        PRUNERS[str(here)] = there, sl.Pruner(there, data=moved)
    return PRUNERS[str(here)]


@pytest.mark.parametrize("criterion", [*sl.CRITERIA])
def test_scores_are_those_of_the_cpu(both, criterion):
    here, inputs, there, moved = both
    if criterion == "bn" and isinstance(here, torch.nn.Sequential):
        with pytest.raises(ValueError, match="can judge no layer"):
            sl.score(there, criterion, data=moved)
        return
    labels = torch.arange(len(inputs)) % 3
    layout = layout_of(both)
    expected = sl.score(here, criterion, data=inputs, labels=labels, layout=layout)
    found = sl.score(there, criterion, data=moved, labels=labels.to(DEVICE), layout=layout)
    assert list(found) == list(expected)
    for name, scores in expected.items():
        torch.testing.assert_close(found[name].cpu(), scores)


@pytest.mark.parametrize("both", ["mlp", "preresnet11"], indirect=True)
@pytest.mark.parametrize("compensate", [False, "merge", "fold", "refit", "distil"])
def test_pruned_networks_stay_on_the_device_and_equal_those_of_the_cpu(both, compensate, tmp_path):
    here, inputs, _, moved = both
    there, pruner = pruner_of(both)
    settings = {"criterion": "lsq", "scope": "residual", "compensate": compensate}
    before = copy.deepcopy(there.state_dict())
    small = pruner.prune(0.3, **settings)
    assert all(parameter.device == DEVICE for parameter in small.parameters())
    assert all(torch.equal(there.state_dict()[name], value) for name, value in before.items())
    with torch.no_grad():
        found = small(moved).cpu()
        expected = sl.prune(here, 0.3, data=inputs, **settings)(inputs)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        sl.save_pruned(small, tmp_path / "small.pt")
        loaded = sl.load_pruned(lambda: copy.deepcopy(here), tmp_path / "small.pt")
        torch.testing.assert_close(loaded(inputs), found, rtol=1e-4, atol=1e-5)


def test_codes_of_a_probe_follow_the_network_to_its_device(both):
    here, inputs, there, moved = both
    codes = sl.region_codes(here, inputs)
    for given in (moved, inputs):
        assert Probe(given, batch_size=7).codes(there).distance(codes) == 0


def test_batches_are_made_on_the_device(digits):
    """Of what was drawn; nothing of it is taken from the CPU meanwhile."""
    plain = Batches.of(digits, True, torch.device("cpu"))
    drawn = [*plain.shuffled(32, torch.Generator().manual_seed(0))][-1].drawn
    inputs, labels = plain.make(*drawn)
    with device():
        batches = Batches.of(digits, True, DEVICE)
        made, classes = batches.make(*(tensor.to(DEVICE) for tensor in drawn))
        assert made.device == classes.device == DEVICE
        assert torch.equal(made.cpu(), inputs) and torch.equal(classes.cpu(), labels)


def test_masks_measuring_and_evaluating(digits):
    """Training takes a generator of the device, which a pretended one has not."""
    with device():
        moved = digits.near(DEVICE)
        assert moved.train_images.device == moved.test_labels.device == DEVICE
        model = models.build("preresnet11", digits, width=0.25, seed=0).eval().to(DEVICE)
        example = moved.to_float(moved.test_images[:4])
        masks = sl.select(sl.score(model, "spline", example=example), 0.5)
        small, masked = sl.shrink(model, masks, example), sl.apply_masks(model, masks)
        with torch.no_grad():
            torch.testing.assert_close(small(example), masked(example), rtol=1e-4, atol=1e-5)
        assert training.measure(small, example, repeats=1).macs > 0
        test = moved.test_images, moved.test_labels
        accuracy = training.evaluate(small, *test, transform=moved.to_float)
        alone = training.evaluate(
            small.cpu(), digits.test_images, digits.test_labels, transform=digits.to_float
        )
        assert accuracy == alone
