"""Training: what it learns, that it resumes to the same result, what it costs."""

import copy

import pytest
import torch
from torch import nn

from splinelib import data, models, training
from splinelib.errors import DamagedFile
from splinelib.training import evaluate, forward_flops, measure, train


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def quick(model, dataset, **options):
    return train(model, dataset, **({"epochs": 4, "progress": False} | options))


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    left, right = one.state_dict(), two.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def without_seconds(history: list[dict]) -> list[dict]:
    return [{key: row[key] for key in row if key != "seconds"} for row in history]


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


def test_the_rate_falls_at_half_and_three_quarters(digits):
    few = digits.subset(train=32)
    for epochs, milestones in ((8, [4, 6]), (5, [3, 4]), (1, [1, 1])):
        rates = [
            row["learning_rate"] for row in quick(models.mlp([64, 10]), few, epochs=epochs).history
        ]
        assert rates == pytest.approx(
            [0.1 * 0.1 ** sum(e >= m for m in milestones) for e in range(epochs)]
        )
    assert training._milestones(160) == [80, 120]


def test_one_step_is_sgd_with_momentum_and_weight_decay():
    inputs, labels = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0)),
        torch.arange(6) % 2,
    )
    model = models.mlp([3, 2])
    expected = copy.deepcopy(model)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.3, momentum=0.5, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(inputs), labels).backward()
        optimizer.step()
    trained = quick(
        model,
        (inputs, labels),
        epochs=2,
        lr=0.3,
        momentum=0.5,
        weight_decay=0.1,
        batch_size=6,
        milestones=[],
    )
    for one, two in zip(trained.model.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_the_l1_penalty_pulls_batch_norm_scales_towards_zero(digits):
    """One step with it and one without differ by the subgradient, as in network slimming."""
    few, model = digits.subset(train=64), models.build("vgg16", digits, width=0.05)

    def scales(l1):
        trained = quick(model, few, epochs=1, batch_size=64, milestones=[], l1=l1).model
        return torch.cat([m.weight for m in trained.modules() if hasattr(m, "running_mean")])

    assert torch.allclose(scales(0.0) - scales(0.2), torch.tensor(0.1 * 0.2), atol=1e-6)


class Interrupted(Exception):
    pass


class Stopper:
    """Callback with state, that stops the run after a given epoch."""

    def __init__(self, stop=None):
        self.stop, self.seen = stop, []

    def __call__(self, epoch, model):
        if epoch == self.stop:
            raise Interrupted
        self.seen.append(epoch)
        return {"weights": sum(p.sum().item() for p in model.parameters())}

    def state_dict(self):
        return {"seen": list(self.seen)}

    def load_state_dict(self, state):
        self.seen = list(state["seen"])


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_killed_run_resumes_to_the_same_result(digits, tmp_path, stop):
    few = digits.subset(train=300)
    model = models.build("preresnet11", digits, width=0.5)
    whole = Stopper()
    unbroken = quick(model, few, on_epoch=whole)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        quick(model, few, on_epoch=Stopper(stop), checkpoint=path)
    assert path.exists() == (stop > 0)
    second = Stopper()
    resumed = quick(model, few, on_epoch=second, checkpoint=path)
    assert same_weights(unbroken.model, resumed.model)
    assert without_seconds(unbroken.history) == without_seconds(resumed.history)
    assert second.seen == whole.seen == [0, 1, 2, 3]
    assert resumed.flops == unbroken.flops


def test_dropout_resumes_to_the_same_result_too(tmp_path):
    points, labels = data.toy("moons", n=64)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    unbroken = quick(model, (points, labels))
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(Interrupted):
        quick(model, (points, labels), on_epoch=Stopper(2), checkpoint=path)
    torch.rand(7)  # a new process would have another global state as well
    assert same_weights(unbroken.model, quick(model, (points, labels), checkpoint=path).model)


def test_a_finished_run_is_not_run_again(digits, tmp_path):
    few, path = digits.subset(train=64), tmp_path / "checkpoint.pt"
    first = quick(models.mlp([64, 10]), few, checkpoint=path)
    again = Stopper(stop=3)  # would raise if an epoch ran
    second = quick(models.mlp([64, 10]), few, checkpoint=path, on_epoch=again)
    assert same_weights(first.model, second.model) and first.history == second.history


def test_a_ticket_goes_on_in_the_middle_of_the_schedule(digits):
    few = digits.subset(train=64)
    trained = quick(models.mlp([64, 10]), few, epochs=8, start=5)
    assert [row["epoch"] for row in trained.history] == [5, 6, 7]
    assert [row["learning_rate"] for row in trained.history] == pytest.approx([0.01, 0.001, 0.001])
    assert trained.flops == 3 * 2 * 640 * 64 * 3


@pytest.mark.parametrize("damage", [b"", b"half a checkpoint", None])
def test_a_damaged_checkpoint_is_a_clear_message(digits, tmp_path, damage):
    few, path = digits.subset(train=64), tmp_path / "checkpoint.pt"
    quick(models.mlp([64, 10]), few, checkpoint=path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(DamagedFile, match="Delete it"):
        quick(models.mlp([64, 10]), few, checkpoint=path)
    path.unlink()
    assert len(quick(models.mlp([64, 10]), few, checkpoint=path).history) == 4


def test_a_checkpoint_of_another_run_is_refused(digits, tmp_path):
    few, path = digits.subset(train=64), tmp_path / "checkpoint.pt"
    quick(models.mlp([64, 10]), few, checkpoint=path)
    with pytest.raises(ValueError, match=r"lr 0\.1 \(now 0\.2\)"):
        quick(models.mlp([64, 10]), few, checkpoint=path, lr=0.2)
    with pytest.raises(ValueError, match="another network"):
        quick(models.mlp([64, 5, 10]), few, checkpoint=path)


def test_nothing_is_left_beside_the_checkpoint(digits, tmp_path):
    quick(models.mlp([64, 10]), digits.subset(train=64), checkpoint=tmp_path / "checkpoint.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


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


def test_a_checkpoint_from_before_processes_were_counted_is_one_process(digits, tmp_path):
    few, path = digits.subset(train=64), tmp_path / "checkpoint.pt"
    quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path)
    state = training.read_checkpoint(path)
    assert state["recipe"].pop("processes") == 1
    torch.save(state, path)
    assert len(quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path).history) == 2
    torch.save(state | {"recipe": state["recipe"] | {"processes": 2}}, path)
    with pytest.raises(ValueError, match=r"processes 2 \(now 1\)"):
        quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"start": 5}, "start"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr": -1.0}, "lr"),
        ({"momentum": float("nan")}, "momentum"),
    ],
)
def test_bad_settings(digits, options, message):
    with pytest.raises(ValueError, match=message):
        quick(models.mlp([64, 10]), digits, **options)


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


def test_evaluate_counts_and_restores_the_mode(digits):
    class FirstPixel(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(x[:, 0].long(), 3).float()

    inputs = torch.tensor([[0.0], [1.0], [2.0], [1.0]])
    model = FirstPixel().train()
    assert evaluate(model, inputs, torch.tensor([0, 1, 0, 0]), batch_size=3) == 0.5
    assert model.training
    with pytest.raises(TypeError, match="to_float"):
        evaluate(model, digits.test_images, digits.test_labels)
    with pytest.raises(ValueError, match="label for each"):
        evaluate(model, inputs, torch.tensor([0]))


def test_160_epochs_of_vgg16_cost_what_the_paper_prints():
    per_image = training.FORWARDS_PER_STEP * forward_flops(
        models.vgg16(), torch.zeros(1, 3, 32, 32)
    )
    ledger = training.FlopsLedger()
    ledger.add("dense", per_image * 50_000 * 160)
    assert ledger.pflop == pytest.approx(15.0, abs=0.05)
    assert ledger.units == pytest.approx(302, rel=0.01)


def test_flops_are_counted_from_layer_shapes():
    model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 16, 7))
    expected = 2 * (16 * 5 * 3 * 9 + 5 * 16 * 7)
    assert forward_flops(model, torch.zeros(4, 3, 4, 4)) == expected


def test_measure_reports_size_and_leaves_threads_alone():
    threads = torch.get_num_threads()
    model = models.vgg16(width=0.25)
    size = measure(model, torch.zeros(2, 3, 32, 32), repeats=3)
    assert size.channels == 1056  # a quarter of 4224
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert size.macs == forward_flops(model, torch.zeros(1, 3, 32, 32)) // 2
    assert size.latency > 0 and size.batch_size == 2
    assert torch.get_num_threads() == threads
    assert model.training


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
    assert training._overruns(models.resnet18(width=0.125))
    assert not training._overruns(models.resnet18()) and not training._overruns(models.vgg16())
    images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model = models.resnet18(width=0.0625, image_size=64, classes=2)
    trained = train(model, (images, torch.arange(8) % 2), epochs=3, batch_size=4, progress=False)
    assert all(row["loss"] == row["loss"] for row in trained.history)
