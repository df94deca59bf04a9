"""Nothing that bends or jumps is taken for affine; memory that is written to is followed."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from geometry.checks import check_invariants
from held import Peak
from networks import Calling
from torch import nn

import splinelib as sl
from splinelib.network.trace import record

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
PLANE = sl.Plane.through(*X[:3].double())
UNIT = ((-1, 1), (-1, 1))


class Straight(torch.autograd.Function):
    """The sign, with a gradient as if it were the identity."""

    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


@torch.jit.script
def scripted(h):
    return h.clamp(min=0.0)


@torch.jit.script
def scripted_in_place(h):
    h.clamp_(min=0.0)


def changed_by_a_script(h):
    scripted_in_place(h)
    return h


def view_changed_by_a_script(h):
    scripted_in_place(h[:, :4])
    return h


def written_through_a_view(h):
    out = torch.zeros(len(h), 16, dtype=h.dtype)
    torch.mul(h[:, :8], 2, out=out[:, :8])
    return out


def data_assigned(h):
    g = h * 1
    g.data = F.relu(h)
    return g


LEAVES = {
    "item": lambda h: h * h.sum().item(),
    "float": lambda h: h * float(h[0, 0]),
    "int": lambda h: h * int(h[0, 0]),
    "tolist": lambda h: h + torch.tensor(h.detach().tolist(), dtype=h.dtype),
    "numpy": lambda h: h * torch.from_numpy(h.detach().numpy()),
    "array": lambda h: h + torch.as_tensor(np.asarray(h.detach()) > 0),
    "branch": lambda h: 2 * h if h.mean() > 0 else h,
    "index": lambda h: h * [0.5, *range(16)][h[0].argmax()],
    "contains": lambda h: h if 0.5 in h else -h,
    "equal": lambda h: h if torch.equal(h, h + 1) else -h,
    "largest": lambda h: h * max(h[0]),
    "dlpack": lambda h: h * torch.from_dlpack(h),
}
USES_A_MASK = {
    "one_hot": lambda h: h * F.one_hot(h.argmax(1), 16),
    "indices": lambda h: h + h[torch.arange(len(h)), h.argmax(1)][:, None],
    "slice": lambda h: h[:, : h[0].argmax() + 1].sum(1, keepdim=True) + h,
    "mask index": lambda h: h + h[h > 0].sum(),
    "long": lambda h: h + h.long(),
    "table": lambda h: h + torch.arange(16.0).to(h)[h.argmax(1)][:, None],
    "straight through": Straight.apply,
    "threshold by another": lambda h: torch.where(h > h.flip(1), h, h.flip(1)),
    "scatter": lambda h: h * torch.zeros_like(h).scatter(1, h.argmax(1, keepdim=True), 1.0),
    "float and sum": lambda h: h + (h > 0).to(h.dtype).sum(1, keepdim=True),
    "max index": lambda h: h + h.max(1)[1][:, None],
}
UNSEEN = {
    "script": lambda h: h + scripted(h),
    "script in place": changed_by_a_script,
    "script in place on a view": view_changed_by_a_script,
    "vmap": lambda h: h + torch.vmap(lambda row: row.relu())(h),
    "view of a buffer": written_through_a_view,
    "data": data_assigned,
    "fourier": lambda h: h + torch.fft.fft(h).real,
    "sort": lambda h: h.sort(1)[0],
    "round": lambda h: h.round(),
    "remainder": lambda h: h % 1,
    "random": lambda h: F.dropout(h, 0.5),
    "random constant": lambda h: h * torch.empty(16).bernoulli_(0.5).to(h),
    "shuffled": lambda h: h[:, torch.randperm(16)],
    "random slope": lambda h: F.rrelu(h, training=True),
    "noise": lambda h: h + torch.rand_like(h),
    "dynamic weights": lambda h: F.linear(h[:1], h[:1].expand(16, 16)).expand(len(h), 16),
    "dynamic kernel": lambda h: h + F.conv1d(h[:, None], h[:1, None, :3], padding=1)[:, 0],
    "dynamic norm": lambda h: F.batch_norm(h, torch.zeros(16).to(h), torch.ones(16).to(h), h[0]),
    "dynamic slope": lambda h: F.prelu(h, h[0]),
    "rounded quotient": lambda h: torch.div(h, 2, rounding_mode="floor"),
    "derivative": lambda h: h + torch.func.jvp(torch.relu, (h,), (h,))[1],
    "deep copy": lambda h: F.relu(copy.deepcopy(h.detach())),
    "storage": lambda h: h * torch.tensor(h.detach().untyped_storage().tolist()[0]).to(h),
    "int8": lambda h: h + h.to(torch.int8).to(h.dtype),
    "bits": lambda h: (h.view(torch.int32) & -2).view(h.dtype)[:, :16],
    "set": lambda h: h * torch.zeros_like(h).set_(h.detach()),
    "unpooled": lambda h: F.max_unpool1d(*F.max_pool1d(h, 2, return_indices=True), 2),
}


@pytest.mark.parametrize(
    "function", (LEAVES | USES_A_MASK | UNSEEN).values(), ids=[*LEAVES, *USES_A_MASK, *UNSEEN]
)
def test_what_is_not_affine_is_refused_by_name(function):
    model = Calling(function).eval()
    for refused in (
        lambda: sl.spline_layers(model, X),
        lambda: sl.region_codes(model, X),
        lambda: sl.affine_map(model, X[0]),
        lambda: sl.partition(model, UNIT, PLANE),
    ):
        with pytest.raises(sl.NotPiecewiseAffine, match=r"own forward|module '"):
            refused()
    assert record(model, X, "ignore").activations()


@pytest.mark.parametrize("name", LEAVES)
def test_a_refused_value_says_what_to_write(name):
    model = Calling(LEAVES[name])
    with pytest.raises(sl.NotPiecewiseAffine, match=r"out of torch.*torch\.where.*ignore"):
        sl.spline_layers(model, X)


def part(h):
    h[:, :8].relu_()
    return h


def chunk(h):
    a, b = h.chunk(2, 1)
    a.add_(b)
    return h


def interleaved(h):
    h[:, ::2].mul_(2)
    h[:, 1:4].relu_()
    g = h[:, 3:9]
    h.add_(1)
    return h + F.pad(g, (0, 10))


def transposed(h):
    t = h.view(-1, 4, 4).transpose(1, 2)
    t[:, 0].relu_()
    return h


def statement(h):
    h.relu_()
    F.leaky_relu(h[:, 4:], 0.1, inplace=True)
    return h


def shifted(h):
    out = torch.zeros_like(h)
    out[:, :8] = h[:, 8:]
    out[:, 8:] = F.relu(h[:, :8])
    out[..., 3] = 1.5
    return out


def copied(h):
    h[:, :8].copy_(F.relu(h[:, 8:]))
    return h


def of_data(h):
    h.data[:, :4].clamp_(min=0)
    return h


def into_a_buffer(h):
    out = torch.empty_like(h)
    torch.mul(h, 2, out=out)
    ones = torch.ones(len(h), 16, dtype=h.dtype)
    return F.relu(out) + ones.add_(h).sub_(1)


def into_new_memory(h):
    column = torch.full_like(h, 7).copy_(h[:, :1])
    return F.relu(torch.empty_like(h).copy_(h)) + column + torch.zeros_like(h).copy_(column.abs())


def masked_view(h):
    g = h[:, 2:10]
    g.masked_fill_(g < 0, 0)
    return h / 2


def one_of_a_list(h):
    columns = list(h.unbind(1))
    columns[0].relu_()
    return h + torch.stack(columns, 1)


def swapped(h):
    a, b = h[:, :8].clone(), h[:, 8:].clone()
    h[:, :8], h[:, 8:] = b, a
    return F.relu(h)


def view_of_a_view(h):
    v = h.view(-1, 4, 4)
    u = v[:, 0]
    u[:, :2].relu_()
    u.add_(1)
    return v.flatten(1)


def one_by_one(h):
    out = torch.zeros_like(h)
    for i in range(16):
        out[:, i] = h[:, i] * (i + 1)
    return F.relu(out)


def squeezed(h):
    g = h[:, None]
    g.squeeze_(1).relu_()
    h[:, :4] = 0
    return h


@torch.inference_mode()
def inferred(h):
    h = h * 1
    h[:, :8].relu_()
    h[:, 3] = 1.5
    F.leaky_relu(h[:, 8:], 0.1, inplace=True)
    return h


IN_PLACE = [
    inferred,
    *(part, chunk, interleaved, transposed, statement, shifted, copied, of_data, into_a_buffer),
    *(into_new_memory, masked_view, one_of_a_list, swapped, view_of_a_view, one_by_one, squeezed),
]


@pytest.mark.parametrize("function", IN_PLACE)
def test_operations_in_place_are_followed_through_views(function):
    model = Calling(function).double().eval()
    x = X.double()
    with torch.no_grad():
        A, b = sl.affine_map(model, x[0])
        torch.testing.assert_close(A @ x[0] + b, model(x[:1])[0])
        near = x[:1] + 1e-9
        torch.testing.assert_close(A @ near[0] + b, model(near)[0], rtol=0, atol=1e-14)
        found = sl.partition(model, UNIT, PLANE)
        assert found.outputs == pytest.approx(model(PLANE(found.vertices)).numpy(), abs=1e-13)
        assert found.codes.distance(sl.region_codes(model, PLANE(found.centroids))) == 0
    check_invariants(found)


READ = {
    "constants like it": lambda h: h + torch.zeros_like(h) + h.new_ones(len(h), 16),
    "largest": lambda h: h - h.amax(1, keepdim=True),
    "largest, with its index": lambda h: h + h.max(1)[0][:, None],
    "softshrink": lambda h: F.softshrink(h, 0.3),
    "gather": lambda h: h.gather(1, torch.arange(15, -1, -1).expand(len(h), -1)),
    "tile": lambda h: h.tile(1, 2)[:, 4:20],
    "repeat_interleave": lambda h: h.repeat_interleave(2, 1)[:, :16],
    "instance norm": lambda h: F.instance_norm(
        h[:, :, None], torch.ones(16).to(h), torch.full((16,), 2.0).to(h), use_input_stats=False
    )[:, :, 0],
    "baddbmm": lambda h: torch.baddbmm(
        h.new_ones(1, 1, 4), h.view(-1, 4, 4)[:, :1], h.new_ones(len(h), 4, 4)
    ).repeat(1, 1, 4)[:, 0],
    "constant mask": lambda h: torch.where(torch.arange(16) > 7, h, 2.0),
    "shapes": lambda h: h * h.shape[1] + len(h[0]) * h.new_tensor(1.0),
    "finite": lambda h: h if torch.isfinite(h).all() else -h,
    "printed": lambda h: (f"{h.sum():.2f}", repr(h), h)[2],
    "mask of nothing": lambda h: (h > 0, h.argmax(1), h)[2],
    "constant type": lambda h: h * torch.ones(16).type_as(h),
    "divided": lambda h: h.div_(2),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_piecewise_affine_is_read(name):
    model = Calling(READ[name]).double().eval()
    x = X.double()
    with torch.no_grad():
        A, b = sl.affine_map(model, x[0])
        torch.testing.assert_close(A @ x[0] + b, model(x[:1])[0])
        found = sl.partition(model, UNIT, PLANE)
        assert found.outputs == pytest.approx(model(PLANE(found.vertices)).numpy(), abs=1e-13)
        assert found.codes.distance(sl.region_codes(model, PLANE(found.centroids))) == 0


def test_half_precision_in_between_is_read_for_codes_only():
    model = Calling(lambda h: h.bfloat16().to(h.dtype)).eval()
    assert len(sl.region_codes(model, X).layers) == 1
    with pytest.raises(sl.NotPiecewiseAffine, match="precision"):
        sl.partition(model, UNIT, PLANE)


def test_gradients_that_are_stopped_do_not_change_the_map():
    model = Calling(lambda h: h + (F.relu(h) - h).detach() + h.data).double().eval()
    A, b = sl.affine_map(model, X[0].double())
    near = X[:1].double() + 1e-7
    torch.testing.assert_close(A @ near[0] + b, model(near)[0], rtol=0, atol=1e-12)


def test_largest_values_of_images_and_sequences():
    class Points(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.out(F.relu(self.conv(x)).amax((2, 3)))

    torch.manual_seed(0)
    model, images = Points().double().eval(), torch.randn(3, 1, 5, 5).double()
    found = sl.partition(model, UNIT, sl.Plane.through(*images))
    check_invariants(found)
    with torch.no_grad():
        assert found.outputs == pytest.approx(
            model(sl.Plane.through(*images)(found.vertices)).numpy(), abs=1e-12
        )
    assert [layer.kind for layer in sl.spline_layers(model, images)] == ["relu", "max_pool"]
    assert len(sl.region_codes(model, images).layers) == 2


class Forgetful(nn.Module):
    """A constant takes the place of a tensor of the run that is gone."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 30_000), nn.Linear(30_000, 3)

    def forward(self, x):
        for _ in range(20):
            h = self.first(x)
            y = self.last(h.relu())
            del h
            constants = [torch.full((len(x), 30_000), 2.0) for _ in range(20)]
            x = x + y[:, :1] + sum(constant[:, :4].exp() for constant in constants)
        return y


def test_what_takes_the_place_of_a_tensor_that_is_gone_is_not_taken_for_it():
    model, x = Forgetful(), X[:3]
    codes = sl.region_codes(model, x)  # an exponential of a constant is no problem
    with torch.no_grad():
        assert codes.count_regions() == len({tuple(model(row[None])[0].tolist()) for row in x})


def test_a_run_that_is_recorded_holds_no_more_than_another():
    """All tensors were kept: 10 GB for a video transformer."""
    layers = [layer for _ in range(30) for layer in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())]
    model, x = nn.Sequential(nn.Conv2d(3, 8, 1), *layers).eval(), torch.randn(3, 3, 64, 64)
    most = []
    for run in (model, lambda x: record(model, x)):
        with Peak() as peak, torch.no_grad():
            run(x)
        most.append(peak.most)
    assert most[1] < 1.5 * most[0]
