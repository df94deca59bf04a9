"""Codes that are replayed are those that are taken, whatever happens to the network in between."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import Calling, randomised, small
from tape import Tape
from torch import nn

import splinelib as sl
from splinelib.codes import packing
from splinelib.codes import probe as probing
from splinelib.codes.probe import Probe


@pytest.fixture
def tape(monkeypatch) -> Tape:
    """A tape, and bits packed in operations that it sees, as a GPU packs them."""
    monkeypatch.setattr(packing, "_in_numpy", lambda z: False)
    monkeypatch.setattr(packing, "pack", packing.pack_with_torch)
    return Tape()


def assert_same(one: sl.RegionCodes, two: sl.RegionCodes) -> None:
    assert one.layers == two.layers and np.array_equal(one.inputs, two.inputs)
    for name, words in one.packed.items():
        assert np.array_equal(words, two.packed[name]), name


def trained(model: nn.Module, seed: int) -> None:
    """Weights and buffers change where they lie, as in an epoch."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator).to(tensor.device)
                tensor.add_(noise - 0.3 if tensor.ndim > 1 else noise)
            else:
                tensor.add_(1)


def transformer() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation="relu", batch_first=True)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 3))


def inputs_of(name: str) -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    if name == "attention":
        return transformer(), torch.randn(11, 3, 8, generator=generator)
    digits = sl.data.load("digits")
    model = randomised(sl.models.build(name, digits, width=0.125))
    return model.to(memory_format=torch.channels_last), digits.to_float(digits.train_images[:11])


@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet11", "attention"])
def test_replayed_codes_are_those_of_the_network_as_it_is_now(name, tape):
    """To the bit, for batches of two sizes; poolings, norms and attention too."""
    model, inputs = inputs_of(name)
    probe = Probe(inputs, batch_size=4, smooth="freeze", record=tape)
    seen = []
    for epoch in range(4):
        model.train(epoch % 2 == 0)
        codes = probe.codes(model)
        assert_same(codes, sl.region_codes(model, inputs, batch_size=4, smooth="freeze"))
        assert model.training == (epoch % 2 == 0)
        seen.append(codes)
        trained(model, epoch)
    assert seen[1].distance(seen[0]) > 0 < seen[2].distance(seen[1])  # and earlier ones are kept
    # Once at the capture, to compare, and at each call from the second one.
    assert (tape.recorded, tape.replayed) == (1, 4)


CHANGES = {
    "nothing": lambda model: None,
    "in place": lambda model: trained(model, 7),
    "a new weight": lambda model: setattr(model[4], "weight", nn.Parameter(-model[4].weight)),
    "data elsewhere": lambda model: setattr(model[4].weight, "data", -model[4].weight.data),
    "a new buffer": lambda model: setattr(model[1], "running_mean", model[1].running_mean + 1),
    "a new module": lambda model: model.__setitem__(2, nn.LeakyReLU(-1.0)),
    "a setting": lambda model: setattr(model[5], "threshold", 0.3),
    "a hook": lambda model: model[0].register_forward_hook(lambda m, args, out: -out),
    "a tensor beside": lambda model: model[6].shift.mul_(-1),
}


class Shifted(nn.Flatten):
    """Keeps a tensor that it does not name to torch."""

    def __init__(self):
        super().__init__()
        self.shift = torch.linspace(-3, 3, 28)

    def forward(self, x):
        return F.relu(super().forward(x) + self.shift)


class Bent(nn.Threshold):
    """A ReLU at a threshold of its own."""

    def forward(self, x):
        return F.relu(x - self.threshold)


def changing() -> nn.Module:
    model = small().eval()
    model[5], model[6] = Bent(0.0, 0.0), Shifted()
    return model


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_that_is_another_is_captured_anew(change, tape):
    """A graph would read the old weights, or memory that is somebody else's by now."""
    model, inputs = changing(), torch.rand(9, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    probe = Probe(inputs, record=tape)
    before = probe.codes(model)
    CHANGES[change](model)
    codes = probe.codes(model)
    assert_same(codes, sl.region_codes(model, inputs))
    pairs = zip(codes.packed.values(), before.packed.values(), strict=True)
    assert any((one != two).any() for one, two in pairs) == (change != "nothing")
    assert tape.recorded == (1 if change in ("nothing", "in place") else 2)
    assert_same(probe.codes(model), codes)
    assert tape.recorded == (1 if change in ("nothing", "in place") else 2)


class Waiting(nn.Module):
    """Asks for a value that does not follow from the input."""

    def __init__(self):
        super().__init__()
        self.register_buffer("number", torch.ones(()))

    def forward(self, x):
        return x * self.number.item()


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (lambda: nn.Sequential(small(), Waiting()), (1, 8, 8), r"_local_scalar_dense.*permitted"),
        (lambda: Calling(lambda h: h * (h > 0)), (4,), "activations are written by hand"),
    ],
)
def test_what_cannot_be_captured_is_taken_as_ever_and_said_once(model, inputs, reason, tape):
    model, x = model(), torch.rand(6, *inputs, generator=torch.Generator().manual_seed(0))
    probe = Probe(x, record=tape)
    with pytest.warns(UserWarning, match=f"module by module, which is slower: .*{reason}") as told:
        for epoch in range(3):
            assert_same(probe.codes(model), sl.region_codes(model, x))
            trained(model, epoch)
    assert len(told) == 1 and tape.replayed == 0


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        (torch.OutOfMemoryError("no memory\nat all"), "no memory"),
        (torch.OutOfMemoryError(), "OutOfMemoryError"),
        (None, "gives other codes"),
    ],
)
def test_a_capture_that_is_of_no_use_is_not_used(fails, reason, monkeypatch):
    model, inputs = small(), torch.rand(6, 1, 8, 8)

    def record(work):
        if fails is not None:
            raise fails
        with torch.no_grad():
            model[0].weight.neg_()
            work()
            model[0].weight.neg_()
        return lambda: None

    probe = Probe(inputs, record=record)
    with pytest.warns(UserWarning, match=f"slower: .*{reason}$"):
        codes = probe.codes(model)
    assert_same(codes, sl.region_codes(model, inputs))


def test_numbers_that_are_none_are_refused_in_a_replay_too(tape):
    model, inputs = small(), torch.rand(6, 1, 8, 8)
    probe = Probe(inputs, record=tape)
    probe.codes(model)
    with torch.no_grad():
        before = model[-1].weight.clone()
        model[4].weight.fill_(1e30)
        model[-1].weight.fill_(3e38)
        model[-1].weight[:, ::2] = -3e38
    with pytest.raises(ValueError, match="outputs are NaN for some inputs"):
        probe.codes(model)
    with torch.no_grad():
        model[-1].weight.copy_(before)
        model[0].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"'0\.weight' holds NaN"):
        probe.codes(model)
    assert tape.recorded == 1


def test_the_inputs_are_the_probes_own(tape):
    model, inputs = small(), torch.rand(6, 1, 8, 8)
    probe, before = Probe(inputs, record=tape), inputs.clone()
    probe.codes(model)
    inputs.zero_()
    for again in (probe, Probe(before)):
        assert_same(again.codes(model), sl.region_codes(model, before))
    with pytest.raises(TypeError, match="a tensor of inputs, not a list"):
        Probe([before])


def test_where_there_is_no_gpu_codes_are_taken_as_ever(monkeypatch):
    monkeypatch.setattr(probing, "captured", None)  # which cannot be called
    model, inputs = small(), torch.rand(6, 1, 8, 8)
    assert_same(Probe(inputs).codes(model), sl.region_codes(model, inputs))
    monkeypatch.setattr(probing, "on_a_gpu", lambda model: True)
    assert_same(Probe(inputs, capture=False).codes(model), sl.region_codes(model, inputs))


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["mlp", "vgg16", "preresnet11", "attention"])
def test_codes_replayed_on_cuda_are_those_of_the_network_as_it_is_now(name, recwarn):
    model, inputs = inputs_of(name)
    model, inputs = model.cuda(), inputs.cuda()
    probe = Probe(inputs, batch_size=4, smooth="freeze")
    for epoch in range(4):
        codes = probe.codes(model)
        expected = sl.region_codes(model, inputs, batch_size=4, smooth="freeze")
        assert codes.distance(expected) <= probing.ROUNDING
        trained(model, epoch)
    assert not [w for w in recwarn if "cannot be captured" in str(w.message)]


@pytest.mark.cuda
@pytest.mark.parametrize("change", CHANGES)
def test_a_network_that_is_another_is_captured_anew_on_cuda(change):
    model, inputs = changing().cuda(), torch.rand(9, 1, 8, 8).cuda()
    model[6].shift = model[6].shift.cuda()
    probe = Probe(inputs)
    probe.codes(model)
    CHANGES[change](model)
    for _ in range(2):
        expected = sl.region_codes(model, inputs)
        assert probe.codes(model).distance(expected) <= probing.ROUNDING


@pytest.mark.cuda
def test_what_cannot_be_captured_on_cuda_is_taken_as_ever():
    model, inputs = nn.Sequential(small(), Waiting()).cuda(), torch.rand(6, 1, 8, 8).cuda()
    probe = Probe(inputs)
    with pytest.warns(UserWarning, match="module by module, which is slower"):
        for epoch in range(3):
            codes, expected = probe.codes(model), sl.region_codes(model, inputs)
            assert codes.distance(expected) <= probing.ROUNDING
            trained(model, epoch)
    assert torch.rand(2, device="cuda").shape == (2,)
