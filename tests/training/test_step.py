"""Steps that are replayed are those that are made one by one."""

import contextlib
import copy

import pytest
import torch
from runs import quick, same_weights
from tape import Tape
from torch import nn

from splinelib import models
from splinelib.network import capturing
from splinelib.training import loop
from splinelib.training.batches import Batch, Batches
from splinelib.training.sgd import SGD
from splinelib.training.step import WARM_UP, CapturedStep, Step

CPU = torch.device("cpu")


def as_drawn(*tensors):
    """What is made of a batch that is drawn as inputs and targets: these."""
    return tensors


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).train()


def taped(tape):
    """A kind of step that is captured on a tape."""
    return lambda *of: CapturedStep(*of, record=tape)


def steps(kind, count: int, sizes=(16, 16, 7), device=CPU, model=None) -> Step:
    """Some steps with falling rates on batches of these sizes in turn."""
    model = (network() if model is None else model).to(device)
    step = kind(model, SGD(model, 0.9, 1e-4), 1e-3, as_drawn, device)
    step.begin()
    for number, batch in enumerate(batches_of(count, sizes, device)):
        step(batch, 0.1 / (1 + number))
    return step


def batches_of(count: int, sizes=(16,), device=CPU, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    for number in range(count):
        size = sizes[number % len(sizes)]
        inputs = torch.randn(size, 5, generator=generator)
        targets = torch.randint(0, 3, (size,), generator=generator)
        yield Batch((inputs.to(device), targets.to(device)), size)


def assert_equal(one: Step, two: Step, **to) -> None:
    for key, value in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[key], value, msg=key, **to)
    torch.testing.assert_close(one.optimizer.buffers, two.optimizer.buffers, **to)
    torch.testing.assert_close(one.loss_sum, two.loss_sum, **to)
    assert torch.equal(one.correct, two.correct)


# Twenty steps in float32 in which sums are taken in another order.
ROUNDING = {"rtol": 1e-3, "atol": 1e-4}


def test_replayed_steps_are_those_made_one_by_one():
    tape = Tape()
    captured = steps(taped(tape), 20)
    assert_equal(steps(Step, 20), captured)
    # Batches of 7 are made one by one, and so are the first of 16.
    assert tape.recorded == 1 and tape.replayed == 14 - WARM_UP


@pytest.mark.parametrize("name", ["vgg16", "preresnet11", "resnet18"])
def test_a_whole_step_on_images_is_captured(name, digits):
    """Gather, crop, mirror and normalise with it, to the digit; the last batch is smaller."""

    def trained(kind) -> Step:
        model = models.build(name, digits, width=0.05)
        model, batches = loop.laid_out(model, Batches.of(digits.subset(train=100), True, CPU))
        step = kind(model.train(), SGD(model, 0.9, 1e-4), 1e-3, batches.make, CPU)
        generator = torch.Generator().manual_seed(0)
        for epoch in range(2):
            step.begin()
            for batch in batches.shuffled(16, generator):
                assert batch.drawn[0].dtype == torch.int64  # indices, no images
                step(batch, 0.05 / (1 + epoch))
        return step

    tape = Tape()
    one, two = trained(Step), trained(taped(tape))
    assert tape.recorded == 1 and tape.replayed == 12 - WARM_UP
    assert same_weights(one.model, two.model)
    assert torch.equal(one.loss_sum, two.loss_sum) and torch.equal(one.correct, two.correct)


def test_the_sums_begin_anew():
    step = steps(taped(Tape()), 9)
    assert step.loss_sum > 0
    step.begin()
    assert step.loss_sum == 0 and step.correct == 0


@pytest.mark.parametrize("anew", [False, True])
def test_weights_that_lie_elsewhere_in_the_next_epoch_are_captured_anew(anew):
    """A graph would go on with the memory of the old ones."""
    tape, ends = Tape(), []
    for kind in (Step, taped(tape)):
        step = steps(kind, 9, sizes=(16,))
        if anew:
            for parameter in step.model.parameters():
                parameter.data = parameter.data.clone()
        step.begin()
        for batch in batches_of(9, seed=2):
            step(batch, 0.01)
        ends.append(step)
    assert_equal(*ends)
    assert tape.recorded == 1 + anew and tape.replayed == 18 - WARM_UP * (1 + anew)


class Waiting(nn.Module):
    """Asks for a value, which a capture refuses."""

    def forward(self, x):
        return x * 2 if x.sum().item() > 0 else x * 3


def test_a_step_that_cannot_be_captured_is_made_eagerly_and_says_so():
    def model():
        return nn.Sequential(network(), Waiting()).train()

    with pytest.warns(UserWarning, match=r"slower: .*_local_scalar_dense.* not permitted") as told:
        captured = steps(taped(Tape()), 9, model=model())
    assert len(told) == 1  # and no second time
    assert_equal(steps(Step, 9, model=model()), captured)


def test_too_little_memory_for_a_capture_is_said_as_such():
    def full(work):
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        steps(taped(full), 9)


def test_training_can_be_captured(monkeypatch, digits):
    """`train` as it runs on a GPU, but for the graph: to the digit what it is without."""
    tape = Tape()
    monkeypatch.setattr(loop, "_can_capture", lambda device: True)
    monkeypatch.setattr(capturing, "cuda_graph", lambda work, device: tape(work))
    model = models.build("vgg16", digits, width=0.05)
    some = digits.subset(train=100)
    captured = quick(copy.deepcopy(model), some, epochs=2, batch_size=16, capture=True)
    eager = quick(model, some, epochs=2, batch_size=16)
    assert tape.recorded == 1 and tape.replayed == 12 - WARM_UP
    assert same_weights(captured.model, eager.model)
    for one, two in zip(captured.history, eager.history, strict=True):
        assert one["loss"] == two["loss"] and one["train_accuracy"] == two["train_accuracy"]


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["vgg16", "preresnet11", "resnet18"])
def test_training_captured_on_cuda(name, digits):
    model = models.build(name, digits, width=0.125).cuda()
    some = digits.subset(train=200)
    captured = quick(model, some, epochs=3, batch_size=64, capture=True)
    eager = quick(model, some, epochs=3, batch_size=64)
    for one, two in zip(captured.history, eager.history, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=0.05)  # in bfloat16


def in_float32(monkeypatch) -> torch.device:
    """CUDA without autocast, whose rounding would hide what is wrong."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    return torch.device("cuda", torch.cuda.current_device())


@pytest.mark.cuda
def test_steps_captured_on_cuda_are_the_eager_ones_in_float32(monkeypatch, recwarn):
    cuda = in_float32(monkeypatch)
    assert_equal(steps(Step, 20, device=cuda), steps(CapturedStep, 20, device=cuda), **ROUNDING)
    assert not [w for w in recwarn if "cannot be captured" in str(w.message)]


@pytest.mark.cuda
@pytest.mark.parametrize("resident", [True, False])
def test_a_step_on_images_captured_on_cuda_is_the_eager_one(monkeypatch, digits, resident, recwarn):
    """The whole of it, on a perceptron, whose sums do not depend on chance."""
    cuda = in_float32(monkeypatch)
    some = digits.subset(train=200)
    if not resident:
        monkeypatch.setattr(type(some), "near", lambda data, device: data)

    def trained(kind) -> Step:
        model = models.build("mlp", some, width=0.25).to(cuda).train()
        batches = Batches.of(some, True, cuda)
        assert batches.inputs.is_cuda == resident
        step = kind(model, SGD(model, 0.9, 1e-4), 0.0, batches.make, cuda)
        generator = torch.Generator(cuda).manual_seed(0)
        for _ in range(2):
            step.begin()
            for batch in batches.shuffled(32, generator):
                step(batch, 0.05)
        return step

    assert_equal(trained(Step), trained(CapturedStep), **ROUNDING)
    assert not [w for w in recwarn if "cannot be captured" in str(w.message)]


@pytest.mark.cuda
def test_dropout_in_a_captured_step_is_drawn_anew_each_time_and_follows_the_seed():
    cuda = torch.device("cuda", torch.cuda.current_device())

    def end(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.Linear(64, 3)).train()
        with torch.random.fork_rng([cuda]):
            torch.cuda.manual_seed(seed)
            step = steps(CapturedStep, 12, sizes=(16,), device=cuda, model=model)
        return torch.cat([p.detach().flatten() for p in step.model.parameters()])

    torch.testing.assert_close(end(1), end(1))
    assert not torch.allclose(end(1), end(2))


@pytest.mark.cuda
def test_after_a_capture_that_failed_on_cuda_training_goes_on():
    """With dropout too: some versions of PyTorch leave their generator in the failed capture."""
    cuda = torch.device("cuda", torch.cuda.current_device())
    model = nn.Sequential(network(), nn.Dropout(0.1), Waiting()).train()
    stream = torch.cuda.current_stream()
    with pytest.warns(UserWarning, match="cannot be captured as a CUDA graph"):
        step = steps(CapturedStep, 9, device=cuda, model=model)
    assert torch.cuda.current_stream() == stream
    assert torch.isfinite(step.loss_sum).item()
    torch.randn(3, device=cuda)
