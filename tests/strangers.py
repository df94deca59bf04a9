"""Networks that people bring: oddly built ones, most of them after public bug reports."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from networks import alive
from torch import nn
from torch.utils.checkpoint import checkpoint


def conv_bn(i, o, k=3, stride=1, groups=1, act=nn.ReLU):
    layers = [nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Lambda(nn.Module):
    """A function between layers."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def rows(*width, n=6):
    return torch.randn(n, *width, generator=torch.Generator().manual_seed(5))


def maps(channels=3, size=8, n=4):
    return rows(channels, size, size, n=n)


class GatedLinear(nn.Module):
    """GLU, GEGLU, SwiGLU: one layer makes both halves of a product."""

    def __init__(self, halves):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 64), nn.Linear(32, 24), nn.Linear(24, 5)
        self.halves = halves

    def forward(self, x):
        return self.c(F.relu(self.b(self.halves(self.a(x)))))


class Fitting(nn.Module):
    """A shortcut that is added where its shape fits."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 20), nn.Linear(20, 10), nn.Linear(10, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        y = F.relu(self.b(x))
        return self.c(x + y if x.shape == y.shape else y)


class Force(nn.Module):
    """The slope of an energy, as networks of molecules give: the forward itself takes gradients."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 24), nn.Linear(24, 16), nn.Linear(16, 1)

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            energy = self.c(F.silu(self.b(F.silu(self.a(x)))))
            return torch.autograd.grad(energy.sum(), x)[0]


def by_chunk(h):
    a, g = h.chunk(2, -1)
    return a * F.gelu(g)


def by_split(h):
    a, g = h.split(h.shape[-1] // 2, -1)
    return torch.tanh(a) * torch.sigmoid(g)


def by_slices(h):
    half = h.shape[-1] // 2
    return h[..., :half] * torch.sigmoid(h[..., half:])


def by_maxout(h):
    return torch.maximum(*h.chunk(2, -1))


def by_pairs(h):
    return h.view(len(h), h.shape[1] // 2, 2).amax(-1)


def by_every_other(h):
    return h[:, ::2] * torch.sigmoid(h[:, 1::2])


class GatedConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(3, 32, 3), nn.Conv1d(16, 12, 3), nn.Linear(12, 5)

    def forward(self, x):
        return self.c(F.relu(self.b(F.glu(self.a(x), 1))).mean(2))


class SimpleGate(nn.Module):
    """NAFNet's block, with a depthwise convolution and a bare scale."""

    def __init__(self, c=16):
        super().__init__()
        self.intro, self.expand = nn.Conv2d(3, c, 3, padding=1), nn.Conv2d(c, 2 * c, 1)
        self.depthwise = nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.project, self.ending = nn.Conv2d(c, c, 1), nn.Conv2d(c, 3, 3, padding=1)
        self.beta = nn.Parameter(torch.linspace(0.5, 1.5, c).view(1, c, 1, 1))

    def forward(self, x):
        y = self.intro(x)
        a, b = self.depthwise(self.expand(y)).chunk(2, dim=1)
        return x + self.ending(y + self.beta * self.project(a * b))


class Equalised(nn.Linear):
    """Equalised learning rate: the weight is scaled on its way."""

    def forward(self, x):
        return F.linear(x, self.weight * self.weight.shape[1] ** -0.5, self.bias)


class Two(nn.Module):
    def __init__(self, pack):
        super().__init__()
        self.first, self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 32), nn.Linear(32, 5)
        self.pack = pack

    def forward(self, x):
        f = F.relu(self.a(F.relu(self.first(x))))
        return self.pack(self.b(f), f)


@dataclass
class Out:
    logits: torch.Tensor
    features: torch.Tensor | None = None
    loss: torch.Tensor | None = None


class SmallBranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 256), nn.Linear(256, 16), nn.Linear(16, 5)

    def forward(self, x):
        return self.c(x + 0.1 * self.b(F.layer_norm(F.relu(self.a(x)), (256,))))


class MeanGate(nn.Module):
    def __init__(self, channels=256):
        super().__init__()
        self.a, self.g = nn.Linear(8, 32), nn.Linear(8, channels)
        self.c = nn.Linear(32, 5)

    def forward(self, x):
        return self.c(F.relu(self.a(x)) * torch.sigmoid(F.relu(self.g(x)).mean(1, keepdim=True)))


class SpatialGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.feature = conv_bn(3, 16), conv_bn(16, 32)
        self.gate, self.after = nn.Conv2d(16, 1, 3, padding=1), conv_bn(32, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.after(torch.sigmoid(self.gate(x)) * self.feature(x)).mean((2, 3)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 32 * 16)
        self.up1 = nn.ConvTranspose2d(32, 24, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(24, 12, 4, stride=2, padding=1)
        self.out = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, z):
        x = F.relu(self.fc(z)).view(-1, self.up1.in_channels, 4, 4)
        return self.out(F.relu(self.up2(F.relu(self.up1(x)))))


class SuperResolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(*[nn.Conv2d(16, 16, 3, padding=1) for _ in range(2)])
        self.up, self.shuffle = nn.Conv2d(16, 32, 3, padding=1), nn.PixelShuffle(2)
        self.tail = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.head(x))
        for conv in self.body:
            x = x + F.relu(conv(x))
        return self.tail(F.relu(self.shuffle(self.up(x))))


class PartialConvolution(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.sizes = [dim // 4, dim - dim // 4]
        self.stem, self.head = conv_bn(3, dim), nn.Linear(dim, 5)
        self.part = nn.Conv2d(dim // 4, dim // 4, 3, padding=1, bias=False)
        self.mlp = nn.Sequential(conv_bn(dim, 2 * dim, 1), nn.Conv2d(2 * dim, dim, 1))

    def forward(self, x):
        x = self.stem(x)
        a, b = torch.split(x, self.sizes, dim=1)  # sizes kept as integers
        return self.head((x + self.mlp(torch.cat([self.part(a), b], dim=1))).mean((2, 3)))


class Bottleneck(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = conv_bn(c, c, act=nn.SiLU), conv_bn(c, c, act=nn.SiLU)

    def forward(self, x):
        return x + self.b(self.a(x))


class C2f(nn.Module):
    """A block of YOLOv8."""

    def __init__(self, i, o, n=2):
        super().__init__()
        c = o // 2
        self.cv1 = conv_bn(i, 2 * c, 1, act=nn.SiLU)
        self.cv2 = conv_bn((2 + n) * c, o, 1, act=nn.SiLU)
        self.m = nn.ModuleList(Bottleneck(c) for _ in range(n))

    def forward(self, x):
        y = list(self.cv1(x).chunk(2, 1))
        y.extend(m(y[-1]) for m in self.m)
        return self.cv2(torch.cat(y, 1))


def yolo():
    return nn.Sequential(
        *(conv_bn(3, 16, stride=2, act=nn.SiLU), C2f(16, 24), conv_bn(24, 16, act=nn.SiLU)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)),
    )


class ChannelAttention(nn.Module):
    """CBAM: a gate for each channel, and one for each place from means over the channels."""

    def __init__(self, c=64):
        super().__init__()
        self.a, self.d, self.e = nn.Conv2d(3, c, 3, padding=1), nn.Linear(c, 8), nn.Linear(8, c)
        self.place, self.b = nn.Conv2d(2, 1, 3, padding=1), nn.Conv2d(c, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.a(x)
        x = x * torch.sigmoid(self.e(F.relu(self.d(x.mean((2, 3))))))[..., None, None]
        spread = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = x * torch.sigmoid(self.place(spread))
        return self.head(F.relu(self.b(x)).mean((2, 3)))


class NeighbourAttention(nn.Module):
    """ECA: a convolution over the channels makes their gates."""

    def __init__(self, c=32):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, c, 3, padding=1), nn.Conv2d(c, c, 3, padding=1)
        self.k, self.head = nn.Conv1d(1, 1, 3, padding=1, bias=False), nn.Linear(c, 5)

    def forward(self, x):
        x = F.relu(self.a(x))
        gate = self.k(x.mean((2, 3))[:, None])[:, 0]
        return self.head(F.relu(self.b(x * torch.sigmoid(gate)[..., None, None])).mean((2, 3)))


class PaddedShortcut(nn.Module):
    """A ResNet of option A: the shortcut is strided, and zero channels are put beside it."""

    def __init__(self):
        super().__init__()
        self.stem, self.c1, self.c2 = conv_bn(3, 16), conv_bn(16, 32, stride=2), conv_bn(32, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.stem(x)
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))
        return self.head((self.c2(self.c1(x)) + short).mean((2, 3)))


class RowByRow(nn.Module):
    """Each channel is brought to a row of its own, where all share a kernel or a pooling."""

    def __init__(self, step):
        super().__init__()
        self.a, self.b, self.h = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 12, 3), nn.Linear(12, 5)
        self.step = step

    def forward(self, x):
        x = F.relu(self.a(x))
        n, c, *size = x.shape
        x = self.step(x.reshape(n * c, 1, *size))
        return self.h(F.relu(self.b(x.view(n, c, *x.shape[2:]))).mean((2, 3)))


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, x):
        return x * self.scale


def with_a_shared_buffer():
    scale = torch.linspace(0.5, 1.5, 16)
    return nn.Sequential(
        *(nn.Linear(8, 16), Scaled(scale), nn.ReLU(), nn.Linear(16, 16), Scaled(scale)),
        *(nn.ReLU(), nn.Linear(16, 3)),
    )


class TiedByAList(nn.Module):
    """The decoder has the encoder's weight, in a list, so that it is no parameter of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.m = nn.Linear(10, 20), nn.Linear(20, 20)
        self.tied = [self.a.weight]

    def forward(self, x):
        return F.relu(self.m(F.relu(self.a(x)))) @ self.tied[0]


class Ported(nn.Module):
    """Ported from TensorFlow: the map is turned before it is flattened."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3)
        self.fc, self.out = nn.Linear(12 * 16, 20), nn.Linear(20, 3)

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x)))).permute(0, 3, 2, 1).contiguous()
        return self.out(F.relu(self.fc(x.view(x.shape[0], -1))))


class Gram(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.first, self.a = nn.Conv2d(3, 6, 3), nn.Conv2d(6, c, 3)
        self.h = nn.Linear(c * c, 5)

    def forward(self, x):
        f = F.relu(self.a(F.relu(self.first(x)))).flatten(2)
        return self.h((f @ f.transpose(1, 2)).flatten(1))


class Mixer(nn.Module):
    """MLP-Mixer: channels along one axis, tokens along another."""

    def __init__(self, c=16, t=16):
        super().__init__()
        self.embed = nn.Conv2d(3, c, 2, stride=2)
        self.t1, self.t2 = nn.Linear(t, 24), nn.Linear(24, t)
        self.c1, self.c2 = nn.Linear(c, 40), nn.Linear(40, c)
        self.head = nn.Linear(c, 5)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.t2(F.relu(self.t1(x.transpose(1, 2)))).transpose(1, 2)
        return self.head((x + self.c2(F.relu(self.c1(x)))).mean(1))


class Auxiliary(nn.Module):
    """A head that runs in training only."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv_bn(3, 16), conv_bn(16, 24)
        self.aux, self.head = nn.Linear(16, 5), nn.Linear(24, 5)

    def forward(self, x):
        x = self.a(x)
        out = self.head(self.b(x).mean((2, 3)))
        return (out, self.aux(x.mean((2, 3)))) if self.training else out


class BareWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.c = nn.Linear(8, 24), nn.Linear(16, 5)
        self.w = nn.Parameter(torch.randn(24, 16, generator=torch.Generator().manual_seed(3)) / 5)

    def forward(self, x):
        return self.c(F.relu(F.relu(self.a(x)) @ self.w))


class FrozenNorm(nn.Module):
    """Batch norm as arithmetic on buffers, as detection backbones have it."""

    def __init__(self, n):
        super().__init__()
        self.register_buffer("weight", torch.linspace(0.5, 1.5, n))
        self.register_buffer("bias", torch.linspace(-0.3, 0.3, n))
        self.register_buffer("running_mean", torch.linspace(-0.1, 0.2, n))
        self.register_buffer("running_var", torch.linspace(0.5, 2, n))

    def forward(self, x):
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = conv_bn(3, 16), nn.Linear(16, 5)
        self.block = nn.Sequential(conv_bn(16, 32), conv_bn(32, 16))

    def forward(self, x):
        x = self.stem(x)
        x = x + checkpoint(self.block, x, use_reentrant=True)
        return self.head(x.mean((2, 3)))


class ByHand(nn.Module):
    """Layers whose weights are used without calling them."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 24), nn.Linear(24, 16), nn.Linear(16, 5)

    def forward(self, x):
        h = F.relu(F.linear(F.relu(self.a(x)), self.b.weight, self.b.bias))
        return self.c(h)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.m = nn.Linear(8, 16), nn.MultiheadAttention(16, 4, batch_first=True)
        self.up, self.down, self.c = nn.Linear(16, 40), nn.Linear(40, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.a(x)
        x = x + self.m(x, x, x, need_weights=False)[0]
        return self.c((x + self.down(F.relu(self.up(x)))).mean(1))


class NormedStream(nn.Module):
    """A residual stream that each branch reads through a layer norm, with a scale behind it."""

    def __init__(self):
        super().__init__()
        self.a, self.n, self.m = nn.Linear(8, 16), nn.LayerNorm(16), nn.LayerNorm(16, bias=False)
        self.up, self.down, self.c = nn.Linear(16, 40), nn.Linear(40, 16), nn.Linear(16, 5)
        self.scale = nn.Parameter(torch.linspace(0.5, 1, 16))
        with torch.no_grad():
            self.n.weight.copy_(torch.linspace(0.5, 2, 16))
            self.n.bias.copy_(torch.linspace(-1, 1, 16))

    def forward(self, x):
        x = self.a(x)
        x = x + self.scale * self.down(F.gelu(self.up(self.n(x))))
        return self.c(self.m(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.r = nn.Linear(8, 16), nn.LSTM(16, 12, batch_first=True)
        self.b, self.c = nn.Linear(12, 10), nn.Linear(10, 5)

    def forward(self, x):
        return self.c(F.relu(self.b(self.r(F.relu(self.a(x)))[0][:, -1])))


class ThroughNumpy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 24), nn.Linear(24, 16), nn.Linear(16, 5)

    def forward(self, x):
        h = F.relu(self.b(F.relu(self.a(x))))
        return self.c(torch.from_numpy(h.detach().numpy().copy()))


class FillsInPlace(nn.Module):
    """Two layers write into one tensor that the network makes."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.mid = nn.Linear(8, 10), nn.Linear(8, 6), nn.Linear(16, 12)
        self.c = nn.Linear(12, 5)

    def forward(self, x):
        h = x.new_zeros(len(x), 16)
        h[:, :10] = F.relu(self.a(x))
        h[:, 10:] = F.relu(self.b(x))
        return self.c(F.relu(self.mid(h)))


def dense(*between, width=32):
    """A layer, what stands between, and two layers more, of which the first is prunable."""
    return nn.Sequential(
        *(nn.Linear(16, width), *between, nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, 5))
    )


def convolutions(*between, width=32):
    return nn.Sequential(
        *(nn.Conv2d(3, width, 3, padding=1), *between, nn.Conv2d(width, 12, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
    )


# name -> (network, its input, units of each group)
PRUNABLE = {
    "glu by chunk": (lambda: GatedLinear(by_chunk), rows(16), {"a": 32, "b": 24}),
    "glu by split": (lambda: GatedLinear(by_split), rows(16), {"a": 32, "b": 24}),
    "glu by slices": (lambda: GatedLinear(by_slices), rows(16), {"a": 32, "b": 24}),
    "maxout of halves": (lambda: GatedLinear(by_maxout), rows(16), {"a": 32, "b": 24}),
    "maxout of pairs": (lambda: GatedLinear(by_pairs), rows(16), {"a": 32, "b": 24}),
    "every other": (lambda: GatedLinear(by_every_other), rows(16), {"a": 32, "b": 24}),
    "gated convolution": (GatedConvolution, rows(3, 12), {"a": 16, "b": 12}),
    "a slope": (Force, rows(6), {"a": 24, "b": 16}),
    "simple gate": (SimpleGate, maps(size=12), {"intro": 16, "expand": 16}),
    "flip": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: h.flip(1)), width=15),
        *(rows(16), {"0": 15, "3": 12}),
    ),
    "flip and add": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: h + 0.5 * h.flip(1)), width=16),
        *(torch.zeros(4, 16), {"0": 8, "3": 12}),
    ),
    "spatial gate": (SpatialGate, maps(), {"stem.0": 16, "feature.0": 32, "after.0": 16}),
    "transposed": (Decoder, rows(20), {"fc": 32, "up1": 24, "up2": 12}),
    "pixel shuffle": (SuperResolution, maps(size=10), {"head": 16, "up": 8}),
    "yolo": (
        *(yolo, maps(size=16)),
        {"0.0": 16, "1.cv1.0": 12, "1.m.0.a.0": 12, "1.m.1.a.0": 12, "1.cv2.0": 24, "2.0": 16},
    ),
    "ported": (Ported, maps(), {"a": 8, "b": 12, "fc": 20}),
    "mixer": (Mixer, maps(), {"embed": 16, "t1": 24, "c1": 40}),
    "auxiliary head": (Auxiliary, maps(), {"a.0": 16, "b.0": 24}),
    "bare weight": (BareWeight, rows(8), {"a": 24}),
    "frozen norm": (lambda: convolutions(FrozenNorm(32), nn.ReLU()), maps(), {"0": 32, "3": 12}),
    "frozen backbone": (
        lambda: convolutions(nn.ReLU()).requires_grad_(False),
        *(maps(), {"0": 32, "2": 12}),
    ),
    "checkpointed": (Checkpointed, maps(), {"stem.0": 16, "block.0.0": 32}),
    "weights by hand": (ByHand, rows(8), {"a": 24}),
    "unfold": (
        lambda: convolutions(
            nn.ReLU(),
            nn.Unfold(2),
            Lambda(lambda h: h.unflatten(1, (-1, 2, 2))[:, :, 0, 0]),
            Lambda(lambda h: h.unflatten(2, (7, 7))),
        ),
        *(maps(), {"0": 32, "5": 12}),
    ),
    "instance norm": (
        lambda: convolutions(nn.InstanceNorm2d(32), nn.ReLU()),
        *(maps(), {"0": 32, "3": 12}),
    ),
    "group norm": (
        lambda: convolutions(nn.GroupNorm(4, 32), nn.ReLU()),
        *(maps(), {"0": 8, "3": 12}),
    ),
    "group norm over all": (
        lambda: convolutions(nn.GroupNorm(1, 32, affine=False), nn.ReLU()),
        *(maps(), {"0": 32, "3": 12}),
    ),
    "layer norm": (
        lambda: dense(nn.ReLU(), nn.LayerNorm(32), nn.Dropout()),
        *(rows(16), {"0": 32, "4": 12}),
    ),
    "layer norm without parameters": (
        lambda: dense(nn.LayerNorm(32, elementwise_affine=False)),
        *(rows(16), {"0": 32, "2": 12}),
    ),
    "attention": (Attention, rows(7, 8), {"a": 16, "m.in_proj": 4, "up": 40}),
    "stream behind layer norms": (NormedStream, rows(5, 8), {"a": 16, "up": 40}),
    "blurred row by row": (
        lambda: RowByRow(lambda x: F.conv2d(x, torch.ones(1, 1, 3, 3) / 9, padding=1)),
        *(maps(), {"a": 16, "b": 12}),
    ),
    "pooled row by row": (
        lambda: RowByRow(lambda x: F.avg_pool2d(x, 2)),
        *(maps(size=10), {"a": 16, "b": 12}),
    ),
    "a shared buffer": (with_a_shared_buffer, rows(8), {"0": 16}),
    "tied by a list": (TiedByAList, rows(10), {"a": 20}),
    "three axes": (
        lambda: nn.Sequential(
            *(nn.Conv3d(1, 6, 2), nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 4, 2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(4 * 8, 3)),
        ),
        *(rows(1, 4, 4, 4), {"0": 6, "3": 4}),
    ),
    "dense by einsum": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: torch.einsum("nc,nc->nc", h, h.sigmoid()))),
        *(rows(16), {"0": 32, "3": 12}),
    ),
    "cosine": (
        lambda: dense(Lambda(lambda h: F.normalize(h, dim=1))),
        *(rows(16), {"0": 32, "2": 12}),
    ),
    "repeated": (
        lambda: nn.Sequential(
            *(nn.Linear(16, 12), nn.ReLU(), Lambda(lambda h: h.repeat(1, 2)), nn.Linear(24, 9)),
            *(nn.ReLU(), nn.Linear(9, 5)),
        ),
        *(rows(16), {"0": 12, "3": 9}),
    ),
}

# name -> (network, its input, units of each group, layer that stays, words of the reason)
FIXED = {
    "group norm of one": (
        lambda: convolutions(nn.GroupNorm(32, 32), nn.ReLU()),
        *(maps(), {"3": 12}, "0", "as many groups as channels, and counts them"),
    ),
    "softmax": (
        lambda: dense(nn.Softmax(1), width=256),
        rows(16),
        {"2": 12},
        "0",
        "'softmax' in '1'",
    ),
    "functional layer norm": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: F.layer_norm(h, h.shape[1:])), width=512),
        *(rows(16), {"3": 12}, "0", "'layer_norm' in '2'"),
    ),
    "local response": (
        lambda: convolutions(nn.ReLU(), nn.LocalResponseNorm(5), width=64),
        *(maps(), {"3": 12}, "0", "LocalResponseNorm"),
    ),
    "equalised": (
        lambda: nn.Sequential(
            *(Equalised(16, 64), nn.ReLU(), Equalised(64, 32), nn.ReLU(), Equalised(32, 5))
        ),
        *(rows(16), {}, "0", "differ"),
    ),
    "small branch": (SmallBranch, rows(16), {}, "a", "'layer_norm' in the model's own forward"),
    "mean gate": (MeanGate, rows(8), {"a": 32}, "g", "'mean' in the model's own forward"),
    "partial": (
        *(PartialConvolution, maps(size=12), {"part": 8, "mlp.0.0": 64}),
        *("stem.0", "into parts of fixed sizes (8, 24)"),
    ),
    "channel attention": (ChannelAttention, maps(), {"d": 8, "b": 32}, "a", "'mean'"),
    "neighbour attention": (NeighbourAttention, maps(), {"b": 32}, "a", "'convolution' in 'k'"),
    "padded shortcut": (
        *(PaddedShortcut, maps(), {"stem.0": 16, "c1.0": 32}),
        *("c2.0", "joined with channels that no prunable layer makes"),
    ),
    "gram": (Gram, maps(), {"first": 6}, "a", "tied to each other"),
    "recurrent": (Recurrent, rows(5, 8), {"b": 10}, "a", "'r' (LSTM)"),
    "numpy": (ThroughNumpy, rows(8), {"a": 24}, "b", "no layer reads it"),
    "filled in place": (FillsInPlace, rows(8), {"mid": 12}, "a", "to a fixed place"),
    "roll": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: h.roll(1, 1))),
        *(rows(16), {"3": 12}, "0", "'roll' in '2' (Lambda) shifts"),
    ),
    "picked": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: h[:, torch.arange(31, -1, -1)])),
        *(rows(16), {"3": 12}, "0", "picks its channels by their number"),
    ),
    "features first": (
        lambda: Two(lambda logits, f: (logits, f)),
        *(rows(8), {"first": 12}, "a", "outputs of the network"),
    ),
    "as many rows as channels": (
        lambda: Two(lambda logits, f: (logits, torch.linspace(0, 1, f.shape[1])[:, None])),
        *(rows(8), {"first": 12}, "a", "instead of (32, 1)"),
    ),
    "complex numbers that count": (
        lambda: Two(lambda logits, f: (logits, torch.complex(logits * 0, logits + f.shape[1]))),
        *(rows(8), {"first": 12}, "a", "outputs differ by"),
    ),
    "features in a dict": (
        lambda: Two(lambda logits, f: {"loss": None, "logits": logits, "saliency": f.mean(1)}),
        *(rows(8), {"first": 12}, "a", "'mean'"),
    ),
    "features in a dataclass": (
        lambda: Two(Out),
        *(rows(8), {"first": 12}, "a", "outputs of the network"),
    ),
    "features in a list": (
        lambda: Two(lambda logits, f: [{"n": 3, "y": logits}, None, (f,)]),
        *(rows(8), {"first": 12}, "a", "outputs of the network"),
    ),
    "sorted": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: h.sort(1).values)),
        *(rows(16), {"3": 12}, "0", "'sort'"),
    ),
    "fourier": (
        lambda: dense(nn.ReLU(), Lambda(lambda h: torch.fft.fft(h).real)),
        *(rows(16), {"3": 12}, "0", "does not know this operation"),
    ),
}


def lively(make):
    """The network with batch norms as after training, in evaluation mode."""
    torch.manual_seed(3)
    return alive(make()).eval()
