"""Region codes counted, compared, saved and refused."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import small
from torch import nn

import splinelib as sl
from splinelib.errors import DamagedFile


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


@pytest.mark.parametrize(
    ("shape", "axis"), [((2, 6), -1), ((5, 6), 1), ((4, 7), 0), ((4, 2, 3, 5), 0), ((2, 4, 7), 1)]
)
def test_agreement_along_the_axis_that_is_said(shape, axis):
    rng = np.random.default_rng(0)
    codes = sl.RegionCodes.from_bool({"a": rng.random((30, *shape)) < 0.3})
    bits = codes.unpack("a").movedim(axis % len(shape) + 1, 0).flatten(1)
    expected = (bits[:, None] == bits[None]).double().mean(-1)
    assert codes.agreement("a", axis) == pytest.approx(expected.numpy(), abs=1e-12)
    with pytest.raises(ValueError, match="say along which axis"):
        codes.agreement("a", len(shape))
    if len(shape) == 2:
        with pytest.raises(ValueError, match="say along which axis"):
            codes.agreement("a")


def test_a_layer_without_units_tells_nothing_apart():
    rng = np.random.default_rng(0)
    one, two = (rng.random((30, 3)) < 0.5 for _ in range(2))
    nothing = np.zeros((30, 0), bool)
    codes, other = (sl.RegionCodes.from_bool({"a": a, "none": nothing}) for a in (one, two))
    alone = sl.RegionCodes.from_bool({"a": one})
    assert (codes.labels() == alone.labels()).all()
    assert codes.labels(["none"]).tolist() == [0] * 30
    apart = codes.distance(other, per_layer=True)
    assert apart == {"a": (one != two).mean(), "none": 0}
    assert codes.pairwise() == pytest.approx(alone.pairwise() / 2)


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
    with pytest.raises(DamagedFile, match="truncated"):
        sl.RegionCodes.load(path)
    np.savez(path, header=np.array('{"version": 99}'))
    with pytest.raises(DamagedFile, match="version 99"):
        sl.RegionCodes.load(path)
    np.savez(path, header=np.array([{"a": 1}], dtype=object))  # a pickle: never loaded
    with pytest.raises(DamagedFile):
        sl.RegionCodes.load(path)
    with pytest.raises(FileNotFoundError):
        sl.RegionCodes.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("layers", "arrays", "message"),
    [
        (["xyz"], {}, "region codes"),
        ([["a", [3.5]]], {}, r"layers\.a\[0\] is 3\.5"),
        ([["a", [-3]]], {}, "is -3"),
        ([["a", [3]], ["a", [3]]], {"layer_1": np.zeros((2, 1), np.uint64)}, "two layers"),
        ([["a", [3]]], {"layer_0": np.full((2, 1), 8, np.uint64)}, "bits behind"),
        ([["a", [65]]], {}, "does not fit its shape"),
        ([["a", [3]]], {"inputs": np.array(3)}, "one number for each row"),
        ([["a", [3]]], {"inputs": np.zeros(5, np.int64)}, "different numbers of rows"),
        ([["a", [3]]], {"layer_0": np.zeros((2, 1))}, "does not fit"),
        ([["a", [3]], ["b", [3]]], {}, "layer_1"),
        (3, {}, "region codes"),
    ],
)
def test_codes_that_cannot_be_are_refused(tmp_path, layers, arrays, message):
    path, whole = tmp_path / "codes.npz", {"layer_0": np.array([[7], [2]], np.uint64)}
    header = json.dumps({"version": 2, "layers": [["a", [3]]]})
    np.savez(path, header=np.array(header), **whole)
    assert sl.RegionCodes.load(path).unpack("a").tolist() == [[1, 1, 1], [0, 1, 0]]
    header = json.dumps({"version": 2, "layers": layers})
    np.savez(path, header=np.array(header), **whole | arrays)
    with pytest.raises(DamagedFile, match=message) as caught:
        sl.RegionCodes.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("header", ["", "[]", "{}", "[" * 100_000, '{"version": 2, "layers": NaN}'])
def test_a_header_that_says_nothing_is_refused(tmp_path, header):
    np.savez(tmp_path / "codes.npz", header=np.array(header))
    with pytest.raises(DamagedFile, match=r"codes\.npz"):
        sl.RegionCodes.load(tmp_path / "codes.npz")
    with pytest.raises(IsADirectoryError):
        sl.RegionCodes.load(tmp_path)


def test_every_damaged_byte_is_found_or_without_effect(tmp_path):
    path = tmp_path / "codes.npz"
    codes = sl.region_codes(small(), torch.rand(4, 1, 8, 8))
    codes.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            read = sl.RegionCodes.load(path)
        except DamagedFile:
            continue
        assert read.layers == codes.layers and np.array_equal(read.inputs, codes.inputs)
        assert all(np.array_equal(read.packed[name], codes.packed[name]) for name in codes.layers)


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


def test_codes_pickled_when_their_arrays_were_private_are_read():
    codes = sl.RegionCodes.from_bool({"a": np.array([[True, False], [False, True]])})
    before = sl.RegionCodes.__new__(sl.RegionCodes)
    before.__setstate__({"layers": codes.layers, "_packed": codes.packed, "_inputs": None})
    assert before.distance(codes) == 0 and before.inputs is None
    assert pickle.loads(pickle.dumps(codes)).distance(codes) == 0
