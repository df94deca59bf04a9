"""Networks and inputs that several tests need."""

import itertools

import torch
import torch.nn.functional as F
import torchvision
from hypothesis import strategies as st
from torch import nn

from splinelib.network.trace import record


def small(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(5, 7, 3), nn.ReLU(), nn.Flatten(), nn.Linear(28, outputs)),
    )


SHAPES = [(1,), (64,), (67,), (5, 3, 3), (6, 4, 4), (40, 8, 8), (2, 4, 6, 2)]


def tensors():
    """Pre-activations of all shapes, types and memory formats, some of them exactly zero."""
    generator = torch.Generator().manual_seed(0)
    for shape, dtype in itertools.product(SHAPES, (torch.float32, torch.bfloat16)):
        z = torch.randn(2, *shape, generator=generator).to(dtype)
        z[torch.rand(z.shape, generator=generator) < 0.2] = 0
        yield z
        if len(shape) == 3:
            yield z.contiguous(memory_format=torch.channels_last)
            yield z.flip(0)[..., ::2]  # with gaps
    yield z[:0]


def randomised(model, seed=0):
    """Batch-norm statistics and scales as after training, signs of gamma included."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.data.normal_(0, 1, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
    return model


TORCHVISION = [
    *("vgg11_bn", "resnet18", "resnet50", "mobilenet_v2", "squeezenet1_0", "densenet121"),
    *("googlenet", "resnext50_32x4d", "shufflenet_v2_x0_5", "alexnet"),
]


def torchvision_model(name):
    extra = {"init_weights": False} if name == "googlenet" else {}
    torch.manual_seed(0)
    return getattr(torchvision.models, name)(weights=None, **extra)


def pre_activations(model, x):
    """What every activation of a recorded run receives, by running the graph."""
    graph = record(model, x)
    env, seen = {0: x}, []
    for node in graph.nodes:
        if node.activation is not None:
            seen.append(env[node.activation_inputs[0].index])
        node.run(env, len(x))
    return seen


def linear_net(*weights, dtype=torch.float64):
    """Linear layers without bias, ReLU between them."""
    layers = []
    for weight in weights:
        weight = torch.tensor(weight, dtype=dtype)
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=dtype)
        linear.weight.data.copy_(weight)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def plain_convnet(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 7, 3), nn.ReLU(), nn.Conv2d(7, 4, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * 9, 3)).double().eval()


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alive(model, seed=0):
    """Batch-norm statistics and scales as after training, so that nothing is trivially zero."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def convnet(bias=False, norm=True, seed=0):
    torch.manual_seed(seed)
    parts = []
    for channels, out in ((3, 6), (6, 8), (8, 10)):
        parts += [nn.Conv2d(channels, out, 3, padding=1, bias=bias)]
        parts += [nn.BatchNorm2d(out)] if norm else []
        parts += [nn.ReLU(inplace=True)]
    return alive(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 4)))


def grouped(read=3, made=4, blocks=2, seed=0):
    """A grouped convolution between others: blocks that read and make so many channels."""
    torch.manual_seed(seed)
    middle = nn.Conv2d(blocks * read, blocks * made, 3, padding=1, groups=blocks)
    return nn.Sequential(
        *(nn.Conv2d(3, blocks * read, 1), nn.ReLU(), middle, nn.ReLU()),
        *(nn.Conv2d(blocks * made, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(5, 2),
    )


@torch.no_grad()
def block_of(model, block):
    """One block of a `grouped` network, up to what it makes, as a network of its own."""
    first, middle, blocks = model[0], model[2], model[2].groups
    rows, made = first.weight.chunk(blocks)[block], middle.weight.chunk(blocks)[block]
    one = nn.Conv2d(3, len(rows), 1)
    two = nn.Conv2d(len(rows), len(made), 3, padding=1)
    one.weight.copy_(rows)
    one.bias.copy_(first.bias.chunk(blocks)[block])
    two.weight.copy_(made)
    two.bias.copy_(middle.bias.chunk(blocks)[block])
    return nn.Sequential(one, nn.ReLU(), two)


@torch.no_grad()
def with_twins(model, factors=(2.0, 0.5)):
    """The last channel that each block of a `grouped` network reads is its first, with a factor."""
    first, width = model[0], model[2].weight.shape[1]
    for block, factor in enumerate(factors):
        start, end = block * width, (block + 1) * width - 1
        first.weight[end] = factor * first.weight[start]
        first.bias[end] = factor * first.bias[start]
    return model


def dense_mlp(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    layers = [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)]
    return nn.Sequential(*layers).to(dtype).eval()


def images(n=64, size=8, seed=0, dtype=torch.float32):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def network(layers, activation=nn.ReLU):
    """An MLP from a list of (weight rows, biases)."""
    modules = []
    for i, (weight, bias) in enumerate(layers):
        linear = nn.Linear(len(weight[0]), len(weight))
        linear.weight.data = torch.tensor(weight, dtype=torch.float64)
        linear.bias.data = torch.tensor(bias, dtype=torch.float64)
        modules += [linear] if i == len(layers) - 1 else [linear, activation()]
    return nn.Sequential(*modules)


def random_network(widths, seed=0, outputs=1, activation=nn.ReLU):
    """An MLP with two inputs, float32: He-normal weights, biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    modules, fan_in = [], 2
    for width in [*widths, outputs]:
        linear = nn.Linear(fan_in, width)
        linear.weight.data = torch.randn(width, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        linear.bias.data = torch.randn(width, generator=generator) * 0.5
        modules += [linear, activation()]
        fan_in = width
    return nn.Sequential(*modules[:-1])


whole = st.integers(-3, 3)


@st.composite
def integer_networks(draw):
    """Layers for `network` with small whole numbers: lines meet, coincide and run along borders."""
    fan_in, layers = 2, []
    for width in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        rows = st.lists(whole, min_size=fan_in, max_size=fan_in)
        layers.append(
            (
                draw(st.lists(rows, min_size=width, max_size=width)),
                draw(st.lists(whole, min_size=width, max_size=width)),
            )
        )
        fan_in = width
    return [*layers, ([[1] * fan_in], [0])]


class Odd(nn.Module):
    """Residual add, concatenation, hardtanh, PReLU, maximum, batch norm, functions, reuse."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(2, 6), nn.Linear(6, 6), nn.Linear(12, 5)
        self.norm, self.prelu, self.out = nn.BatchNorm1d(6), nn.PReLU(5), nn.Linear(5, 2)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.norm(self.a(x)))
        y = x + F.hardtanh(self.b(x), -0.3, 0.4)
        y = torch.cat([y, torch.maximum(x, 0.5 * y)], 1)
        y = self.prelu(self.c(y.view(y.size(0), -1)))
        return self.out(F.relu6(abs(y) - 0.1))


class Calling(nn.Module):
    """4 inputs, 2 outputs; between the layers of 16 and 8 units it calls a function."""

    def __init__(self, function, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(4, 16), nn.Linear(16, 8)
            self.last = nn.Linear(8, 2)
        self.function = function

    def forward(self, x):
        return self.last(nn.functional.relu(self.second(self.function(self.first(x)))))


class Equalised(nn.Linear):
    """Its weight is multiplied by a constant when it runs (equalised learning rate)."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.scale = inputs**-0.5
        nn.init.normal_(self.weight)

    def forward(self, x):
        return F.linear(x, self.weight * self.scale, self.bias)


class PadsInside(nn.Conv2d):
    """A convolution that pads its input itself, as ports of EfficientNet do."""

    def forward(self, x):
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weight, self.bias)


class Standardised(nn.Conv2d):
    """A convolution with weight standardisation."""

    def forward(self, x):
        weight = self.weight
        mean, deviation = weight.mean((1, 2, 3), keepdim=True), weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (weight - mean) / (deviation + 1e-5), self.bias)


def two_convolutions(kind, seed=0, **settings):
    torch.manual_seed(seed)
    first, second = kind(3, 16, 3, **settings), kind(16, 16, 3, **settings)
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)]
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *tail).eval()


class ByKeyword(nn.Module):
    """Layers that are called with keywords."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.b(input=F.relu(self.a(input=x))))
        return self.head(input=x.mean((2, 3)))


class Routed(nn.Module):
    """Each row goes to one of three experts."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.router, self.head = nn.Linear(8, 3), nn.Linear(8, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)) for _ in range(3)
        )

    def forward(self, x):
        which, y = self.router(x).argmax(1), torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            y = y.index_add(0, (which == k).nonzero()[:, 0], expert(x[which == k]))
        return self.head(F.relu(y))


def by_hand(q, k, v):
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v


class SelfAttention(nn.Module):
    """It works out how many heads there are from the width of its weights."""

    def __init__(self, dim, heads, attend=F.scaled_dot_product_attention):
        super().__init__()
        self.size, self.attend = dim // heads, attend
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def queries_keys_values(self, x):
        return self.qkv(x).unflatten(2, (3, -1, self.size)).permute(2, 0, 3, 1, 4)

    def forward(self, x):
        y = self.attend(*self.queries_keys_values(x))
        return self.proj(y.transpose(1, 2).flatten(2))


class SplitAttention(SelfAttention):
    """Queries, keys and values have a layer each."""

    def __init__(self, dim, heads, attend=F.scaled_dot_product_attention):
        super().__init__(dim, heads, attend)
        del self.qkv
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))

    def queries_keys_values(self, x):
        rows = (layer(x).unflatten(2, (-1, self.size)) for layer in (self.q, self.k, self.v))
        return [each.transpose(1, 2) for each in rows]


class Encoder(nn.Module):
    """A block of a transformer: attention, and units that bend, each behind a layer norm."""

    def __init__(self, attention, dim, units=32):
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(dim), attention, nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, units), nn.ReLU(), nn.Linear(units, dim))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer for 3 x 8 x 8 images; with a class token, or the mean of all tokens."""

    def __init__(self, attention=SelfAttention, dim=16, heads=4, blocks=2, token=True, **settings):
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, dim, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, dim)) if token else None
        self.positions = nn.Parameter(torch.randn(1, 4 + token, dim))
        parts = [Encoder(attention(dim, heads, **settings), dim) for _ in range(blocks)]
        self.blocks, self.norm = nn.Sequential(*parts), nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 5)
        for norm in (module for module in self.modules() if isinstance(module, nn.LayerNorm)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.norm(self.blocks(x + self.positions))
        return self.head(x.mean(1) if self.token is None else x[:, 0])


def torch_transformer():
    """torchvision's transformer, small, whose last layer is no zeros, and images for it."""
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(
        **{"image_size": 8, "patch_size": 4, "num_layers": 1, "num_heads": 4},
        **{"hidden_dim": 16, "mlp_dim": 24, "num_classes": 5},
    )
    nn.init.normal_(model.heads.head.weight)
    return model.eval(), images(12, 8)


def random_masks(groups, seed=0):
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, group in groups.items():
        masks[name] = torch.rand(group.units, generator=generator) > 0.5
        masks[name][group.units // 2] = True
    return masks
