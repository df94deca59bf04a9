"""Region codes: what they say, how they are packed, compared and stored."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
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


@pytest.mark.parametrize("name", TORCHVISION)
def test_codes_are_the_signs_of_the_pre_activations(name):
    model = randomised(torchvision_model(name)).eval().double()
    x = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    codes = sl.region_codes(model, x, batch_size=2)
    kinds = {layer.name: layer.kind for layer in sl.spline_layers(model, x)}
    with torch.no_grad():
        pre = pre_activations(model, x)
    for (layer, shape), z in zip(codes.layers.items(), pre, strict=True):
        bits = codes.unpack(layer)
        assert bits.dtype == torch.bool
        assert bits.shape == (3, *shape)
        if kinds[layer] == "relu":
            assert torch.equal(bits, z > 0)
        elif kinds[layer] == "hardtanh":
            assert torch.equal(bits, torch.stack([z > 0, z > 6], 1))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.booleans())
def test_max_pool_bits_are_the_index_of_the_winner(kernel, stride, padding, dilation, ceil):
    padding = min(padding, kernel // 2)
    x = torch.rand(2, 2, 9, 8, generator=torch.Generator().manual_seed(kernel))
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


def test_batches_arrays_and_streams_give_the_same_codes(tmp_path):
    model, x = small(), torch.rand(11, 1, 8, 8)
    codes = sl.region_codes(model, x)
    np.save(tmp_path / "x.npy", x.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=4)
    for other in (
        sl.region_codes(model, x, batch_size=3),
        sl.region_codes(model, mapped, batch_size=5),
        sl.region_codes(model, loader),
    ):
        assert codes.distance(other) == 0


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
    with pytest.raises(ValueError, match="no spline unit"):
        sl.region_codes(nn.Linear(2, 2), torch.rand(3, 2))

    class Fickle(nn.Module):
        def forward(self, x):
            return F.relu(F.relu(x)) if x.sum() > 0 else F.relu(x)

    with pytest.raises(ValueError, match="path depends on the input"):
        sl.region_codes(Fickle(), torch.tensor([[1.0], [-1.0]]), batch_size=1)
