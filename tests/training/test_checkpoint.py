"""Training that was interrupted goes on to the same result."""

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
