"""A network that the reader names, with weights from a file."""

import pytest
import torch

import splinelib as sl
from splinelib.errors import DamagedFile
from splinelib.experiments.given import given_network
from splinelib.models.interchange import to_json

HERE = "test_given_networks"


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    source = "import splinelib as sl\ndef net(): return sl.models.mlp([4, 6, 3], seed=1)\n"
    source += "def other(): return sl.models.mlp([4, 5, 3])\ndef none(): return 3\n"
    source += "def asks(width): return None\n"
    (tmp_path / f"{HERE}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def same(found, expected):
    with torch.no_grad():
        return torch.allclose(found(X.to(next(found.parameters()))).float(), expected(X), atol=1e-6)


def test_networks_by_name_and_by_file(tmp_path):
    expected = sl.models.mlp([4, 6, 3], seed=1).eval()
    found = given_network(f"{HERE}:net")
    assert same(found, expected) and not found.training
    (tmp_path / "net.json").write_text(to_json(expected))
    assert same(given_network(str(tmp_path / "net.json")), expected)


def test_weights_come_from_any_file_of_a_network(tmp_path):
    path, trained = tmp_path / "w.pt", sl.models.mlp([4, 6, 3], seed=5).eval()
    torch.save(trained.state_dict(), path)
    assert same(given_network(f"{HERE}:net", path), trained)
    small = sl.prune(trained, 0.5, example=X)
    sl.save_pruned(small, path)
    assert same(given_network(f"{HERE}:net", path), small)
    checkpoint = tmp_path / "c.pt"
    data = X, torch.tensor([0, 1, 2, 0, 1])
    told = {"epochs": 1, "batch_size": 5, "progress": False, "checkpoint": checkpoint}
    made = sl.training.train(trained, data, **told).model
    assert same(given_network(f"{HERE}:net", checkpoint), made)


def test_what_is_no_network_is_told(tmp_path):
    for name, told in (
        ("weights.pt", "names no network"),
        (f"{HERE}:missing", "There is no network"),
        ("no_such_module_at_all:net", "There is no network"),
        (f"{HERE}:none", "makes a int"),
        (f"{HERE}:asks", "without arguments"),
    ):
        with pytest.raises(ValueError, match=told):
            given_network(name)
    path = tmp_path / "w.pt"
    with pytest.raises(FileNotFoundError, match="no weights"):
        given_network(f"{HERE}:net", path)
    torch.save({"loss": 3.0}, path)
    with pytest.raises(DamagedFile, match="holds no network's weights"):
        given_network(f"{HERE}:net", path)
    path.write_bytes(b"not an archive")
    with pytest.raises(DamagedFile, match="not one of ours"):
        given_network(f"{HERE}:net", path)
    torch.save(sl.models.mlp([4, 6, 3]).state_dict(), path)
    with pytest.raises(ValueError, match="not this network's"):
        given_network(f"{HERE}:other", path)
    with pytest.raises(ValueError, match="leave out --weights"):
        given_network("net.json", path)
