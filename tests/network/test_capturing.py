"""What is captured is replayed, and what cannot be captured says why and leaves nothing behind."""

import pytest
import torch
from tape import Tape

from splinelib import data
from splinelib.network.capturing import NotCapturable, beside, captured, places

CPU = torch.device("cpu")


def test_a_tape_replays_what_was_done_on_the_same_memory():
    """Without the Python that asked for it, and recording computes nothing."""
    x, total, seen, tape = torch.ones(3), torch.zeros(3), [], Tape()

    def work():
        seen.append(None)
        total.add_((x * 2).view(3)[:2].sum())

    replay = tape(work)
    assert total.tolist() == [0, 0, 0]
    for _ in range(2):
        replay()
    assert total.tolist() == [8, 8, 8] and len(seen) == 1
    x.fill_(0)
    x = torch.ones(3)  # another tensor, which was not there
    replay()
    assert total.tolist() == [8, 8, 8]
    assert (tape.recorded, tape.replayed) == (1, 3)


def test_a_tape_refuses_what_a_capture_refuses():
    digits = data.load("digits")
    images, x = digits.train_images[:2], torch.ones(3)
    normalise = digits.normaliser(CPU)
    Tape()(lambda: normalise(images))
    for refused in (
        lambda: x.sum().item(),
        lambda: x[x > 0],
        lambda: x.nonzero(),
        lambda: bool(x.isnan().any()),
        lambda: torch.tensor([1.0, 2.0]),
        lambda: digits.to_float(images),  # its constants come from the host
    ):
        with pytest.raises(RuntimeError, match=r"not permitted|not pinned"):
            Tape()(refused)


def test_the_reason_is_what_went_wrong_first():
    """Not that the capture cannot be ended, which a GPU says afterwards."""

    def work():
        raise ValueError("the first\nand more")

    def record(work):
        try:
            work()
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    with pytest.raises(NotCapturable, match=r"^the first$"):
        captured(work, CPU, record)
    with pytest.raises(NotCapturable, match=r"^KeyError$"):
        captured(_nameless, CPU, Tape())


def _nameless():
    raise KeyError


def test_a_full_gpu_is_no_reason_to_go_on():
    def full():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        captured(full, CPU, Tape())


def test_places_are_those_of_the_memory():
    one = torch.zeros(4)
    before = places([one])
    one.add_(1)
    assert places([one]) == before
    assert places([one.clone()]) != before
    assert places([one.view(2, 2)]) != before
    one.data = one.data.clone()
    assert places([one]) != before


def test_beside_needs_no_gpu():
    with beside(CPU):
        assert torch.ones(1).item() == 1


@pytest.mark.cuda
def test_work_captured_on_cuda_is_replayed_on_the_same_memory():
    device = torch.device("cuda", torch.cuda.current_device())
    x, total = torch.ones(3, device=device), torch.zeros(3, device=device)

    def work():
        total.add_(x * 2)

    with beside(device):
        work()
    stream = torch.cuda.current_stream()
    replay = captured(work, device)
    assert torch.cuda.current_stream() == stream
    assert total.tolist() == [2, 2, 2]
    x.fill_(2)
    replay()
    assert total.tolist() == [6, 6, 6]


@pytest.mark.cuda
def test_what_fails_on_cuda_says_why_and_leaves_stream_and_numbers_alone():
    device = torch.device("cuda", torch.cuda.current_device())
    x, stream = torch.ones(3, device=device), torch.cuda.current_stream()

    def work():
        torch.nn.functional.dropout(x, 0.5)  # so that the generator takes part
        x.sum().item()

    for _ in range(2):
        with pytest.raises(NotCapturable, match=r"captur"):
            captured(work, device)
        assert torch.cuda.current_stream() == stream
        assert torch.nn.functional.dropout(x, 0.5).shape == (3,)
        torch.cuda.manual_seed(0)
        assert torch.rand(2, device=device).shape == (2,)
    replay = captured(lambda: x.add_(1), device)  # and the next capture works
    replay()
    assert x.tolist() == [2, 2, 2]


@pytest.mark.cuda
def test_normalising_and_cropping_can_be_captured_on_cuda():
    device = torch.device("cuda", torch.cuda.current_device())
    digits = data.load("digits").to(device)
    crops, normalise = digits.crops, digits.normaliser(device)
    drawn = crops.draw(8, torch.Generator(device).manual_seed(0))
    index, result = torch.arange(8, device=device), []

    def work():
        result.append(normalise(crops.make(digits.train_images[index], *drawn)))

    with beside(device):
        work()
    captured(work, device)()
    assert len(result) == 2 and torch.equal(result[0], result[1])
