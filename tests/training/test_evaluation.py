"""How often a classifier is right: counted, and refused where its outputs are not numbers."""

import pytest
import torch
from torch import nn

from splinelib.training import evaluate


def test_counts_and_leaves_the_mode(digits):
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


def test_outputs_that_are_not_numbers_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.fill_(1e30)
        model[2].weight.copy_(torch.tensor([[1e30, -1e30], [1.0, 1.0]]))
    inputs, labels = torch.cat([torch.zeros(4, 2), torch.ones(1, 2)]), torch.zeros(5).long()
    assert evaluate(model, inputs[:4], labels[:4]) >= 0
    with pytest.raises(ValueError, match="module '2' gives NaN or infinite values"):
        evaluate(model, inputs, labels, batch_size=2)


@pytest.mark.parametrize(
    "labels", [torch.zeros(4, 1).long(), torch.zeros(4), torch.zeros(4, 2).long()]
)
def test_labels_that_are_no_classes_are_refused(labels):
    with pytest.raises(ValueError, match="whole numbers of shape"):
        evaluate(nn.Linear(2, 2), torch.zeros(4, 2), labels)
