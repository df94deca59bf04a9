"""Training: what it learns, that it resumes to the same result, what it costs."""

import copy

import pytest
import torch
from conftest import unavailable
from runs import quick, same_weights
from torch import nn

from splinelib import data, models, training
from splinelib.cost.energy import millijoules
from splinelib.training import evaluate, loop, train
from splinelib.training.batches import Batches


def test_an_mlp_learns_digits(digits):
    trained = quick(models.build("mlp", digits), digits, epochs=15, batch_size=32, augment=False)
    images = digits.to_float(digits.test_images)
    assert evaluate(trained.model, images, digits.test_labels) > 0.95
    assert trained.history[-1]["loss"] < 0.2 < trained.history[0]["loss"]


def test_pairs_of_tensors_are_trained_on_as_they_are():
    points, labels = data.toy("cross", n=400, noise=0.02)
    trained = quick(models.mlp([2, 32, 32, 2]), (points, labels), epochs=40, batch_size=32)
    assert evaluate(trained.model, points, labels) > 0.9


def test_the_model_handed_in_is_left_as_it_was(digits):
    model = models.build("vgg16", digits, width=0.05).train()
    before = copy.deepcopy(model.state_dict())
    trained = quick(model, digits.subset(train=64), epochs=1)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert model.training and not trained.model.training
    assert all(p.grad is None for p in model.parameters())


def test_the_same_seed_gives_the_same_weights_whatever_the_global_generator_does(digits):
    few = digits.subset(train=200)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = quick(models.build("vgg16", digits, width=0.05), few, epochs=2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = quick(models.build("vgg16", digits, width=0.05), few, epochs=2)
    three = quick(models.build("vgg16", digits, width=0.05), few, epochs=2, seed=1)
    assert same_weights(one.model, two.model)
    assert not same_weights(one.model, three.model)


def test_the_l1_penalty_pulls_batch_norm_scales_towards_zero(digits):
    """One step with it and one without differ by the subgradient, as in network slimming."""
    few, model = digits.subset(train=64), models.build("vgg16", digits, width=0.05)

    def scales(l1):
        trained = quick(model, few, epochs=1, batch_size=64, milestones=[], l1=l1).model
        return torch.cat([m.weight for m in trained.modules() if hasattr(m, "running_mean")])

    assert torch.allclose(scales(0.0) - scales(0.2), torch.tensor(0.1 * 0.2), atol=1e-6)


def test_a_ticket_goes_on_in_the_middle_of_the_schedule(digits):
    few = digits.subset(train=64)
    trained = quick(models.mlp([64, 10]), few, epochs=8, start=5)
    assert [row["epoch"] for row in trained.history] == [5, 6, 7]
    assert [row["learning_rate"] for row in trained.history] == pytest.approx([0.01, 0.001, 0.001])
    assert trained.flops == 3 * 2 * 640 * 64 * 3


def test_a_loss_that_is_not_a_number_stops_the_run(digits):
    with pytest.raises(training.TrainingDiverged, match="Lower lr"):
        quick(models.build("mlp", digits), digits.subset(train=256), lr=1e6)


def test_a_full_gpu_loses_nothing_and_says_what_to_do(digits, tmp_path, monkeypatch):
    """The fourth pass of the network finds the memory full: the second epoch of two batches."""
    few, path = digits.subset(train=64), tmp_path / "checkpoint.pt"
    unbroken = quick(models.mlp([64, 10]), few, batch_size=32)
    forward, calls = nn.Linear.forward, []

    def full(module, inputs):
        calls.extend([None] * module.training)  # counting the cost of a pass is not training
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return forward(module, inputs)

    monkeypatch.setattr(nn.Linear, "forward", full)
    message = "epoch 1, with batches of 32. The 1 epochs .* in the checkpoint.*batch_size=16"
    with pytest.raises(training.OutOfGpuMemory, match=message):
        quick(models.mlp([64, 10]).train(), few, batch_size=32, checkpoint=path)
    monkeypatch.undo()
    resumed = quick(models.mlp([64, 10]), few, batch_size=32, checkpoint=path)
    assert same_weights(unbroken.model, resumed.model)


def test_bad_data(digits):
    with pytest.raises(TypeError, match="Dataset"):
        quick(models.mlp([64, 10]), (digits.train_images, digits.train_labels))
    with pytest.raises(TypeError, match="pair"):
        quick(models.mlp([64, 10]), torch.zeros(3, 64))
    with pytest.raises(ValueError, match="label for each"):
        quick(models.mlp([64, 10]), (torch.zeros(3, 64), torch.zeros(2, dtype=torch.int64)))


def test_a_last_batch_of_one_does_not_upset_batch_norm(digits):
    model = models.build("vgg16", digits, width=0.05)  # ends at one pixel
    assert len(quick(model, digits.subset(train=33), epochs=1, batch_size=32).history) == 1


def test_a_last_step_that_diverges_is_said(digits):
    model = models.build("mlp", digits)
    with pytest.raises(training.TrainingDiverged, match=r"NaN after epoch 0.*module"):
        quick(model, digits.subset(train=32), epochs=1, batch_size=32, lr=1e38)


def test_each_epoch_has_the_energy_that_the_gpu_counted(digits, monkeypatch):
    monkeypatch.setattr(loop.Meter, "read", lambda meter: {"joules": 2.5})
    history = quick(models.mlp([64, 10]), digits.subset(train=64), epochs=2).history
    assert [row["joules"] for row in history] == [2.5, 2.5]


@pytest.mark.cuda
def test_each_epoch_on_cuda_has_its_energy(digits):
    if millijoules(torch.device("cuda", torch.cuda.current_device())) is None:
        unavailable("This GPU has no meter.")
    model = models.build("vgg16", digits, width=0.1).cuda()
    history = quick(model, digits, epochs=2, capture=True).history
    assert all(row["joules"] >= 0 for row in history)


@pytest.mark.cuda
def test_training_runs_on_cuda(digits):
    model = models.build("vgg16", digits, width=0.1).cuda()
    trained = quick(model, digits, epochs=8)
    assert next(trained.model.parameters()).is_cuda
    assert next(trained.model.parameters()).dtype == torch.float32
    assert (
        evaluate(trained.model, digits.test_images, digits.test_labels, transform=digits.to_float)
        > 0.5
    )


def test_layers_that_overrun_their_memory_keep_the_usual_layout():
    """Narrow residual networks on 64 pixels ended the process (PyTorch 2.14, oneDNN)."""
    assert loop._overruns(models.resnet18(width=0.125))
    assert not loop._overruns(models.resnet18()) and not loop._overruns(models.vgg16())
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = models.resnet18(width=0.0625, image_size=64, classes=2)
    trained = train(model, (images, torch.arange(8) % 2), epochs=3, batch_size=4, progress=False)
    assert all(row["loss"] == row["loss"] for row in trained.history)


def test_images_of_one_channel_get_the_usual_layout_too(digits):
    """Of one channel, the strides of channels last count as contiguous, and the layers went on."""
    model = models.build("resnet18", digits, width=0.05)
    _, batches = loop.laid_out(model, Batches.of(digits, True, torch.device("cpu")))
    inputs, _ = batches.make(*next(batches.shuffled(4, torch.Generator())).drawn)
    assert inputs.stride() == (64, 64, 8, 1)


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"loss": 0.0, "epoch": 7}, ValueError, "epoch, loss.*another name"),
        (0.5, TypeError, r"a dict or None, not 0\.5"),
    ],
)
def test_what_is_said_of_an_epoch_stands_beside_what_the_row_says(said, error, message):
    """It took the place of the loss, and of the epoch, which no checkpoint can be read without."""
    with pytest.raises(error, match=message):
        quick(models.mlp([2, 4, 2]), data.toy("moons", n=64), on_epoch=lambda *_: said)


def test_a_batch_norm_that_does_not_run_has_no_penalty():
    """Its scale has no gradient to add one to, which raised AttributeError."""
    given = data.toy("moons", n=64)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    unused = copy.deepcopy(model)
    unused[0].unused = nn.BatchNorm1d(3)
    expected, found = (quick(net, given, l1=0.01) for net in (model, unused))
    assert [row["loss"] for row in found.history] == [row["loss"] for row in expected.history]
    assert torch.equal(found.model[0].unused.weight, torch.ones(3))


def test_where_nothing_can_be_trained_that_is_said():
    model = models.mlp([2, 4, 2]).requires_grad_(False)
    with pytest.raises(ValueError, match="Nothing that the outputs depend on can be trained"):
        quick(model, data.toy("moons", n=64))
