"""Channels that go together."""

import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from networks import alive, convnet, dense_mlp, grouped, images, relative_error
from strangers import FIXED, PRUNABLE, Auxiliary, lively
from torch import nn

import splinelib as sl
from splinelib.channels.attention import opened
from splinelib.channels.groups import find_groups, groups_of_own
from splinelib.errors import PruningError
from splinelib.models import resnet18


@pytest.mark.parametrize("name", PRUNABLE)
def test_groups_of_networks_that_people_bring(name):
    make, inputs, units = PRUNABLE[name]
    layout = find_groups(lively(make), inputs)
    assert {name: group.units for name, group in layout.groups.items()} == units, layout.fixed


@pytest.mark.parametrize("name", FIXED)
def test_what_must_stay_is_named_with_the_operation(name):
    make, inputs, units, layer, why = FIXED[name]
    if not units:
        with pytest.raises(PruningError) as raised:
            find_groups(lively(make), inputs)
        assert f"{layer}: " in str(raised.value) and why in str(raised.value)
        return
    layout = find_groups(lively(make), inputs)
    assert {name: group.units for name, group in layout.groups.items()} == units
    assert why in layout.fixed[layer]


def test_networks_that_shuffle_channels_are_pruned_where_the_order_stays():
    model = alive(torchvision.models.shufflenet_v2_x0_5(weights=None, num_classes=5))
    layout = find_groups(model, images(2, 64))
    assert {"conv1.0", "conv5.0", "stage2.0.branch2.0", "stage4.3.branch2.0"} <= set(layout.groups)
    assert "does not do what masking them does" in layout.fixed["stage2.1.branch2.5"]


def test_heads_that_run_in_training_only_are_cut_along():
    model = lively(Auxiliary)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout = find_groups(model, images(4))
    members = {m.module: m for m in layout.groups["a.0"].members}
    assert not members["aux"].judged and members["b.0"].judged
    assert [m.module for m in layout.groups["a.0"].consumers] == ["b.0"]
    masks = {"a.0": torch.arange(16) % 3 > 0}
    small, masked = sl.shrink(model, masks, images(4)), sl.apply_masks(model, masks, images(4))
    for net in (small, masked):
        net.training = True  # the head runs; batch norms keep their statistics
    for found, expected in zip(small(images(4)), masked(images(4)), strict=True):
        assert relative_error(found, expected) < 1e-5
    loss = F.cross_entropy(small.train()(images(4))[1], torch.zeros(4, dtype=torch.long))
    loss.backward()
    assert small.aux.weight.grad.shape == (5, 10)


@pytest.mark.parametrize(
    ("pooled", "why"),
    [
        (lambda x: x.mean((2, 3)) * x.shape[1] ** -0.5, "'aux': outputs differ by"),
        (lambda x: F.adaptive_avg_pool2d(x, 1).view(-1, 16), "shape '[-1, 16]' is invalid"),
    ],
)
def test_heads_that_run_in_training_only_are_tried_out_there(pooled, why):
    class Head(Auxiliary):
        def forward(self, x):
            x = self.a(x)
            out = self.head(self.b(x).mean((2, 3)))
            return (out, self.aux(pooled(x))) if self.training else out

    layout = find_groups(lively(Head), images(4))
    assert list(layout.groups) == ["b.0"] and why in layout.fixed["a.0"]


def test_what_is_random_in_training_is_not_tried_out_there():
    class Head(Auxiliary):
        def forward(self, x):
            x = F.dropout(self.a(x), 0.5, self.training)
            out = self.head(self.b(x).mean((2, 3)))
            return (out, self.aux(x.mean((2, 3)))) if self.training else out

    assert list(find_groups(lively(Head), images(4)).groups) == ["a.0", "b.0"]


def test_layers_that_run_inside_torch_func_stay():
    class Mapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(16, 12), nn.Linear(12, 3)

        def forward(self, x):
            return self.c(F.relu(self.b(torch.func.vmap(lambda row: F.relu(self.a(row)))(x))))

    layout = find_groups(Mapped(), torch.randn(2, 8))
    assert list(layout.groups) == ["b"] and layout.order == ("b", "c")
    assert layout.fixed["a"] == "it runs inside torch.func, where scores and fits cannot look"


@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_googlenet_trains_after_pruning():
    model = torchvision.models.googlenet(weights=None, num_classes=10, init_weights=False).eval()
    small = sl.prune(model, 0.3, "magnitude", data=images(4, 64)).train()
    out = small(images(4, 64))
    assert out.logits.shape == out.aux_logits1.shape == out.aux_logits2.shape == (4, 10)


def test_layers_that_run_several_times_stay_and_the_others_go():
    class Siamese(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.enc = nn.Linear(8, 10), nn.Linear(10, 12)
            self.dec, self.out = nn.Linear(24, 16), nn.Linear(16, 3)

        def forward(self, x):
            both = [F.relu(self.enc(F.relu(self.a(x * sign)))) for sign in (1, -1)]
            return self.out(F.relu(self.dec(torch.cat(both, 1))))

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.again, self.c = nn.Linear(8, 12), nn.Linear(12, 12), nn.Linear(12, 3)

        def forward(self, x):
            return self.c(F.relu(self.again(F.relu(self.again(F.relu(self.a(x)))))))

    layout = find_groups(Siamese(), torch.randn(2, 8))
    assert list(layout.groups) == ["dec"] and layout.order == ("dec", "out")
    assert "'a' runs 2 times" not in layout.fixed["a"] and "runs 2 times" in layout.fixed["enc"]
    # the layer reads what it makes: its units and those of the layer before are the same
    model = Twice()
    layout = find_groups(model, torch.randn(2, 8))
    group = layout.groups["a"]
    assert [(m.module, m.role) for m in group.producers] == [("a", "out")]
    assert [(m.module, m.role) for m in group.consumers] == [("c", "in")]
    masks = {"a": torch.arange(12) % 3 > 0}
    x = torch.randn(5, 8)
    masked, small = sl.apply_masks(model, masks, x), sl.shrink(model, masks, x)
    assert small.again.weight.shape == (8, 8)
    assert relative_error(small(x), masked(x)) < 1e-5
    refitted = sl.prune(model, 0.3, "lsq", data=torch.randn(64, 8), compensate="refit")
    assert refitted.again.weight.shape == (8, 8)


def test_layers_that_never_run_are_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.spare = nn.Linear(8, 12), nn.Linear(12, 3), nn.Linear(8, 4)

        def forward(self, x):
            return self.b(F.relu(self.a(x)))

    with pytest.warns(UserWarning, match=r"do not run are left as they are: \['spare'\]"):
        layout = find_groups(Unused(), torch.randn(2, 8))
    assert layout.fixed["spare"] == "it does not run"


def test_a_zero_head_hides_nothing():
    class Norm(nn.Module):
        def forward(self, x):
            return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)

    model = nn.Sequential(nn.Linear(8, 32), Norm(), nn.Linear(32, 5))
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    with pytest.raises(PruningError, match="'mean' in '1' \\(Norm\\) mixes its channels"):
        find_groups(model, torch.randn(4, 8))
    assert not model[2].weight.any()  # the trial puts values there in a copy
    model = torchvision.models.vit_b_32(weights=None, image_size=32).eval()  # its head is zero
    layout = find_groups(model, images(2, 32))
    units = [group.units for group in layout.groups.values()]
    assert units == [768, *[12, 3072] * 12]  # the residual stream; heads and units of each block


def test_networks_that_cannot_be_copied_name_the_attribute():
    import threading

    model = dense_mlp()
    model[2].lock = threading.Lock()
    assert find_groups(model, torch.randn(2, 6)).units == 28  # which copies nothing
    with pytest.raises(PruningError, match=r"attribute '2.lock' of the network \(lock\) cannot be"):
        sl.prune(model, 0.5, example=torch.randn(2, 6))


def test_features_that_a_pass_left_behind_are_copied():
    model = dense_mlp()
    model.features = model[:2](torch.randn(2, 6))  # with a history
    small = sl.prune(model, 0.5, data=torch.randn(64, 6))
    assert not small.features.requires_grad
    assert torch.equal(small.features, model.features)


def test_stubs_of_a_float_network_are_no_obstacle():
    stubs = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
    model = nn.Sequential(stubs[0], *dense_mlp(), stubs[1]).eval()
    assert [g.units for g in find_groups(model, torch.randn(2, 6)).groups.values()] == [16, 12]


def test_the_model_is_left_as_it_was():
    model = dense_mlp().train()
    model[1].eval()
    before = [set(vars(module)) for module in model.modules()]
    modes = [module.training for module in model.modules()]
    find_groups(model, torch.randn(2, 6))
    assert [module.training for module in model.modules()] == modes
    assert [set(vars(module)) for module in model.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not any(hasattr(parameter, "_channels") for parameter in model.parameters())


def test_coupled_channels_are_one_unit():
    model = alive(resnet18(width=0.25, image_size=8))
    groups = find_groups(model, images(2)).groups
    stream = next(iter(groups.values()))  # the stem, and what is added to it
    assert len(stream.producers) == 3
    assert stream.units == 16
    assert sum(g.units for g in groups.values()) < sum(
        m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)
    )


def test_blocks_of_a_grouped_convolution_are_units():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.ReLU()),
        *(nn.Conv2d(12, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 2)),
    )
    layout = find_groups(model, images(2, 4))
    assert {name: group.units for name, group in layout.groups.items()} == {"0": 4, "4": 5}
    masks = {"0": torch.tensor([True, False, False, True])}
    small = sl.shrink(model, masks, images(1, 4))
    assert (small[2].groups, small[2].in_channels, small[2].out_channels) == (2, 4, 6)
    inputs = images(3, 4)
    expected = sl.apply_masks(model, masks, inputs)(inputs)
    assert relative_error(small(inputs), expected) < 1e-5


def test_positions_of_wide_blocks_are_units_of_two_groups():
    model = grouped(read=3, made=4, blocks=2)
    layout = find_groups(model, images(2, 4))
    members = {
        name: {(m.module, m.role): m.indices.tolist() for m in layout.groups[name].members}
        for name in ("0", "2")
    }
    assert members["0"] == {("0", "out"): [[0, 3], [1, 4], [2, 5]], ("2", "in"): [[0], [1], [2]]}
    rows = [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert members["2"] == {("2", "out"): rows, ("4", "in"): rows}
    masks = {"0": torch.tensor([True, False, True]), "2": torch.tensor([False, True, True, True])}
    small = sl.shrink(model, masks, images(1, 4))
    assert (small[2].groups, small[2].in_channels, small[2].out_channels) == (2, 4, 6)
    kept = model[2].weight[[1, 2, 3, 5, 6, 7]][:, [0, 2]]
    assert torch.equal(small[2].weight, kept)
    assert torch.equal(small[0].weight, model[0].weight[[0, 2, 3, 5]])
    inputs = images(3, 4)
    expected = sl.apply_masks(model, masks, inputs)(inputs)
    assert relative_error(small(inputs), expected) < 1e-5


def test_partial_coupling_through_a_concatenation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 1)
            self.sum, self.head = nn.Conv2d(3, 7, 1), nn.Linear(7, 2)

        def forward(self, x):
            both = torch.cat([self.a(x), self.b(x)], 1)
            return self.head(F.relu(both + self.sum(x)).mean((2, 3)))

    torch.manual_seed(0)
    model = Net()
    layout = find_groups(model, images(2))
    assert {name: group.units for name, group in layout.groups.items()} == {"a": 2, "b": 5}
    masks = {"b": torch.tensor([True, False, True, False, True])}
    small = sl.shrink(model, masks, images(1))
    assert small.sum.out_channels == 5
    expected = sl.apply_masks(model, masks, images(1))(images(4))
    assert relative_error(small(images(4)), expected) < 1e-5


def test_what_cannot_be_removed_is_left_alone_with_the_reason():
    class Shaped(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1)
            self.norm, self.last = nn.GroupNorm(2, 6), nn.Linear(6 * 64, 3)

        def forward(self, x):
            x = F.relu(self.second(F.relu(self.first(x))))
            return self.last(self.norm(x).view(-1, 6 * 64))

    layout = find_groups(Shaped(), images(2))
    assert list(layout.groups) == ["first"]
    assert "does not do what masking" in layout.fixed["second"]
    assert "outputs" in layout.fixed["last"]


def test_a_size_written_into_the_code_is_found_by_trying():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1)
            self.last = nn.Linear(6 * 64, 3)

        def forward(self, x):
            x = F.relu(self.second(F.relu(self.first(x))))
            return self.last(x.reshape(-1, 6 * 64))

    layout = find_groups(Written(), images(2))
    assert list(layout.groups) == ["first"]
    assert "does not do what masking" in layout.fixed["second"]


def test_networks_that_share_weights_are_refused():
    tied = dense_mlp()
    tied.append(nn.ReLU())
    tied.append(nn.Linear(3, 6))
    tied.append(nn.Linear(6, 16))
    tied[-1].weight = tied[0].weight
    with pytest.raises(PruningError, match="share"):
        sl.score(tied, example=torch.zeros(1, 6))
    masked = dense_mlp()
    torch.nn.utils.parametrizations.weight_norm(masked[0])
    with pytest.raises(PruningError, match="parametrisation"):
        sl.score(masked, example=torch.zeros(1, 6))
    with pytest.raises(PruningError, match="no layer"):
        sl.score(nn.Linear(6, 2), example=torch.zeros(1, 6))


class Quantised(nn.Module):
    """Stands for the modules of torch.ao.nn.quantized, which need an engine to be made."""


Quantised.__module__ = "torch.ao.nn.quantized.dynamic.modules.linear"


def test_frozen_layers_stay_frozen_quantised_and_compiled_ones_are_refused():
    model, data = dense_mlp(), torch.randn(64, 6)
    model.requires_grad_(False)
    small = sl.prune(model, 0.5, "lsq", data=data, compensate=True)
    assert not any(parameter.requires_grad for parameter in small.parameters())
    with pytest.raises(PruningError, match=r"'5'.*quantised.*floating-point network first"):
        sl.score(nn.Sequential(*model, Quantised()), example=data)
    with pytest.raises(PruningError, match="TorchScript"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and still out there
            compiled = torch.jit.trace(model, data)
        sl.score(compiled, example=data)


def test_networks_without_values_or_layers_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"'0.weight' is on the meta device.*to_empty"):
        find_groups(dense_mlp().to("meta"), torch.randn(2, 6))
    program = torch.export.export(dense_mlp(), (torch.randn(2, 6),)).module()
    with pytest.raises(TypeError, match=r"made by torch.export. Give the torch.nn.Module"):
        find_groups(program, torch.randn(2, 6))


def test_masks_of_torch_on_norms_and_biases_are_cut_along():
    model = convnet()
    nn.utils.prune.l1_unstructured(model[1], "weight", 0.3)
    model[6].bias = nn.Parameter(torch.randn(10))
    nn.utils.prune.l1_unstructured(model[6], "bias", 0.3)
    masks = {"0": torch.arange(6) > 1, "6": torch.arange(10) % 2 == 0}
    masked, small = (f(model, masks, images(2)) for f in (sl.apply_masks, sl.shrink))
    assert relative_error(small(images(4)), masked(images(4))) < 1e-5
    assert small[1].weight_orig.shape == small[1].weight_mask.shape == (4,)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_networks_that_are_ready_to_be_quantised_are_floating_point_still():
    model = torchvision.models.quantization.resnet18(weights=None, quantize=False, num_classes=5)
    assert find_groups(model.eval(), images(2, 64)).units == 2880


def test_frozen_norms_of_torchvision_are_cut_along():
    norm = torchvision.ops.FrozenBatchNorm2d
    model = torchvision.models.resnet18(weights=None, num_classes=5, norm_layer=norm).eval()
    assert find_groups(model, images(2, 64)).units == 2880
    assert sl.prune(model, 0.3, "magnitude", data=images(2, 64))(images(2, 64)).shape == (2, 5)


@pytest.mark.parametrize("name", [*PRUNABLE, *FIXED])
def test_a_replica_of_ones_own_gives_the_same_groups_and_is_as_it_was(name):
    make, x, *_ = (PRUNABLE | FIXED)[name]
    model, own = lively(make), opened(lively(make))
    before = {key: tensor.clone() for key, tensor in own.state_dict().items()}
    kinds, modes = repr(own), [module.training for module in own.modules()]
    try:
        expected = find_groups(model, x)
    except PruningError as error:
        with pytest.raises(PruningError) as found:
            groups_of_own(own, x)
        assert str(found.value) == str(error)
    else:
        found = groups_of_own(own, x)
        assert found.fixed == expected.fixed and found.batch_norms == expected.batch_norms
        assert [(g.name, g.units, g.heads) for g in found.groups.values()] == [
            (g.name, g.units, g.heads) for g in expected.groups.values()
        ]
    assert repr(own) == kinds and [module.training for module in own.modules()] == modes
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in own.modules())
    assert all(torch.equal(before[key], t) for key, t in own.state_dict().items())


def test_what_is_tried_in_training_takes_no_random_numbers_from_others():
    """A layer of attention that holds others drops in training, whatever its dropout is told."""

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 16)
            self.b = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.c, self.unused = nn.Linear(16, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.c(self.b(F.relu(self.a(x))))

    net, x = Attending(), torch.randn(2, 5, 6)
    before = torch.get_rng_state()
    with pytest.warns(UserWarning, match="do not run"):
        find_groups(net, x)
    with pytest.warns(UserWarning, match="do not run"):
        sl.prune(net, 0.5, "magnitude", example=x)
    assert torch.equal(torch.get_rng_state(), before)
