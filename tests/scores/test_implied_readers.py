"""What readers see, as the weights imply it."""

import pytest
import torch
from networks import block_of, convnet, gaussian, grouped, linear_net
from torch import nn

from splinelib.calibration.implied_moments import Implied
from splinelib.channels.groups import find_groups
from splinelib.channels.layout import Layout
from splinelib.scores.implied_readers import implied_readers, layout_reads, reads_of_blocks


def readers_of(model, example):
    layout = find_groups(model, example)
    return implied_readers(model, layout, layout_reads(model, layout))


def test_a_linear_reader_by_hand():
    model = linear_net([[3, 4], [5, 12]], [[1, 2], [0, 1]])
    (reader,) = readers_of(model, gaussian(1, 2))["0"]
    size = torch.tensor([5.0, 13.0]).double()
    # A ReLU of a centred Gaussian of deviation s has mean s / sqrt(2 pi), mean square s^2 / 2.
    mean = size / (2 * torch.pi) ** 0.5
    torch.testing.assert_close(reader.mean, mean)
    torch.testing.assert_close(reader.gram.diagonal(), size**2 / 2 - mean**2)
    assert reader.outgoing.tolist() == [[1.0, 2.0], [2.0, 5.0]]
    weight = model[2].weight.detach()
    assert reader.energy == pytest.approx((weight @ reader.gram @ weight.T).trace().item())


def test_a_batch_norm_behind_a_reader_scales_its_rows():
    model = convnet()
    before = readers_of(model, torch.zeros(1, 3, 8, 8))["0"][0]
    model[4].weight.data *= 2
    after = readers_of(model, torch.zeros(1, 3, 8, 8))["0"][0]
    torch.testing.assert_close(after.outgoing, 4 * before.outgoing)
    torch.testing.assert_close(after.gram, before.gram)


def test_places_behind_a_flatten_are_observations_of_their_channel():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 4))
    (reader,) = readers_of(model, torch.zeros(1, 3, 8, 8))["0"]
    assert reader.gram.shape == reader.outgoing.shape == (5, 5)
    rows = model[3].weight.detach().double().reshape(4, 5, 36)
    torch.testing.assert_close(reader.outgoing, torch.einsum("oip,ojp->ij", rows, rows))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, x):
        x = self.a(x)
        return self.b(x * x.sigmoid())


def test_what_cannot_be_followed_is_taken_to_have_nothing_in_common():
    model = Gated().double()
    model.a.weight.data = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]]).double()
    (reader,) = readers_of(model, gaussian(1, 2))["a"]
    assert reader.gram.tolist() == torch.tensor([25.0, 4.0, 1.0]).diag().tolist()


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(12, 5, 1)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        return self.c(torch.cat([a * a.sigmoid(), b.relu()], 1)).mean((2, 3))


def test_behind_a_concatenation_each_slice_is_its_own():
    readers = readers_of(Branches(), torch.zeros(1, 3, 2, 2))
    assert {name: len(reader[0].mean) for name, reader in readers.items()} == {"a": 8, "b": 4}


def test_a_depthwise_layer_goes_with_its_units_and_does_not_read_them():
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU()),
        *(nn.Conv2d(8, 4, 1), nn.Flatten()),
    )
    (readers,) = readers_of(model, torch.zeros(1, 3, 3, 3)).values()
    (reader,) = readers
    weight = model[4].weight.detach().double().flatten(1)
    torch.testing.assert_close(reader.outgoing, weight.T @ weight)


def test_blocks_of_a_grouped_convolution_are_readers_like_layers_of_their_own():
    model, example = grouped(read=3, made=4, blocks=2), torch.zeros(1, 3, 4, 4)
    found = readers_of(model, example)["0"]
    alone = [
        readers_of(nn.Sequential(*block_of(model, block), nn.Flatten()), example)["0"][0]
        for block in (0, 1)
    ]
    for reader, other in zip(found, alone, strict=True):
        for one, two in zip(reader[:3], other[:3], strict=True):
            torch.testing.assert_close(one, two)
        assert reader.energy == pytest.approx(sum(each.energy for each in alone))


def test_a_grouped_convolution_that_reads_what_nobody_can_follow_sees_each_unit_for_itself():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = grouped(read=2, made=2, blocks=2)[:3]

        def forward(self, x):
            h = self.net[0](x)
            return self.net[2](h * h.sigmoid()).mean((2, 3))

    model = Gated()
    model.net[0].weight.data = torch.tensor([[3.0, 4, 0], [1, 0, 0], [0, 0, 2], [0, 1, 0]])[
        ..., None, None
    ]
    one, other = readers_of(model, torch.zeros(1, 3, 4, 4))["net.0"]
    # position 0 of both blocks: 9 + 16 + 4, position 1: 1 + 1
    assert one.gram.tolist() == other.gram.tolist() == [[29.0, 0.0], [0.0, 2.0]]
    assert not torch.equal(one.outgoing, other.outgoing)


def test_reads_of_blocks_are_slices():
    mean, covariance = torch.arange(4.0).double(), torch.arange(16.0).double().view(4, 4)
    one, other = reads_of_blocks(Implied(mean, covariance, repeat=1), 2)
    assert one.mean.tolist() == [0, 1] and other.mean.tolist() == [2, 3]
    assert one.covariance.tolist() == [[0, 1], [4, 5]]
    assert other.covariance.tolist() == [[10, 11], [14, 15]]


def test_a_layout_made_by_hand_is_refused():
    model = linear_net([[3, 4], [5, 12]], [[1, 2]])
    found = find_groups(model, gaussian(1, 2))
    layout = Layout(found.groups, found.order, found.batch_norms, found.fixed, found.sizes)
    with pytest.raises(ValueError, match=r"holds no example.*find_groups"):
        layout_reads(model, layout)
