"""Steps that are replayed are those that are made one by one."""

import contextlib
import copy

import pytest
import torch
from runs import quick
from torch import nn

from splinelib import models, training
from splinelib.training import loop
from splinelib.training.sgd import SGD
from splinelib.training.step import WARM_UP, CapturedStep, Step

CPU = torch.device("cpu")


class Recorder:
    """Stands in for CUDA graphs: what was recorded is done again at each replay, and only then."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, work):
        self.recorded += 1

        def replay():
            self.replayed += 1
            work()

        return replay


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train()


def steps(make, count: int, sizes=(16, 16, 7), device=CPU) -> Step:
    """Some steps with falling rates on batches of these sizes in turn."""
    model = network().to(device)
    step = make(model, SGD(model, 0.9, 1e-4), 1e-3, device)
    generator = torch.Generator().manual_seed(1)
    step.begin()
    for number in range(count):
        size = sizes[number % len(sizes)]
        inputs = torch.randn(size, 5, generator=generator)
        targets = torch.randint(0, 3, (size,), generator=generator)
        step(inputs.to(device), targets.to(device), size, 0.1 / (1 + number))
    return step


def assert_equal(one: Step, two: Step) -> None:
    for key, value in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[key], value, msg=key)
    torch.testing.assert_close(one.optimizer.buffers, two.optimizer.buffers)
    torch.testing.assert_close(one.loss_sum, two.loss_sum)
    assert torch.equal(one.correct, two.correct)


def test_replayed_steps_are_those_made_one_by_one():
    recorder = Recorder()
    captured = steps(lambda *of: CapturedStep(*of, record=recorder), 20)
    assert_equal(steps(Step, 20), captured)
    # Batches of 7 are made one by one, and so are the first of 16.
    assert recorder.recorded == 1 and recorder.replayed == 14 - WARM_UP


def test_the_sums_begin_anew():
    step = steps(lambda *of: CapturedStep(*of, record=Recorder()), 9)
    assert step.loss_sum > 0
    step.begin()
    assert step.loss_sum == 0 and step.correct == 0


def test_a_step_that_cannot_be_captured_is_made_eagerly_and_says_so():
    def refused(work):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    with pytest.warns(UserWarning, match=r"slower: operation not permitted .* capturing$"):
        captured = steps(lambda *of: CapturedStep(*of, record=refused), 9)
    assert_equal(steps(Step, 9), captured)


def test_too_little_memory_for_a_capture_is_said_as_such():
    def full(work):
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        steps(lambda *of: CapturedStep(*of, record=full), 9)


def test_training_can_be_captured(monkeypatch, digits):
    """`train` as it runs on a GPU, but for the graph."""
    recorder = Recorder()
    monkeypatch.setattr(loop, "_can_capture", lambda device: True)
    monkeypatch.setattr(training.step, "_cuda_graph", recorder)
    model = models.build("vgg16", digits, width=0.05)
    some = digits.subset(train=100)
    captured = quick(copy.deepcopy(model), some, epochs=2, batch_size=16, capture=True)
    eager = quick(model, some, epochs=2, batch_size=16)
    assert recorder.recorded == 1 and recorder.replayed == 12 - WARM_UP
    for one, two in zip(captured.history, eager.history, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-3)
    assert quick(model, some, epochs=1, batch_size=16).history  # eager where it is not asked for


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["vgg16", "preresnet11", "resnet18"])
def test_training_captured_on_cuda(name, digits):
    model = models.build(name, digits, width=0.125).cuda()
    some = digits.subset(train=200)
    captured = quick(model, some, epochs=3, batch_size=64, capture=True)
    eager = quick(model, some, epochs=3, batch_size=64)
    for one, two in zip(captured.history, eager.history, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=0.05)  # in bfloat16


@pytest.mark.cuda
def test_steps_captured_on_cuda_are_the_eager_ones_in_float32(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    cuda = torch.device("cuda")
    assert_equal(steps(Step, 20, device=cuda), steps(CapturedStep, 20, device=cuda))
