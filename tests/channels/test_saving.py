"""Pruned networks on disk."""

import numpy as np
import pytest
import torch
import torchvision
from networks import alive, convnet, dense_mlp, grouped, images, parameters
from onnx.reference import ReferenceEvaluator
from strangers import PRUNABLE, lively

import splinelib as sl
from splinelib.errors import DamagedFile
from splinelib.models import preresnet


def test_pruned_networks_save_and_load(tmp_path):
    model, data = convnet(norm=False), images(128)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    path = tmp_path / "small.pt"
    sl.save_pruned(small, path)
    loaded = sl.load_pruned(lambda: convnet(norm=False, seed=9), path)
    with torch.no_grad():
        assert torch.equal(loaded(data), small(data))
    assert not loaded.training
    assert torch.load(path, weights_only=True)["kept"]["0"]["out"].dtype == torch.int64
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("read", "made", "blocks"), [(3, 4, 2), (2, 2, 6)])
def test_grouped_convolutions_save_and_load(tmp_path, read, made, blocks):
    """Positions of blocks, and whole blocks."""
    model, data = grouped(read, made, blocks), images(64)
    small = sl.prune(model, 0.4, "magnitude", data=data, compensate=True)
    assert parameters(small[2]) < parameters(model[2])
    sl.save_pruned(small, tmp_path / "small.pt")
    loaded = sl.load_pruned(lambda: grouped(read, made, blocks, seed=3), tmp_path / "small.pt")
    with torch.no_grad():
        assert torch.equal(loaded(data), small(data))
    assert loaded[2].groups == (blocks if read > 2 else small[2].groups)
    assert (loaded[2].in_channels, loaded[2].out_channels) == (
        len(small[0].weight),
        len(small[2].weight),
    )


def test_added_biases_are_saved(tmp_path):
    model, data = alive(preresnet(depth=20, width=0.5, image_size=8)), images(128)
    small = sl.prune(model, 0.5, data=data, compensate=True)
    assert small.pruning_record["added_biases"]
    sl.save_pruned(small, tmp_path / "small.pt")
    loaded = sl.load_pruned(
        lambda: preresnet(depth=20, width=0.5, image_size=8, seed=4), tmp_path / "small.pt"
    )
    with torch.no_grad():
        assert torch.equal(loaded(data), small(data))


def test_an_added_bias_is_frozen_as_its_weight_is(tmp_path):
    def make():
        model = dense_mlp()
        model[2] = torch.nn.Linear(16, 12, bias=False)
        model[2].requires_grad_(False)
        return model

    data = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    small = sl.prune(make(), 0.5, data=data)
    assert small.pruning_record["added_biases"] == ["2"]
    sl.save_pruned(small, tmp_path / "small.pt")
    for network in (small, sl.load_pruned(make, tmp_path / "small.pt")):
        learning = [name for name, p in network.named_parameters() if p.requires_grad]
        assert learning == ["0.weight", "0.bias", "4.weight", "4.bias"]


def test_rewinding_takes_the_kept_channels_of_another_dense_network():
    data = images(64)
    start, trained = convnet(), alive(convnet())
    small = sl.prune(trained, 0.3, data=data, compensate=True)
    smaller = sl.prune(small, 0.4, "magnitude", data=data)
    for pruned in (small, smaller):
        before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
        ticket = sl.rewind(pruned, start)
        assert all(torch.equal(before[n], t) for n, t in start.state_dict().items())
        assert parameters(ticket) == parameters(pruned)
        for name, tensor in ticket.state_dict().items():
            kept = pruned.pruning_record["kept"].get(name.rpartition(".")[0], {})
            wanted = before[name]
            if "out" in kept or "channel" in kept:
                wanted = wanted[kept.get("out", kept.get("channel"))] if wanted.ndim else wanted
            if "in" in kept and name.endswith("weight"):
                wanted = wanted[:, kept["in"]]
            assert torch.equal(tensor, wanted)
        # pruned once more, it knows where it comes from
        assert sl.rewind(ticket, trained).pruning_record["kept"] is not None
    with pytest.raises(ValueError, match="no record of what was kept; rewind takes"):
        sl.rewind(trained, start)
    with pytest.raises(ValueError, match="dense is not the network that the pruned network was"):
        sl.rewind(small, preresnet(depth=20, width=0.5, image_size=8))


def test_pruning_twice_remembers_the_dense_network(tmp_path):
    data = images(64)
    small = sl.prune(convnet(), 0.3, data=data, compensate=True)
    smaller = sl.prune(small, 0.4, "magnitude", data=data, compensate=True)
    assert parameters(smaller) < parameters(small)
    sl.save_pruned(smaller, tmp_path / "smaller.pt")
    loaded = sl.load_pruned(convnet, tmp_path / "smaller.pt")
    with torch.no_grad():
        assert torch.equal(loaded(data), smaller(data))


@pytest.mark.parametrize("name", ["a shared buffer", "tied by a list"])
def test_tensors_that_are_shared_are_still_shared_when_read_back(name, tmp_path):
    make, inputs, _ = PRUNABLE[name]
    small = sl.prune(lively(make), 0.4, "magnitude", example=inputs)
    sl.save_pruned(small, tmp_path / "small.pt")
    with torch.no_grad():
        assert torch.equal(sl.load_pruned(make, tmp_path / "small.pt")(inputs), small(inputs))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    small = sl.prune(convnet(), 0.5, example=images(1))
    path = tmp_path / "small.pt"
    sl.save_pruned(small, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFile, match="truncated"):
        sl.load_pruned(convnet, path)
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(DamagedFile, match="not written by save_pruned"):
        sl.load_pruned(convnet, path)
    path.write_bytes(whole)
    torch.save({**torch.load(path, weights_only=True), "version": 99}, path)
    with pytest.raises(DamagedFile, match="version 99"):
        sl.load_pruned(convnet, path)
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="does not make the network"):
        sl.load_pruned(dense_mlp, path)
    with pytest.raises(TypeError, match="make_dense_model"):
        sl.load_pruned(lambda: 3, path)
    with pytest.raises(FileNotFoundError, match="no pruned network"):
        sl.load_pruned(convnet, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="no record"):
        sl.save_pruned(convnet(), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("version"), "version None"),
        (lambda s: s.pop("state"), "state is missing"),
        (lambda s: s.pop("shapes"), "shapes is missing"),
        (lambda s: s["kept"].update(nowhere={"out": torch.arange(2)}), "does not fit together"),
        (lambda s: s["kept"]["0"].update(out=torch.tensor([999])), "does not fit together"),
        (lambda s: s.update(kept=[1]), "kept should be an object"),
        (lambda s: s.update(added_biases=["nowhere"]), "does not fit together"),
        (lambda s: s["state"].popitem(), "does not fit together"),
        (lambda s: next(iter(s["state"].values())).fill_(float("nan")), "not numbers"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path, change, message):
    path = tmp_path / "small.pt"
    sl.save_pruned(sl.prune(convnet(), 0.5, example=images(1)), path)
    saved = torch.load(path, weights_only=True)
    change(saved)
    torch.save(saved, path)
    with pytest.raises(DamagedFile, match=message) as caught:
        sl.load_pruned(convnet, path)
    assert str(path) in str(caught.value)


def test_a_flipped_bit_of_a_weight_is_found(tmp_path):
    small, path = sl.prune(convnet(), 0.5, example=images(1)), tmp_path / "small.pt"
    sl.save_pruned(small, path)
    whole = bytearray(path.read_bytes())
    whole[whole.find(next(small.parameters()).detach().numpy().tobytes()) + 6] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedFile, match="checksum"):
        sl.load_pruned(convnet, path)
    with pytest.raises(IsADirectoryError):
        sl.load_pruned(convnet, tmp_path)


def test_weights_are_not_rounded_when_they_are_read(tmp_path):
    path = tmp_path / "small.pt"
    sl.save_pruned(sl.prune(convnet(), 0.5, example=images(1)).double(), path)
    with pytest.raises(ValueError, match=r"as torch\.float64.*makes torch\.float32"):
        sl.load_pruned(convnet, path)
    small = sl.load_pruned(lambda: convnet().double(), path)
    assert next(small.parameters()).dtype == torch.float64
    sl.save_pruned(small.bfloat16(), path)  # float32 holds every value of it
    wide = sl.load_pruned(convnet, path)
    assert torch.equal(next(wide.parameters()), next(small.parameters()).float())


@pytest.mark.parametrize(
    "make",
    [
        lambda: preresnet(depth=20, width=0.5, image_size=32),
        lambda: torchvision.models.squeezenet1_1(weights=None, num_classes=10),
    ],
    ids=["preresnet", "squeezenet"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_export_and_onnx_give_the_same_outputs(make, tmp_path):
    torch.manual_seed(0)
    data = torch.randn(16, 3, 32, 32)
    small, inputs = sl.prune(make().eval(), 0.4, "l2", data=data, compensate=True), data[:2]
    with torch.no_grad():
        expected = small(inputs)
    program = torch.export.export(small, (inputs,))
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    with torch.no_grad():
        found = torch.export.load(path).module()(inputs)
    torch.testing.assert_close(found, expected)
    onnx = tmp_path / "small.onnx"
    torch.onnx.export(program, (inputs,), onnx, dynamo=True, verbose=False)
    session = ReferenceEvaluator(str(onnx))
    found = session.run(None, {session.input_names[0]: inputs.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-5)


class Noted(torch.nn.Module):
    """Keeps in its state what is no tensor."""

    def __init__(self, note):
        super().__init__()
        self.layers, self.note = dense_mlp(), note

    def forward(self, x):
        return self.layers(x)

    def get_extra_state(self):
        return self.note

    def set_extra_state(self, state):
        self.note = state


def test_what_modules_keep_beside_tensors_goes_along(tmp_path):
    """These raised AttributeError when they were pruned."""
    model, x = Noted({"calls": 3, "names": ["a"]}), torch.zeros(1, 6)
    small = sl.prune(model, 0.5, example=x)
    sl.save_pruned(small, tmp_path / "small.pt")
    loaded = sl.load_pruned(lambda: Noted(None), tmp_path / "small.pt")
    assert loaded.note == model.note and torch.equal(loaded(x), small(x))
    rewound = sl.rewind(small, Noted("start"))
    assert rewound.note == "start" and parameters(rewound) == parameters(small)
    bound = sl.pruning_bound(model, small, (x - 0.1, x + 0.1))
    assert bound.largest > 0
    model.note = np.float64(3)
    with pytest.raises(TypeError, match=r"state\._extra_state is of numpy\.float64"):
        sl.save_pruned(sl.prune(model, 0.5, example=x), tmp_path / "other.pt")


def test_what_makes_no_dense_network_is_refused(tmp_path):
    small = sl.prune(dense_mlp(), 0.5, example=torch.zeros(1, 6))
    sl.save_pruned(small, tmp_path / "small.pt")
    for made, message in ((dense_mlp(), "is a function that makes"), (lambda: None, "NoneType")):
        with pytest.raises(TypeError, match=message):
            sl.load_pruned(made, tmp_path / "small.pt")
    with pytest.raises(TypeError, match="Module, not str"):
        sl.rewind(small, "dense.pt")
