"""Moments that the weights imply, by hand."""

import copy

import pytest
import torch
from networks import convnet, gaussian, linear_net
from torch import nn

from splinelib.calibration.gaussian import after_activation
from splinelib.calibration.implied import implied_reads, output_variance, taps

RELU = (0.0,), (0.0, 1.0)


def test_a_layer_passes_covariances_exactly():
    model = linear_net([[1, 2], [3, -1]], [[1, 1]])
    model[0].bias = nn.Parameter(torch.tensor([0.5, -2.0]).double())
    modules = [model[0], nn.Identity(), model[2]]
    read = implied_reads(nn.Sequential(*modules), torch.zeros(1, 2).double())["2"]
    assert read.mean.tolist() == [0.5, -2.0]
    assert read.covariance.tolist() == [[5.0, 1.0], [1.0, 10.0]]
    variance = output_variance(taps(model[2].weight, read), read.covariance)
    assert variance.item() == pytest.approx(5 + 2 * 1 + 10)


def test_behind_a_batch_norm_its_own_scale_counts_and_not_its_statistics():
    model = convnet()
    example = torch.zeros(1, 3, 8, 8)
    read = implied_reads(model, example)["3"]
    gamma, beta = model[1].weight.detach().double(), model[1].bias.detach().double()
    share = (model[1].running_var / (model[1].running_var + model[1].eps)).double().sqrt()
    expected, _ = after_activation(beta, ((gamma * share) ** 2).diag(), *RELU)
    torch.testing.assert_close(read.mean, expected)
    before = copy.deepcopy(model.state_dict())
    model[1].running_mean += 3
    torch.testing.assert_close(implied_reads(model, example)["3"].mean, read.mean)
    model[1].running_mean -= 3
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items() if "mean" not in k)


def test_zero_padding_is_no_observation():
    """Moments over inputs and positions, one position after the other, by convolutions."""
    torch.manual_seed(0)
    first, norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
    second, last = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 2, 1)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([0.5, -2.0, 1.0]))
    model = nn.Sequential(first, norm, second, last).double().eval()
    read = implied_reads(model, torch.zeros(1, 3, 5, 5).double())
    before, after = read["2"], read["3"]
    with torch.no_grad():
        constant = before.mean[:, None, None].expand(3, 5, 5)[None]
        means = second(constant)[0].flatten(1)  # (4, positions)
        root = torch.linalg.cholesky(before.covariance)
        ones = torch.ones(1, 3, 5, 5).double()
        spread = torch.zeros(4, 4).double()
        for row in range(3):
            for column in range(3):
                tap = torch.zeros_like(second.weight)
                tap[:, :, row, column] = second.weight[:, :, row, column] @ root
                seen = torch.stack(  # (sources, 4, positions)
                    [
                        nn.functional.conv2d(
                            ones[:, [source]], tap[:, [source]], stride=2, padding=1
                        )[0].flatten(1)
                        for source in range(3)
                    ]
                )
                spread += torch.einsum("sip,sjp->ij", seen, seen) / seen.shape[2]
    torch.testing.assert_close(after.mean, means.mean(1))
    torch.testing.assert_close(after.covariance, spread + torch.cov(means, correction=0))


def test_the_error_of_a_rebuilt_channel_counts_where_taps_fall():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 5, 3, padding=1, bias=False).double()
    model = nn.Sequential(nn.BatchNorm2d(2).double(), layer).eval()
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([1.0, 0.7]))
        model[0].weight.copy_(torch.tensor([0.4, 0.9]))
    read = implied_reads(model, torch.zeros(1, 2, 4, 4).double())["1"]
    weight = taps(layer.weight, read)[:, :1]  # channel 0 is rebuilt as a times channel 1
    for a in (0.0, 0.6, 1.4):
        step = torch.tensor([1.0, -a]).double()
        variance, miss = step @ read.covariance @ step, step @ read.mean
        with torch.no_grad():
            left = nn.functional.conv2d(
                miss.expand(1, 1, 4, 4), layer.weight[:, :1], padding=1
            ).flatten(2)
            noise = nn.functional.conv2d(
                variance.expand(1, 1, 4, 4), layer.weight[:, :1] ** 2, padding=1
            )
        wanted = left.var(2, correction=0).sum() + noise.mean((2, 3)).sum()
        found = step @ read.seen_through(weight).covariance @ step
        share = (weight.square() @ read.inside.diagonal()).sum()
        torch.testing.assert_close(share * found, wanted)
        moved = read.total(weight)[:, 0] * miss  # what a bias takes over
        torch.testing.assert_close(moved, left.mean(2)[0])


def test_taps_that_never_read_anything_are_of_no_account():
    """On one pixel a kernel of 3 x 3 has one tap; what only the others would read is nothing."""
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)).double().eval()
    read = implied_reads(model, torch.zeros(1, 2, 1, 1).double())["1"]
    weight = taps(model[1].weight, read).clone()
    assert read.counted(weight).count_nonzero() == weight[..., 4].count_nonzero() == 6
    weight[..., 4] = 0
    assert torch.equal(read.seen_through(weight).covariance, read.covariance)
    assert not output_variance(read.counted(weight), read.covariance).any()


def test_padding_by_hand_is_padding():
    class ByHand(nn.Module):
        def __init__(self, mode="constant", value=None, widths=(1, 1, 1, 1)):
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)
            self.settings = {"pad": widths, "mode": mode, "value": value}

        def forward(self, x):
            return self.conv(nn.functional.pad(self.norm(x), **self.settings))

    example = torch.zeros(1, 3, 4, 4)
    built_in = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)).eval()
    wanted = implied_reads(built_in, example)["1"].inside
    assert torch.equal(implied_reads(ByHand().eval(), example)["conv"].inside, wanted)
    assert implied_reads(ByHand("reflect").eval(), example)["conv"].inside is None
    assert "conv" not in implied_reads(ByHand(value=1.0).eval(), example)


def test_inputs_may_be_reshaped_before_they_are_read():
    class Frames(nn.Module):
        def __init__(self, reshape):
            super().__init__()
            self.reshape, self.conv = reshape, nn.Conv1d(2, 3, 5)

        def forward(self, x):
            return self.conv(self.reshape(x))

    for reshape in (
        lambda x: x[:, :, 0],
        lambda x: x.squeeze(2),
        lambda x: x.permute(0, 1, 3, 2).flatten(2),
        lambda x: x.transpose(1, 2)[:, 0],
    ):
        read = implied_reads(Frames(reshape), torch.zeros(1, 2, 1, 9))["conv"]
        assert torch.equal(read.covariance, torch.eye(2).double()) and not read.mean.any()
    single = nn.Sequential(nn.Unflatten(1, (1, 9)), nn.Conv1d(1, 3, 5))
    assert implied_reads(single, torch.zeros(1, 9))["1"].covariance.tolist() == [[1.0]]


def test_many_inputs_take_no_covariance_of_all_pairs():
    few, many = (
        nn.Sequential(nn.Flatten(), nn.Linear(n, 2), nn.Linear(2, 2)) for n in (12, 60_000)
    )
    with torch.no_grad():
        many[1].weight.zero_()[:, :12] = few[1].weight
        many[1].bias.copy_(few[1].bias)
    one = implied_reads(few, torch.zeros(1, 3, 2, 2))["2"]
    two = implied_reads(many, torch.zeros(1, 3, 100, 200))["2"]
    flat = implied_reads(many[1:], torch.zeros(1, 60_000))["2"]
    for found in (two, flat):
        torch.testing.assert_close(found.covariance, one.covariance)
        torch.testing.assert_close(found.mean, one.mean)


class Several(nn.Module):
    """Grouped convolution, concatenation, addition, pooling, flattening, and a product."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(2, 4, 1, bias=False)
        self.b = nn.Conv2d(4, 4, 1, groups=2, bias=False)
        self.c = nn.Conv2d(8, 3, 1)
        self.d = nn.Conv2d(4, 3, 1)
        self.head = nn.Linear(12, 2)
        self.gate = nn.Linear(2, 2)

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        both = self.c(torch.cat([a, b], 1)) + self.d(b)
        y = self.head(torch.max_pool2d(torch.relu(both), 2).flatten(1))
        return self.gate(y * y.sigmoid())


def test_branches_groups_and_flattening():
    model = Several()
    reads = implied_reads(model, torch.zeros(1, 2, 4, 4))
    a, b = (m.weight.detach().double().flatten(1) for m in (model.a, model.b))
    full = torch.block_diag(b[:2], b[2:]) @ a
    torch.testing.assert_close(reads["d"].covariance, full @ full.T)
    torch.testing.assert_close(reads["c"].covariance, torch.block_diag(a @ a.T, full @ full.T))
    assert (reads["head"].repeat, len(reads["head"].mean)) == (4, 3)
    assert taps(model.head.weight, reads["head"]).shape == (2, 3, 4)
    assert set(reads) == {"a", "b", "c", "d", "head"}  # what the product gives is not told


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Softplus(), nn.ELU()])
def test_smooth_activations_are_those_of_quadrature(activation):
    model = nn.Sequential(nn.Linear(2, 2), activation, nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[3.0, 4.0], [4.0, 3.0]]) / 5
    model[0].bias.data = torch.tensor([0.3, -0.4])
    read = implied_reads(model, torch.zeros(1, 2))["2"]
    with torch.no_grad():
        values = model[:2].double()(gaussian(1_000_000, 2))
    torch.testing.assert_close(read.mean, values.mean(0), rtol=1e-2, atol=2e-3)
    torch.testing.assert_close(read.covariance, values.T.cov(), rtol=1e-2, atol=2e-3)


class Wrapped(nn.Module):
    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.Sequential(*layers)

    def forward(self, x):
        return self.function(x, self.layers)


def layer(weight):
    linear = nn.Linear(2, 2, bias=False, dtype=torch.float64)
    linear.weight.data = torch.tensor(weight).double()
    return linear


@pytest.mark.parametrize(
    ("function", "mean", "covariance"),
    [
        (lambda x, f: f[1](torch.add(f[0](x), x, alpha=0.5)), 0, [[4.25, 0], [0, 9.25]]),
        (lambda x, f: f[1](f[0](x) - 2 * x), 0, [[8, 0], [0, 13]]),
        (lambda x, f: f[1](x + x), 0, [[4, 0], [0, 4]]),
        (lambda x, f: f[1]((f[0](x) - 0.5) / 2), -0.25, [[1, 0], [0, 2.25]]),
        (lambda x, f: f[1](3 + f[0](x) * 2), 3, [[16, 0], [0, 36]]),
    ],
    ids=["alpha", "difference", "twice", "normalised", "scaled"],
)
def test_sums_and_numbers(function, mean, covariance):
    model = Wrapped(function, layer([[2.0, 0], [0, 3]]), layer([[1.0, 0], [0, 1]]))
    read = implied_reads(model, torch.zeros(1, 2).double())["layers.1"]
    assert read.mean.tolist() == [mean, mean]
    assert read.covariance.tolist() == covariance


@pytest.mark.parametrize(
    ("model", "example", "left_out"),
    [
        (  # on the last of three dimensions, channels are elsewhere
            nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)),
            torch.zeros(1, 5, 6),
            {"0", "2"},
        ),
        (  # as many places as channels
            nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.ReLU(), nn.Linear(8, 4)),
            torch.zeros(1, 8, 8),
            {"2"},
        ),
        (
            Wrapped(lambda x, f: f[1](f[0](x).relu().mean(1)), nn.Conv1d(8, 8, 1), nn.Linear(8, 2)),
            torch.zeros(1, 8, 8),
            {"layers.1"},
        ),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(), nn.PReLU(32), nn.Linear(32, 2)),
            torch.zeros(1, 3, 2, 2),
            {"3"},
        ),
    ],
    ids=["tokens", "places", "mean of channels", "slopes of places"],
)
def test_channels_are_never_mistaken_for_another_dimension(model, example, left_out):
    layers = {
        n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)
    }
    assert set(implied_reads(model, example)) == layers - left_out


def test_a_batch_norm_starts_anew_behind_what_nobody_can_follow():
    layers = [nn.Conv2d(3, 8, 1), nn.Flatten(), nn.BatchNorm1d(32), nn.Linear(32, 2)]
    model = nn.Sequential(*layers).eval()
    model[2].weight.data.fill_(3.0)
    model[2].bias.data.fill_(-1.0)
    read = implied_reads(model, torch.zeros(1, 3, 2, 2))["3"]
    assert read.repeat == 1 and (read.mean == -1).all()
    torch.testing.assert_close(read.covariance, 9 * torch.eye(32).double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_slopes_that_are_learned_in_any_precision(dtype):
    model = nn.Sequential(nn.Linear(2, 3), nn.PReLU(3), nn.Linear(3, 1)).to(dtype)
    read = implied_reads(model, torch.zeros(1, 2, dtype=dtype))["2"]
    assert read.mean.dtype == torch.float64 and torch.isfinite(read.covariance).all()


@pytest.mark.parametrize("mode", [True, False])
def test_a_model_is_given_back_as_it_was(mode):
    model = convnet().train(mode)
    before = copy.deepcopy(model.state_dict())
    implied_reads(model, torch.zeros(1, 3, 8, 8))
    assert all(m.training == mode for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
