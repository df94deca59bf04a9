import pytest
import torch
from torch import nn

from splinelib.training import evaluate, train

INPUTS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 4


def trained(network: nn.Module, labels: torch.Tensor) -> None:
    train(network, (INPUTS, labels), epochs=1, lr=0.1, progress=False)


def evaluated(network: nn.Module, labels: torch.Tensor) -> None:
    evaluate(network, INPUTS, labels)


@pytest.mark.parametrize("call", [trained, evaluated])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, "4 outputs, for the classes 0 .. 3, and labels go from 1 to 4"),
        (LABELS - 1, "labels go from -1 to 2"),
        (LABELS[:-1], "got 12 inputs and 11 labels"),
        (LABELS.float(), "whole numbers of shape"),
        (LABELS[:, None], "whole numbers of shape"),
    ],
)
def test_labels_that_do_not_fit_are_refused(call, labels, message):
    with pytest.raises(ValueError, match=message):
        call(nn.Linear(3, 4), labels)


@pytest.mark.parametrize("call", [trained, evaluated])
def test_what_is_no_classifier_is_refused(call):
    with pytest.raises(ValueError, match=r"one tensor of shape .* gave \(12?, 4, 1\)"):
        call(nn.Sequential(nn.Linear(3, 4), nn.Unflatten(1, (4, 1))), LABELS)


def test_labels_of_any_whole_type_are_taken():
    trained(nn.Linear(3, 4), LABELS.to(torch.int32))


@pytest.mark.parametrize("size", [0, -1, "3", 2.5, True])
def test_batch_sizes_that_are_none_are_refused(size):
    with pytest.raises(ValueError, match="positive whole number, not"):
        evaluate(nn.Linear(3, 4), INPUTS, LABELS, batch_size=size)
