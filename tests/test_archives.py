"""Archives are read as they were written, or refused for what is wrong with them."""

import errno
import resource
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from splinelib import archives
from splinelib.errors import DamagedFile

CONTENT = {"version": 1, "weights": torch.ones(1000)}


def read(path):
    return archives.read_tensors(path, "checkpoint", "Delete it.")


@pytest.fixture
def path(tmp_path):
    archives.write_tensors(tmp_path / "a.pt", CONTENT)
    return tmp_path / "a.pt"


def test_what_was_written_is_read(path):
    assert torch.equal(read(path)["weights"], CONTENT["weights"])
    assert torch.equal(torch.load(path, weights_only=True)["weights"], CONTENT["weights"])


def test_a_flipped_bit_of_a_weight_is_found(path):
    whole = bytearray(path.read_bytes())
    whole[whole.find(torch.ones(4).numpy().tobytes()) + 3] ^= 0x20
    path.write_bytes(whole)
    assert torch.load(path, weights_only=True)["weights"][0] != 1  # PyTorch takes it
    with pytest.raises(DamagedFile, match=r"checkpoint .*a\.pt.*checksum.*Delete it\."):
        read(path)


@pytest.mark.parametrize(
    "change",
    [lambda w: b"x" + w, lambda w: w + b"\0", lambda w: w[:-1], lambda w: b"", lambda w: w[9:]],
)
def test_bytes_around_an_archive_and_missing_ones_are_found(path, change):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DamagedFile, match=r"a\.pt"):
        read(path)


def test_what_is_not_damage_is_said_as_what_it_is(path, tmp_path, monkeypatch):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        read(tmp_path / "none.pt")

    def failing(error):
        def load(*_, **__):
            raise error

        monkeypatch.setattr(torch, "load", load)

    failing(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"))
    with pytest.raises(MemoryError, match=r"a\.pt"):
        read(path)
    failing(OSError(errno.EIO, "Input/output error"))
    with pytest.raises(OSError, match=r"Input/output error.*a\.pt"):
        read(path)


@pytest.mark.parametrize("limit", [100, 1500, 4000, 30_000])
def test_a_full_disk_is_said_and_the_old_file_stays(path, limit):
    """Where a file may not grow, writing fails as on a full disk."""
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large: .*a\.pt") as caught:
            archives.write_tensors(path, {"weights": torch.ones(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_arrays_are_compared_with_their_checksums_to_the_end(tmp_path):
    path, arrays = tmp_path / "a.npz", {"a": np.arange(160).reshape(16, 10), "b": np.array("text")}
    np.savez(path, **arrays)
    found = archives.read_arrays(path, "cache", "Delete it.")
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    whole = path.read_bytes()
    assert b"(16, 10)" in whole
    path.write_bytes(whole.replace(b"(16, 10)", b"(06, 10)").replace(b"(16, 10)", b"(6, 10) "))
    with pytest.raises(DamagedFile, match=r"a\.npz"):
        archives.read_arrays(path, "cache", "Delete it.")
    np.savez(path, a=np.array([{}]))
    with pytest.raises(DamagedFile, match="allow_pickle"):
        archives.read_arrays(path, "cache", "Delete it.")


def test_a_digest_is_of_values_shapes_and_dtypes():
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).view(2, 3, 4, 4)
    last = images.to(memory_format=torch.channels_last)
    assert archives.digest([images]) == archives.digest([last])  # however they lie in memory
    one = images.clone()
    one[1, 2, 3, 3] += 1
    others = [one, images.view(2, 48), images.view(torch.int8), images[:1]]
    assert len({archives.digest([tensor]) for tensor in (images, *others)}) == 5
    assert archives.digest([torch.tensor(1.0)]) != archives.digest([torch.tensor(2.0)])
    assert archives.digest([torch.ones(3, dtype=torch.bfloat16), torch.zeros(0)])


READABLE = {
    "none": None,
    "numbers": [True, 3, 0.5, 1j, float("nan"), 2**80],
    "texts": ("a", b"b"),
    "tensors": [torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.nn.Buffer(torch.ones(2))],
    "kinds": [torch.Size([2]), torch.float16, torch.device("cpu")],
    "sets": {1, "a"},
    "counted": Counter("aab"),
    "ordered": OrderedDict([((1, "a"), {3: []})]),
}


@pytest.mark.parametrize("kind", READABLE)
def test_what_may_be_written_can_be_read(kind, tmp_path):
    archives.write_tensors(tmp_path / "a.pt", {kind: READABLE[kind]})
    found = read(tmp_path / "a.pt")[kind]
    assert repr(found) == repr(READABLE[kind])


class Text(str):
    pass


@pytest.mark.parametrize(
    ("foreign", "where"),
    [
        (np.float64(0.5), r"content\.rows\[1\]\.a is of numpy\.float64"),
        (np.zeros(2), r"content\.rows\[1\]\.a is of numpy\.ndarray"),
        (Path("a"), r"content\.rows\[1\]\.a is of pathlib"),
        (Text("a"), r"content\.rows\[1\]\.a is of .*Text"),
        ({np.int64(1): 0}, r"the key .*1.* of content\.rows\[1\]\.a is of numpy\.int64"),
        ((1, {0.5, np.float32(1)}), r"content\.rows\[1\]\.a\[1\]\[.\] is of numpy\.float32"),
        (defaultdict(list), r"content\.rows\[1\]\.a is of collections\.defaultdict"),
        (torch.ones(1).as_subclass(type("Own", (torch.Tensor,), {})), r"is of .*Own"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(foreign, where, path):
    """It was written, and called damaged when it was read: a training of hours was lost."""
    before = path.read_bytes()
    with pytest.raises(TypeError, match=where):
        archives.write_tensors(path, {"rows": [{}, {"a": foreign}]})
    assert path.read_bytes() == before
