"""Training that was interrupted goes on to the same result."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import quick, same_weights
from torch import nn

from splinelib import data, models, training
from splinelib.errors import DamagedFile


def without_seconds(history: list[dict]) -> list[dict]:
    return [{key: row[key] for key in row if key != "seconds"} for row in history]


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


def written(digits, path, **options):
    few = digits.subset(train=64)
    quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path, **options)
    return few, training.read_checkpoint(path)


def test_a_flipped_bit_of_a_weight_is_found(digits, tmp_path):
    path = tmp_path / "checkpoint.pt"
    few, state = written(digits, path)
    whole = bytearray(path.read_bytes())
    weights = next(iter(state["model"].values())).numpy().tobytes()
    whole[whole.find(weights) + 100] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedFile, match=r"checkpoint\.pt .*checksum.*Delete it"):
        quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: [s.pop(key) for key in list(s) if key != "version"], "recipe is missing"),
        (lambda s: s["recipe"].update(epochs="two"), "epochs is 'two'"),
        (lambda s: s.update(history="long"), "history should be a list"),
        (lambda s: s["history"].append(s["history"][-1]), "history is of the epochs"),
        (lambda s: s["history"].clear(), "history is of the epochs"),
        (lambda s: s["history"][1].update(loss=float("nan")), r"history\[1\]\.loss is nan"),
        (lambda s: next(iter(s["model"].values())).fill_(float("nan")), "not numbers"),
        (lambda s: s["optimizer"]["momentum_buffers"][0].fill_(float("nan")), "not numbers"),
        (lambda s: s["optimizer"].clear(), "momentum_buffers is missing"),
        (lambda s: s["optimizer"]["momentum_buffers"].pop(), "another network"),
        (lambda s: s.update(on_epoch=3), "on_epoch is 3"),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(digits, tmp_path, change, message):
    path = tmp_path / "checkpoint.pt"
    few, state = written(digits, path)
    change(state)
    torch.save(state, path)
    with pytest.raises(DamagedFile, match=message) as caught:
        quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path)
    assert str(path) in str(caught.value) and "Delete it" in str(caught.value)


def test_only_damage_is_answered_with_delete_it(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)) as caught:
        training.read_checkpoint(tmp_path)
    assert "Delete" not in str(caught.value)


def test_other_images_and_another_context_are_refused(digits, tmp_path):
    path = tmp_path / "checkpoint.pt"
    few, _ = written(digits, path, context={"threshold": 0.16})
    other = replace(few, train_images=few.train_images.flip(0))
    with pytest.raises(ValueError, match=r"another training run: images \w{32} \(now \w{32}\)"):
        quick(models.mlp([64, 10]), other, epochs=2, checkpoint=path, context={"threshold": 0.16})
    with pytest.raises(ValueError, match=r"threshold 0\.16 \(now 0\.5\)"):
        quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path, context={"threshold": 0.5})
    points, labels = data.toy("moons", n=64)
    path = tmp_path / "points.pt"
    quick(models.mlp([2, 2]), (points, labels), epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="images"):
        quick(models.mlp([2, 2]), (points + 1, labels), epochs=2, checkpoint=path)


def test_a_checkpoint_from_before_images_were_named_goes_on(digits, tmp_path):
    path = tmp_path / "checkpoint.pt"
    few, state = written(digits, path)
    del state["recipe"]["images"]
    torch.save(state, path)
    assert len(quick(models.mlp([64, 10]), few, epochs=2, checkpoint=path).history) == 2


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


def test_what_could_not_be_read_back_is_refused_while_little_is_lost(tmp_path):
    """A mean of NumPy's was written after every epoch, and the file then called damaged."""
    given, path = data.toy("moons", n=64), tmp_path / "checkpoint.pt"
    model = models.mlp([2, 4, 2])

    def mean(epoch, _):
        return {"mean": np.mean([epoch, 1])}

    with pytest.raises(TypeError, match=r"history\[0\]\.mean is of numpy\.float64"):
        quick(model, given, on_epoch=mean, checkpoint=path)
    with pytest.raises(TypeError, match=r"context\.folder is of pathlib"):
        quick(model, given, on_epoch=Stopper(0), checkpoint=path, context={"folder": tmp_path})
    assert not path.exists()
    assert quick(model, given, on_epoch=mean).history[1]["mean"] == 1  # no file, nothing to refuse


def test_a_network_whose_checkpoint_would_be_refused_is_refused_before_it_is_trained(tmp_path):
    """A buffer that holds NaN on purpose was written after every epoch, and then called damage."""
    given, path = data.toy("moons", n=64), tmp_path / "checkpoint.pt"
    model = models.mlp([2, 4, 2])
    model.register_buffer("unset", torch.tensor([torch.nan]))
    with pytest.raises(ValueError, match=r"unset of the network holds NaN.*persistent=False"):
        quick(model, given, checkpoint=path)
    assert not path.exists()
    assert len(quick(model, given).history) == 4  # no file, nothing to refuse
    model.register_buffer("unset", torch.tensor([torch.nan]), persistent=False)
    quick(model, given, checkpoint=path)
    assert len(quick(model, given, checkpoint=path).history) == 4
