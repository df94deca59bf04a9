"""Region codes: what they say, how they are packed, compared and stored."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_layers import TORCHVISION, pre_activations, randomised, torchvision_model
from torch import nn

import splinelib as sl
from splinelib.errors import DamagedFile


def small(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(28, outputs)),
    )


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request):
    """Where models and inputs live; every property holds on each."""
    return torch.device(request.param)


@pytest.mark.parametrize("name", TORCHVISION)
def test_codes_are_the_signs_of_the_pre_activations(name, device):
    model = randomised(torchvision_model(name)).eval().double().to(device)
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64, device=device)
    codes = sl.region_codes(model, x, batch_size=2)
    kinds = {layer.name: layer.kind for layer in sl.spline_layers(model, x)}
    with torch.no_grad():
        pre = pre_activations(model, x)
    for (layer, shape), z in zip(codes.layers.items(), pre, strict=True):
        bits, z = codes.unpack(layer), z.cpu()
        assert bits.dtype == torch.bool
        assert bits.shape == (3, *shape)
        if kinds[layer] == "relu":
            assert torch.equal(bits, z > 0)
        elif kinds[layer] == "hardtanh":
            assert torch.equal(bits, torch.stack([z > 0, z > 6], 1))


@settings(max_examples=60, deadline=None)
@given(
    *(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.booleans()),
    st.sampled_from([7, 8, 10]),
)
@example(2, 2, 0, 1, False, 8)  # the usual pooling, over a power of two, an even, an odd width
@example(2, 2, 0, 1, False, 10)
@example(2, 2, 0, 1, True, 7)
def test_max_pool_bits_are_the_index_of_the_winner(kernel, stride, padding, dilation, ceil, wide):
    padding = min(padding, kernel // 2)
    x = torch.rand(2, 2, 9, wide, generator=torch.Generator().manual_seed(kernel))
    x = (x * 4).floor()  # many ties
    pool = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
    codes = sl.region_codes(pool, x)
    (layer,) = codes.layers
    bits = codes.unpack(layer).long()
    index = (bits * (2 ** torch.arange(bits.shape[1])).reshape(-1, 1, 1, 1)).sum(1)
    reach = F.pad(x, [9] * 4, value=-torch.inf)
    out = pool(x)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            row = i * stride - padding + index[:, :, i, j] // kernel * dilation + 9
            column = j * stride - padding + index[:, :, i, j] % kernel * dilation + 9
            n, c = torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")
            assert torch.equal(reach[n, c, row, column], out[:, :, i, j])


def test_adaptive_max_pool_and_functions():
    x = torch.rand(2, 3, 7, 5)
    codes = sl.region_codes(nn.AdaptiveMaxPool2d((3, 2)), x)
    assert codes.layers == {next(iter(codes.layers)): (4, 3, 3, 2)}  # windows of up to 3 x 3


def test_pooling_gives_values_indices_or_both(device):
    """A pooling that is asked for its indices goes on getting them."""

    class Both(nn.Module):
        def forward(self, x):
            value, index = F.max_pool2d(x, 2, return_indices=True)
            return F.max_pool2d(value, 2) + 0 * index.sum()

    x = torch.rand(3, 2, 8, 8, device=device)
    codes = sl.region_codes(Both(), x)
    both = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))
    assert list(codes.layers.values()) == [(2, 2, 4, 4), (2, 2, 2, 2)]
    expected = sl.region_codes(both, x)
    for mine, other in zip(codes.layers, expected.layers, strict=True):
        assert torch.equal(codes.unpack(mine), expected.unpack(other))


def test_batches_arrays_and_streams_give_the_same_codes(tmp_path, device):
    model, x = small().to(device), torch.rand(11, 1, 8, 8)
    codes = sl.region_codes(model, x.to(device))
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=4)
    wide = small().to(device, memory_format=torch.channels_last)
    for other in (
        sl.region_codes(model, x, batch_size=3),
        sl.region_codes(model, mapped, batch_size=5),
        sl.region_codes(model, loader),
        sl.region_codes(wide, x, batch_size=1),
    ):
        assert codes.distance(other) == 0
        assert len(other) == 11
    rows = sl.region_codes(model, x[[3, 7]])
    assert codes[[3, 7]].distance(rows) == 0
    with pytest.raises(ValueError, match="different inputs"):
        codes[[3, 6]].distance(rows)


def test_distance_is_the_mean_hamming_distance():
    x = torch.rand(20, 1, 8, 8)
    a, b = sl.region_codes(small(), x), sl.region_codes(small(seed=1), x)
    expected = [(a.unpack(n) != b.unpack(n)).double().mean().item() for n in a.layers]
    assert a.distance(b) == pytest.approx(np.mean(expected))
    assert list(a.distance(b, per_layer=True).values()) == pytest.approx(expected)
    assert a.distance(b) == b.distance(a)
    assert a.distance(a) == 0
    one = sl.region_codes(nn.Sequential(nn.Linear(4, 70), nn.ReLU()), torch.randn(9, 4))
    bits = one.unpack("0").double()
    assert one.pairwise() == pytest.approx(torch.cdist(bits, bits, p=1).numpy() / 70)


def test_count_regions_is_the_number_of_distinct_rows():
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    x = torch.randn(500, 2)
    codes = sl.region_codes(model, x)
    rows = torch.cat([codes.unpack(n) for n in codes.layers], 1)
    assert codes.count_regions() == len(torch.unique(rows, dim=0))
    labels = torch.from_numpy(codes.labels())
    same = (rows[:, None] == rows[None]).all(-1)
    assert torch.equal(labels[:, None] == labels[None], same)


def test_regions_of_some_layers():
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    codes = sl.region_codes(model, torch.randn(300, 2))
    first = codes.unpack("0")
    assert codes.count_regions(["0"]) == len(torch.unique(first, dim=0))
    assert codes.count_regions(["0"]) <= codes.count_regions() == codes.count_regions(["2", "0"])
    assert codes.count_regions([]) == 1  # without any unit the plane is one region
    with pytest.raises(KeyError, match="no spline layer"):
        codes.count_regions(["nothing"])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 9))
def test_all_pairs_of_epochs_in_one_call(epochs, rows, seed):
    rng = np.random.default_rng(seed)
    codes = [
        sl.RegionCodes.from_bool(
            {"a": rng.random((rows, 70)) < 0.5, "b": rng.random((rows, 3)) < 1}
        )
        for _ in range(epochs)
    ]
    matrix, layers = sl.codes.distance_matrix(codes), sl.codes.distance_matrix(codes, True)
    expected = [[a.distance(b) for b in codes] for a in codes]
    assert matrix == pytest.approx(np.array(expected))
    assert layers["a"][0, 1] == codes[0].distance(codes[1], per_layer=True)["a"]
    assert not layers["b"].any()
    assert matrix == pytest.approx((layers["a"] + layers["b"]) / 2)


def test_agreement_is_the_share_of_equal_bits():
    rng = np.random.default_rng(0)
    shapes = {"linear": (9,), "conv": (4, 3, 5), "two thresholds": (2, 4, 3, 3)}
    codes = sl.RegionCodes.from_bool({n: rng.random((30, *s)) < 0.3 for n, s in shapes.items()})
    for name, axis in (("linear", 1), ("conv", 1), ("two thresholds", 2)):
        bits = codes.unpack(name).movedim(axis, 0).flatten(1)
        expected = (bits[:, None] == bits[None]).double().mean(-1)
        assert codes.agreement(name) == pytest.approx(expected.numpy(), abs=1e-12)


def test_agreement_finds_twins_and_mirrors():
    """A unit scaled by a positive number agrees always, by a negative one never."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    with torch.no_grad():
        for tensor in (net[0].weight, net[0].bias):
            tensor[2], tensor[3] = 3 * tensor[0], -2 * tensor[1]
    agreement = sl.region_codes(net, torch.randn(40, 1, 7, 7)).agreement("0")
    assert agreement[0, 2] == 1
    assert agreement[1, 3] == 0
    assert 0 < agreement[0, 1] < 1
    assert (np.diag(agreement) == 1).all()
    with pytest.raises(ValueError, match="at least one"):
        sl.RegionCodes.from_bool({"a": np.zeros((0, 3))}).agreement("a")


def test_bfloat16_flips_bits_near_zero_only(device):
    """What half the bits of a number do to the code, and to the distance of two epochs."""
    torch.manual_seed(0)
    x = torch.randn(64, 3, 32, 32, device=device)
    epochs = [randomised(sl.models.vgg16(10, width=0.125)).eval().to(device) for _ in range(2)]
    exact = [sl.region_codes(m, x) for m in epochs]
    short = [sl.region_codes(m, x, autocast=torch.bfloat16) for m in epochs]
    flipped = [a.distance(b) for a, b in zip(exact, short, strict=True)]
    assert 0 < max(flipped) < 0.02
    # the Hamming distance is a metric: rounding moves it by no more than what flipped
    moved = abs(exact[0].distance(exact[1]) - short[0].distance(short[1]))
    assert moved <= sum(flipped) + 1e-12
    # where a bit of the first layer flipped, the pre-activation was within rounding of zero
    name = next(iter(exact[0].layers))
    changed = exact[0].unpack(name) ^ short[0].unpack(name)
    with torch.no_grad():
        z = pre_activations(epochs[0], x)[0].cpu()
    assert changed.any()
    assert z[changed].abs().max() < 0.05 * z.abs().mean()
    with pytest.raises(TypeError, match="autocast"):
        sl.region_codes(epochs[0], x, autocast=torch.int8)


def test_codes_travel_in_a_checkpoint(tmp_path):
    codes = sl.region_codes(small(), torch.rand(9, 1, 8, 8))
    torch.save(codes.state_dict(), tmp_path / "state.pt")
    again = sl.RegionCodes.from_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert again.layers == codes.layers
    assert again.distance(codes) == 0
    with pytest.raises(ValueError, match="different inputs"):
        again.distance(sl.region_codes(small(), 1 + torch.rand(9, 1, 8, 8)))
    state = codes.state_dict()
    for damage in ({"version": 99}, {"packed": state["packed"][:-1]}, {"inputs": torch.zeros(3)}):
        with pytest.raises(DamagedFile):
            sl.RegionCodes.from_state_dict(state | damage)


def test_a_code_costs_one_bit_per_unit_and_the_model_is_untouched():
    model = small()
    model.train()
    model[1].eval()  # an odd mix of modes comes back as it was
    state = {n: t.clone() for n, t in model.state_dict().items()}
    codes = sl.region_codes(model, torch.rand(64, 1, 8, 8))
    units = sum(int(np.prod(s)) for s in codes.layers.values())
    assert codes.nbytes <= 64 * (units / 8 + 8 * len(codes.layers))
    assert model.training
    assert not model[1].training
    assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.lists(st.integers(1, 130), min_size=1, max_size=3))
def test_packing_and_files_are_lossless(tmp_path_factory, rows, widths):
    rng = np.random.default_rng(rows)
    bits = {f"l{i}": rng.random((rows, w)) < 0.5 for i, w in enumerate(widths)}
    codes = sl.RegionCodes.from_bool(bits)
    path = tmp_path_factory.mktemp("codes") / "codes.npz"
    codes.save(path)
    again = sl.RegionCodes.load(path)
    assert again.layers == codes.layers
    for name, b in bits.items():
        assert np.array_equal(again.unpack(name).numpy(), b)
    assert again.distance(codes) == 0


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "codes.npz"
    sl.region_codes(small(), torch.rand(4, 1, 8, 8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFile, match="not a whole file"):
        sl.RegionCodes.load(path)
    np.savez(path, header=np.array('{"version": 99}'))
    with pytest.raises(DamagedFile, match="version 99"):
        sl.RegionCodes.load(path)
    np.savez(path, header=np.array([{"a": 1}], dtype=object))  # a pickle: never loaded
    with pytest.raises(DamagedFile):
        sl.RegionCodes.load(path)
    with pytest.raises(FileNotFoundError):
        sl.RegionCodes.load(tmp_path / "none.npz")


def test_files_of_the_first_version_are_read(tmp_path):
    """They name their inputs by one digest, which says nothing about single rows."""
    x = torch.rand(4, 1, 8, 8)
    codes = sl.region_codes(small(), x)
    layers = [[name, list(shape)] for name, shape in codes.layers.items()]
    header = {"version": 1, "layers": layers, "inputs": "0123456789abcdef"}
    arrays = {f"layer_{i}": p.numpy() for i, p in enumerate(codes.state_dict()["packed"])}
    arrays = {name: packed.view(np.uint64) for name, packed in arrays.items()}
    np.savez_compressed(tmp_path / "old.npz", header=np.array(json.dumps(header)), **arrays)
    assert sl.RegionCodes.load(tmp_path / "old.npz").distance(codes) == 0


def test_what_cannot_be_compared_is_refused():
    x = torch.rand(6, 1, 8, 8)
    codes = sl.region_codes(small(), x)
    with pytest.raises(ValueError, match="same inputs"):
        codes.distance(sl.region_codes(small(), x[:5]))
    with pytest.raises(ValueError, match="different inputs"):
        codes.distance(sl.region_codes(small(), x.flip(0)))
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU())
    with pytest.raises(ValueError, match="different architectures"):
        codes.distance(sl.region_codes(other, x))
    with pytest.raises(KeyError, match="no spline layer"):
        codes.unpack("nothing")


def test_bad_input():
    model, x = small(), torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match="at least one"):
        sl.region_codes(model, x[:0])
    with pytest.raises(ValueError, match="at least one"):
        sl.region_codes(model, iter([]))
    with pytest.raises(ValueError, match="batch_size"):
        sl.region_codes(model, x, batch_size=0)
    with pytest.raises(ValueError, match="NaN"):
        sl.region_codes(model, x * torch.nan)
    with torch.no_grad():
        model[0].weight[0] = 3e38  # finite, though its sum is not
    sl.region_codes(model, x)
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = -torch.inf
    with pytest.raises(ValueError, match=r"'0\.weight' holds NaN"):
        sl.region_codes(model, x)
    with pytest.raises(ValueError, match="no spline unit"):
        sl.region_codes(nn.Linear(2, 2), torch.rand(3, 2))

    class Fickle(nn.Module):
        def forward(self, x):
            return F.relu(F.relu(x)) if x.sum() > 0 else F.relu(x)

    with pytest.raises(ValueError, match="path depends on the input"):
        sl.region_codes(Fickle(), torch.tensor([[1.0], [-1.0]]), batch_size=1)
