"""Samples of rows, and the passes that take them."""

import pytest
import torch
from torch import nn

import splinelib as sl
from splinelib.calibration import (
    Outputs,
    RowSample,
    channels_last,
    observe,
    observing,
    sample_rows,
)
from splinelib.calibration.observing import Answers
from splinelib.models import vgg16


@pytest.mark.parametrize("needed", [1, 30, 10_000])
@pytest.mark.parametrize("sizes", [[60], [1, 50, 9], [20, 20, 20]])
def test_a_sample_of_rows_does_not_depend_on_the_batches(needed, sizes):
    sample, found, start = RowSample(60, needed, seed=3), [], 0
    for size in sizes:
        rows = sample.next((size, 2, 4))
        assert ((rows >= 0) & (rows < size * 8)).all()
        found.append(rows + start)
        start += size * 8
    assert torch.equal(torch.cat(found), sample.rows)
    assert torch.equal(sample.rows, sample_rows(480, needed, seed=3))
    assert len(sample.rows.unique()) == min(needed, 480)


class Viewing(nn.Module):
    """Takes no activations whose channels lie side by side."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 2)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.head(x.view(len(x), -1))


def test_images_go_channels_last_where_the_model_takes_them():
    model, data = vgg16(width=0.125), torch.zeros(70, 3, 32, 32)
    assert channels_last(model, data).is_contiguous(memory_format=torch.channels_last)
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert channels_last(Viewing(), data) is data
    rows = data[:, 0, 0, :2]
    assert channels_last(nn.Linear(2, 2), rows) is rows


@pytest.mark.parametrize("compensate", ["fold", "refit"])
def test_a_model_that_calls_view_is_pruned_all_the_same(compensate):
    model = Viewing()
    data = torch.randn(70, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = sl.prune(model, 0.25, "lsq", data=data, compensate=compensate)
    assert small.conv.out_channels == 3 and small(data).isfinite().all()


def test_rows_that_come_in_any_number_are_sampled_in_proportion_to_the_inputs():
    """Experts, time steps in front of the inputs: no entry for each input."""
    sample, rows, start = RowSample(40, 20, seed=0), [], 0
    for shape, batch in (((7,), 10), ((0,), 10), ((60,), 10), ((3,), 10)):
        found = sample.next(shape, batch)
        assert ((found >= 0) & (found < shape[0])).all()
        assert len(found) == min(shape[0], 5)
        rows.append(found + start)
        start += shape[0]
    assert sample.uneven and sample.seen == 70
    assert torch.equal(sample.rows, torch.cat(rows))


def test_a_sample_that_turns_out_to_be_uneven_says_so():
    sample = RowSample(40, 1000, seed=0)
    assert len(sample.next((20,), 20)) == 20 and not sample.uneven
    assert len(sample.next((4,), 20)) == 4 and sample.uneven
    assert torch.equal(sample.rows, torch.arange(24))


def doubled(layer, args, kwargs):
    return (), {"input": 2 * kwargs["input"]}


class Lowered(nn.Module):
    """Calls a layer by keyword under autocast; beside it hooks that change what it reads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head = nn.Linear(4, 3), nn.Linear(3, 2)
        self.layer.register_forward_pre_hook(doubled, with_kwargs=True)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return {"logits": self.head(self.layer(input=x)), "rows": len(x)}


def test_calls_are_shown_as_they_are():
    model, data = Lowered(), torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    calls, answers, outputs = [], Answers(), Outputs(model.layer, 300, 0)

    def look(call):
        assert not torch.is_autocast_enabled("cpu")
        calls.append(call)

    lookers = [("layer", look), ("layer", outputs.look), ("", answers.look)]
    observe(model, data, lookers)
    assert [call.batch for call in calls] == [256, 44]
    assert all(call.plain and call.autocast == torch.bfloat16 for call in calls)
    read = torch.cat([call.map().inputs for call in calls])
    assert torch.equal(read, 2 * data)
    assert outputs.values().shape == (300, 3) and outputs.values().dtype == torch.bfloat16
    assert [len(batch[0]) for batch in answers.batches] == [256, 44]
    assert [len(batch) for batch in answers.batches] == [1, 1]
    calls.clear()
    observe(model, data, [("layer", look)], whole=True)
    assert [call.batch for call in calls] == [300]


def test_answers_as_large_as_images_are_held_of_the_first_inputs(monkeypatch):
    monkeypatch.setattr(observing, "_ANSWERS", 600)
    answers = Answers()
    observe(nn.Linear(4, 2), torch.zeros(2000, 4), [("", answers.look)])
    assert [batch[0].shape for batch in answers.batches] == [(256, 2), (256, 2)]


def test_a_layer_that_never_runs_or_says_no_tensor_has_no_outputs():
    outputs = Outputs(nn.Linear(2, 2), 10, 0)
    assert outputs.values() is None
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda layer, inputs, output: (output,))
    outputs = Outputs(model[0], 10, 0)
    observe(model, torch.zeros(10, 2), [("0", outputs.look)])
    assert outputs.values() is None
