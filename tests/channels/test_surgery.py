"""Smaller networks give what masked ones give."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import alive, convnet, images, parameters, random_masks, relative_error
from strangers import FIXED, PRUNABLE, lively, rows
from torch import nn

import splinelib as sl
from splinelib.channels import cuts, surgery
from splinelib.channels.groups import find_groups
from splinelib.models import mlp, preresnet, resnet18, vgg16
from splinelib.network.lending import Lender
from splinelib.network.outputs import tensors_of

STRANGERS = [
    *("resnet18", "resnet50", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small", "densenet121"),
    *("squeezenet1_1", "googlenet", "resnext50_32x4d", "regnet_x_400mf", "efficientnet_b0"),
]


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.filterwarnings("ignore:layers that do not run:UserWarning")
@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_shrunk_equals_masked_on_torchvision(name):
    torch.manual_seed(0)
    model = alive(getattr(torchvision.models, name)(weights=None))
    inputs = images(2, 64)
    layout = find_groups(model, inputs)
    masks = sl.select(sl.score(model, "random", layout=layout), 0.5)
    assert masks.units - masks.kept == int(layout.units * 0.5 + 0.5)  # to the unit
    assert all(mask.any() for mask in masks.values())
    channels = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    tied = any(len(group.producers) > 1 for group in layout.groups.values())
    assert layout.units < sum(channels) or not tied  # coupled channels count once
    masked = sl.apply_masks(model, masks, inputs)
    small = sl.shrink(model, masks, inputs)
    with torch.no_grad():
        expected = masked(inputs)
        assert relative_error(small(inputs), expected) < 1e-5
        assert relative_error(model(inputs), expected) > 1e-4  # the masks did something
    assert parameters(small) < 0.75 * parameters(model)
    assert parameters(masked) == parameters(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp([3 * 64, 20, 20, 10]),
        lambda: vgg16(width=0.125, image_size=8),
        lambda: preresnet(depth=20, width=0.5, image_size=8),
        lambda: resnet18(width=0.125, image_size=8),
        convnet,
    ],
    ids=["mlp", "vgg16", "preresnet", "resnet18", "convnet"],
)
def test_shrunk_equals_masked_on_our_networks(make):
    model = alive(make())
    inputs = images(4)
    inputs = inputs.flatten(1) if next(model.parameters()).ndim == 2 else inputs
    scores = sl.score(model, "random", example=inputs)
    masks = sl.select(scores, 0.5)
    with torch.no_grad():
        expected = sl.apply_masks(model, masks)(inputs)
        assert relative_error(sl.shrink(model, masks, inputs)(inputs), expected) < 1e-5


def regnet_like():
    """Two blocks of a RegNet-Y: 2 and 3 blocks of 8 channels, squeezed and excited."""

    def block(i, o):
        kind = torchvision.models.regnet.ResBottleneckBlock
        return kind(i, o, 1, nn.BatchNorm2d, nn.ReLU, group_width=8, se_ratio=0.25)

    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5)]
    return nn.Sequential(*stem, block(16, 16), block(16, 24), *head)


def resnext_like():
    """A bottleneck of 8 blocks of 2 channels, and one of 4 blocks of 4."""
    kind = torchvision.models.resnet.Bottleneck
    blocks = [kind(16, 4, groups=g, base_width=256 // g) for g in (8, 4)]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)]
    return nn.Sequential(*stem, *blocks, *head)


@pytest.mark.parametrize(
    ("make", "units", "layer", "left"),
    [
        # one of 3 blocks' 8 positions goes on one side, and two on the other
        (regnet_like, {"4.f.a.0": 8, "4.f.b.0": 8}, "4.f.b.0", (3, 21, 18)),
        # 8 blocks of 2: blocks go; 4 of 4: positions
        (resnext_like, {"3.conv1": 8}, "3.conv2", (7, 14, 14)),
        (resnext_like, {"4.conv1": 4, "4.conv2": 4}, "4.conv2", (4, 12, 8)),
    ],
)
def test_grouped_convolutions_between_others_give_what_masks_give(make, units, layer, left):
    torch.manual_seed(0)
    model, inputs = alive(make()), images(4)
    layout = find_groups(model, inputs)
    assert {name: layout.groups[name].units for name in units} == units
    few = {name: torch.arange(u) > at for at, (name, u) in enumerate(units.items())}
    small = dict(sl.shrink(model, few, inputs).named_modules())[layer]
    assert (small.groups, small.in_channels, small.out_channels) == left
    for masks in (few, random_masks(layout.groups), random_masks(layout.groups, seed=1)):
        with torch.no_grad():
            expected = sl.apply_masks(model, masks, inputs)(inputs)
            held, small = (f(model, masks, inputs) for f in (sl.attach_masks, sl.shrink))
            assert relative_error(held(inputs), expected) < 1e-6
            assert relative_error(small(inputs), expected) < 1e-5
            assert relative_error(model(inputs), expected) > 1e-4
            # once more, of what is left
            again = find_groups(small, inputs)
            masks = random_masks(again.groups, seed=2)
            one, other = (f(small, masks, inputs) for f in (sl.apply_masks, sl.shrink))
            assert relative_error(other(inputs), one(inputs)) < 1e-5


def test_channels_last_stays():
    model = convnet().to(memory_format=torch.channels_last)
    data = images().to(memory_format=torch.channels_last)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    for layer in (small[0], small[3], small[6]):
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    expected = sl.prune(convnet(), 0.5, "lsq", data=images(), compensate=True)(images())
    with torch.no_grad():
        assert relative_error(small(data), expected) < 1e-3
        assert small[:3](data).is_contiguous(memory_format=torch.channels_last)


def test_prelu_batchnorm1d_and_flatten_follow():
    torch.manual_seed(0)
    model = alive(
        nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.PReLU(6), nn.Flatten(), nn.BatchNorm1d(6 * 36)),
            *(nn.Linear(6 * 36, 7), nn.PReLU(), nn.BatchNorm1d(7, affine=False), nn.Linear(7, 2)),
        )
    )
    model[1].weight.data.uniform_(-1, 1)
    masks = random_masks(find_groups(model, images(2)).groups)
    small = sl.shrink(model, masks, images(2))
    with torch.no_grad():
        expected = sl.apply_masks(model, masks, images(2))(images(5))
        assert relative_error(small(images(5)), expected) < 1e-5
    assert small[1].num_parameters == small[0].out_channels == int(masks["0"].sum())


class Peculiar(nn.Module):
    """A module used twice, tied weights, attributes of its own, one that copies in its own way."""

    class Own(nn.Linear):
        def __deepcopy__(self, memo):
            copied = type(self)(self.in_features, self.out_features)
            copied.load_state_dict(self.state_dict())
            copied.copied_by_itself = True
            return copied

    def __init__(self):
        super().__init__()
        self.twice, self.tied, self.own = nn.Linear(4, 4), nn.Linear(4, 4), self.Own(4, 4)
        self.tied.weight = self.twice.weight
        self.again = nn.ModuleList([self.twice, nn.BatchNorm1d(4)])
        self.notes = {"seen": [1, 2], "none": []}
        self.same = self.notes["none"]
        self.register_buffer("scale", torch.ones(4), persistent=False)

    def forward(self, x):
        return self.own(self.again[1](self.twice(x)) + self.tied(x)) * self.scale


def test_the_quick_copy_is_what_deepcopy_gives():
    mobile = torchvision.models.mobilenet_v2(weights=None, num_classes=5).eval()
    for model in (Peculiar().eval(), mobile.requires_grad_(False)):
        calls = []
        handle = model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        quick = surgery._deepcopy(model, {})
        handle.remove()
        assert repr(quick) == repr(model)
        state, copied = model.state_dict(), quick.state_dict()
        assert list(state) == list(copied)
        x = torch.rand(3, 4) if isinstance(model, Peculiar) else torch.rand(2, 3, 32, 32)
        before = model(x)
        assert torch.equal(quick(x), before) and calls, "hooks travel, as with deepcopy"
        for name, parameter in quick.named_parameters():
            assert parameter.requires_grad == dict(model.named_parameters())[name].requires_grad
            parameter.data.add_(1.0)
        assert torch.equal(model(x), before)
    mine, copied = Peculiar(), surgery._deepcopy(Peculiar(), {})
    assert copied.tied.weight is copied.twice.weight and copied.again[0] is copied.twice
    assert copied.notes == mine.notes and copied.same is copied.notes["none"]
    assert copied.own.copied_by_itself and not hasattr(mine.own, "copied_by_itself")
    assert "scale" not in copied.state_dict() and torch.equal(copied.scale, torch.ones(4))


def test_what_a_run_writes_does_not_reach_the_model():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(11, 16, max_norm=0.5), nn.Linear(16, 3)
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x):
            self.steps.add_(1)
            return self.out(self.words(x))

    model = Counting()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copied = surgery.shell(model)
    copied(torch.arange(11))
    assert copied.steps == 1 and copied.out.weight is model.out.weight
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("name", [*PRUNABLE, *(name for name in FIXED if FIXED[name][2])])
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_shrunk_equals_masked_on_networks_that_people_bring(name, share):
    make, inputs, *_ = (PRUNABLE | FIXED)[name]
    model = lively(make)
    layout = find_groups(model, inputs)
    inputs = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(8))
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        masks = {}
        for group in layout.groups.values():
            masks[group.name] = torch.rand(group.units, generator=generator) > share
            masks[group.name][seed] = True
        masked, small = (f(model, masks, inputs) for f in (sl.apply_masks, sl.shrink))
        with torch.no_grad():
            expected, found = tensors_of(masked(inputs)), tensors_of(small(inputs))
            dense = tensors_of(model(inputs))
        assert len(found) == len(expected)
        for one, other, whole in zip(found, expected, dense, strict=True):
            assert one.shape == other.shape == whole.shape
            assert relative_error(one, other) < 1e-5
        assert parameters(small) < parameters(model) or all(mask.all() for mask in masks.values())


def test_copies_that_share_parameters_leave_the_model_as_it_is():
    class Remembering(nn.Module):
        """Sizes, lists, buffers and classes of modules that change while it runs."""

        def __init__(self):
            super().__init__()
            self.a, self.norm, self.b = nn.Linear(8, 12), nn.LayerNorm(12), nn.Linear(12, 3)
            self.seen, self.weights = [0], [self.a.weight]
            self.register_buffer("steps", torch.zeros(1))
            self.again = nn.BatchNorm1d(1)
            self.again.register_buffer("steps", self.steps)

        def forward(self, x):
            self.steps.add_(1)
            self.seen.append(len(x))
            self.last = self.norm(self.a(x)) + F.linear(x, self.weights[0])
            return self.b(F.relu(self.last)) * self.again.steps

    model, x = lively(Remembering), rows(8)
    layout = find_groups(model, x)
    masks = random_masks(layout.groups)
    kept = cuts.cut_by(model, layout, masks).kept
    before, plain = repr(model), {key: t.clone() for key, t in model.state_dict().items()}
    with torch.no_grad(), cuts.cut_for_a_while(kept, Lender(model)) as lent:
        ways = {
            lent: cuts.cut_copy(model, kept),
            surgery.silenced(model, layout, masks, share=True): surgery.silenced(
                model, layout, masks
            ),
        }
        for shared, copied in ways.items():
            assert repr(shared) == repr(copied)
            assert torch.equal(shared(x), copied(x)) and shared.seen == copied.seen == [0, 6]
            assert shared.weights[0] is shared.a.weight and shared.again.steps is shared.steps
            assert shared.b.bias is model.b.bias
            assert repr(model) == before and type(model.norm) is nn.LayerNorm
            assert model.seen == [0] and not hasattr(model, "last")
            assert model.weights[0] is model.a.weight and model.again.steps is model.steps
            assert all(torch.equal(plain[key], t) for key, t in model.state_dict().items())


def patched():
    """Forwards that were replaced on the instance, and a hook: they close over modules."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3), nn.BatchNorm1d(3)).eval()
    whole, first, norm = model.forward, model[0].forward, model[3]
    model.forward = lambda x: 2 * whole(x)
    model[0].forward = lambda x, first=first: first(x) + 1
    model[2].register_forward_hook(lambda layer, args, output: norm(output))
    return model


@pytest.mark.parametrize("way", ["prune", "shrink", "masks"])
def test_a_pruned_network_runs_its_own_modules_only(way):
    model, x = patched(), rows(8)
    expected = model(x).detach()
    masks = {"0": torch.arange(32) % 2 == 0}
    ways = {
        "prune": lambda: sl.prune(model, 0.5, "magnitude", example=x),
        "shrink": lambda: sl.shrink(model, masks, x),
        "masks": lambda: sl.apply_masks(model, masks, x),
    }
    small = ways[way]().train()
    small(x).sum().backward()
    assert not torch.equal(small.eval()(x), expected)
    assert all(p.grad is None for p in model.parameters())
    assert model[3].num_batches_tracked == 0 and small[3].num_batches_tracked > 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert small(x).abs().max() > 0


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_silent_weights_are_zero_and_the_others_as_they_were(memory):
    model = convnet().to(memory_format=memory)
    layout = find_groups(model, images(2))
    masks = random_masks(layout.groups)
    dropped = surgery.dropped_channels(layout, masks)
    parts = [
        dict(made.named_modules())
        for made in (surgery.silenced(model, layout, masks), cuts.removed(model, layout, masks))
    ]
    axes = {"out": 0, "in": 1}
    for name, sides in cuts.kept_channels(dict(model.named_modules()), dropped).items():
        silent, small = (modules[name].weight for modules in parts)
        for role, stays in sides.items():
            axis = axes.get(role, 0)
            assert not silent.index_select(axis, dropped[name, role]).any()
            silent = silent.index_select(axis, stays)
        assert torch.equal(silent, small)
