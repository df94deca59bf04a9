"""The spline criterion inside torch-pruning's own pruner."""

import copy

import pytest
import torch
import torch_pruning as tp
import torchvision
from torch import nn

import splinelib as sl
from splinelib.models import vgg16


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_drops_into_torch_prunings_pruner(name):
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, num_classes=10).eval()
    inputs = torch.randn(1, 3, 32, 32)
    before = tp.utils.count_ops_and_params(model, inputs)
    last = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    pruner = tp.pruner.BasePruner(
        model,
        inputs,
        importance=sl.SplineImportance(),
        pruning_ratio=0.5,
        global_pruning=name != "mobilenet_v2",
        ignored_layers=[last],
    )
    pruner.step()
    after = tp.utils.count_ops_and_params(model, inputs)
    assert model(inputs).shape == (1, 10)
    assert after[0] < 0.8 * before[0] and after[1] < 0.8 * before[1]


def test_scores_are_those_of_the_criterion():
    model = vgg16(width=0.125, image_size=8)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.normal_(generator=generator)
            module.bias.data.normal_(generator=generator)
            module.running_mean.normal_(generator=generator)
    inputs = torch.randn(1, 3, 8, 8)
    scores = sl.score(model.eval(), "spline", example=inputs)
    graph = tp.DependencyGraph().build_dependency(copy.deepcopy(model), inputs)
    found = {}
    names = {module: name for name, module in graph.model.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d]):
        found[names[group[0].dep.target.module]] = sl.SplineImportance()(group)
    assert set(scores) == set(found)
    for name, values in scores.items():
        torch.testing.assert_close(found[name], values)


def test_tied_channels_stand_side_by_side_and_parts_of_a_concatenation_too():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.again = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
            self.head = nn.Linear(4 * 4, 2)

        def forward(self, x):
            x = self.stem(x)
            return self.head(torch.relu(x + self.again(torch.relu(x))).flatten(1))

    torch.manual_seed(0)
    model = Net()
    inputs = torch.randn(1, 3, 2, 2)
    scores = sl.score(model, "spline", example=inputs)
    graph = tp.DependencyGraph().build_dependency(model, inputs)
    group = graph.get_pruning_group(model.stem, tp.prune_conv_out_channels, list(range(4)))
    torch.testing.assert_close(sl.SplineImportance()(group), scores["stem"])


def test_components_can_follow_from_an_accuracy():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 2))
    graph = tp.DependencyGraph().build_dependency(model, torch.zeros(1, 20))
    group = graph.get_pruning_group(model[0], tp.prune_linear_out_channels, list(range(12)))
    count = sl.redundancy.components_for(model[0].weight.detach(), 0.2, "units")
    by_accuracy, by_number = (
        sl.SplineImportance(**setting)(group)
        for setting in ({"accuracy": 0.2}, {"components": count})
    )
    assert torch.equal(by_accuracy, by_number) and 1 < count < 12
    with pytest.raises(ValueError, match="give one of them"):
        sl.SplineImportance(components=2, accuracy=0.2)(group)
