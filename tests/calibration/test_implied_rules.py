"""What operations make of moments, by hand and by quadrature."""

import pytest
import torch
from networks import gaussian
from torch import nn

from splinelib.calibration.gaussian import after_activation
from splinelib.calibration.implied import implied_reads
from splinelib.calibration.implied_moments import taps
from splinelib.calibration.neighbours import MOST_TAPS, UNTOLD


def test_zero_padding_is_no_observation():
    """Moments over inputs and positions, one tap and position after the other, by convolutions."""
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
        seen = []
        for row in range(3):
            for column in range(3):
                tap = torch.zeros_like(second.weight)
                tap[:, :, row, column] = second.weight[:, :, row, column] @ root
                seen.append(
                    torch.stack(  # (sources, 4, positions)
                        [
                            nn.functional.conv2d(
                                ones[:, [source]], tap[:, [source]], stride=2, padding=1
                            )[0].flatten(1)
                            for source in range(3)
                        ]
                    )
                )
        seen = torch.stack(seen)
        spread = torch.einsum("tu,tsip,usjp->ij", before.alike, seen, seen) / seen.shape[3]
    torch.testing.assert_close(after.mean, means.mean(1))
    torch.testing.assert_close(after.covariance, spread + torch.cov(means, correction=0))


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


class Turned(nn.Module):
    """A convolution whose output a linear layer reads behind a transposition, in some way."""

    def __init__(self, turn, width):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.turn, self.head = nn.Conv1d(2, 4, 1), turn, nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.turn(torch.relu(self.conv(x))))


@pytest.mark.parametrize(
    ("turn", "width", "by_place"),
    [
        (lambda y: y.flatten(1), 20, False),
        (lambda y: y.transpose(1, 2).flatten(1), 20, True),
        (lambda y: y.permute(0, 2, 1).reshape(-1, 20), 20, True),
        (lambda y: y.movedim(1, 2).transpose(1, 2).flatten(1), 20, False),
        (lambda y: y.transpose(1, 2), 4, False),  # at each place by itself
        (lambda y: y.transpose(1, 2).mean(1), 4, False),
        (lambda y: torch.cat([y.transpose(1, 2), y.transpose(1, 2)], 2)[..., :4], 4, None),
        (lambda y: y.transpose(1, 2).reshape(-1, 4, 5).flatten(1), 20, None),  # a mere jumble
        (lambda y: y.transpose(0, 1).flatten(1).T, 4, None),
    ],
    ids=["plain", "places", "permuted", "back", "last", "mean", "cut", "jumble", "rows"],
)
def test_channels_are_followed_through_transpositions(turn, width, by_place):
    model = Turned(turn, width)
    reads = implied_reads(model, torch.zeros(3, 2, 5))
    assert ("head" in reads) == (by_place is not None)
    if by_place is None:
        return
    read, weight = reads["head"], model.conv.weight.detach().double()[:, :, 0]
    assert (read.by_place, read.repeat) == (by_place, width // 4)
    expected = after_activation(
        model.conv.bias.detach().double(), weight @ weight.T, (0.0,), (0.0, 1.0)
    )
    torch.testing.assert_close(read[:2], expected)
    with torch.no_grad():  # the columns of a channel are those that read it
        marked = model.turn(torch.arange(4.0)[None, :, None].expand(3, 4, 5))
    assert torch.equal(read.channels(torch.arange(width)), marked.reshape(-1, width)[0].long())


def test_what_a_batch_norm_recorded_says_how_alike_neighbours_are():
    """Of moving sums and differences: with sums of variance 3.2 out of 2, neighbours are at 0.6."""
    for between in (nn.Identity(), nn.ReLU()):
        conv, norm = nn.Conv1d(1, 2, 2, bias=False), nn.BatchNorm1d(2)
        conv.weight.data = torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]]])
        model = nn.Sequential(conv, between, norm, nn.Conv1d(2, 1, 1)).eval()
        half = 0.5 - 0.5 / torch.pi  # variance of the ReLU of a normal value
        share = 1.0 if isinstance(between, nn.Identity) else half
        norm.running_var.copy_(torch.tensor([3.2, 0.8]) * share)
        read = implied_reads(model, torch.zeros(1, 1, 9))
        assert read["0"].alike[0, 1].item() == pytest.approx(0.6)
        assert read["3"].alike is None  # one tap
        norm.reset_running_stats()
        assert implied_reads(model, torch.zeros(1, 1, 9))["0"].alike[0, 1].item() == UNTOLD
    assert implied_reads(conv, torch.zeros(1, 1, 9))[""].alike[0, 1].item() == UNTOLD


def test_of_kernels_that_are_very_long_taps_are_taken_as_independent():
    norm, long = nn.BatchNorm1d(1), nn.Conv1d(1, 2, MOST_TAPS + 1, bias=False)
    short = nn.Conv1d(1, 2, 5, bias=False)
    for conv, independent in ((long, True), (short, False)):
        read = implied_reads(nn.Sequential(norm, conv).eval(), torch.zeros(1, 1, 2000))["1"]
        assert (read.alike is None) == independent
