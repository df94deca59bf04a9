"""What the layers that read a unit see, as the network's own weights imply it, without an input."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..calibration.implied import reads_along
from ..calibration.implied_moments import Implied, output_variance, taps
from ..channels.axes import rows_first
from ..channels.layout import Group, Layout
from ..network.inputs import Inputs
from ..network.trace import record
from .least_squares import Reader


def layout_reads(model: nn.Module, layout: Layout) -> dict[str, Implied]:
    """`implied_reads` of a model whose layout is known; empty where its run cannot be followed."""
    if layout.example is None:
        raise ValueError(
            "This layout was made by hand and holds no example, without which the network cannot "
            "be run: take the one that find_groups gives."
        )
    if isinstance(layout.example, Inputs):  # several inputs, of which nothing is known
        return {}
    device = next(model.parameters()).device
    try:
        graph = record(model, layout.example.to(device), "ignore")
    except TypeError:  # the model gives no tensor, or its operations cannot be seen
        return {}
    return reads_along(graph, device)


@torch.no_grad()
def implied_readers(
    model: nn.Module, layout: Layout, reads: Mapping[str, Implied]
) -> dict[str, list[Reader]]:
    """What the readers of each group see, as the network's own weights imply it.

    Parameters
    ----------
    model : torch.nn.Module
    layout : Layout
    reads : dict of str to Implied
        As `implied_reads` gives them.

    Returns
    -------
    dict of str to list of Reader
        An entry per group. Each block of a grouped convolution is a reader of its own, whose energy
        is that of the whole layer. Kernel taps are observations of a channel, and as much alike as
        neighbouring positions are (`calibration.neighbours`). Where a batch norm alone reads the
        output of a reader, its scale is folded into the weight. A reader that is not among
        ``reads`` sees units that have nothing in common, each as large as its incoming weights
        make it.
    """
    modules = dict(model.named_modules())
    found: dict[str, list[Reader]] = {}
    for name, group in layout.groups.items():
        found[name] = []
        makes = {member.module for member in group.producers}
        # A depthwise layer both reads and makes a unit: its outputs go along.
        members = [member for member in group.consumers if member.module not in makes]
        for member in members or group.consumers:
            layer, read = modules[member.module], reads.get(member.module)
            norm = modules.get(layout.batch_norms.get(member.module))
            found[name] += _implied_readers(modules, group, layer, norm, member.indices, read)
    return found


def _implied_readers(
    modules: Mapping[str, nn.Module],
    group: Group,
    layer: nn.Module,
    norm: nn.Module | None,
    indices: Tensor,
    read: Implied | None,
) -> list[Reader]:
    """What each block of one layer does with the units."""
    blocks = getattr(layer, "groups", 1)
    if read is None:
        reads = [_unrelated(modules, group, layer, indices)] * blocks
    else:
        reads = reads_of_blocks(read, blocks)
    weight = taps(layer.weight, reads[0])
    if norm is not None and norm.running_var is not None:
        scale = torch.rsqrt(norm.running_var + norm.eps)
        scale = scale * norm.weight.abs() if norm.affine else scale
        weight = weight * scale.double()[:, None, None]
    pairs = [*zip(reads, weight.chunk(blocks), strict=True)]
    energy = sum(_energy(each, part) for each, part in pairs)
    return [_implied_reader(part, indices, each, energy) for each, part in pairs]


def _energy(read: Implied, weight: Tensor) -> float:
    """Variance of all outputs of a weight (out, channels, k) over inputs and positions."""
    moved = read.from_means(weight)
    energy = output_variance(read.counted(weight), read.covariance).sum()
    return (energy if moved is None else energy + moved.trace()).item()


def reads_of_blocks(read: Implied, blocks: int) -> list[Implied]:
    """What each block of a grouped convolution reads, of what the whole reads."""
    width, parts = len(read.mean) // blocks, []
    for start in range(0, len(read.mean), width):
        own = slice(start, start + width)
        parts.append(read._replace(mean=read.mean[own], covariance=read.covariance[own, own]))
    return parts


def _implied_reader(weight: Tensor, indices: Tensor, read: Implied, energy: float) -> Reader:
    seen = read.seen_through(weight)
    weight = read.counted(weight)
    # Columns of one unit that hold one channel are places behind a flatten: observations of it.
    channels = read.channels(indices.to(weight.device))
    own = channels[:, :: read.repeat].flatten()
    rows = weight[:, own].transpose(1, 2).flatten(0, 1)
    return Reader(seen.covariance[own][:, own], read.mean[own], rows.T @ rows, energy)


def _unrelated(
    modules: Mapping[str, nn.Module], group: Group, layer: nn.Module, columns: Tensor
) -> Implied:
    """Inputs of a layer whose channels are uncorrelated, as large as what makes them."""
    size = torch.zeros(group.units, dtype=torch.float64)
    for member in group.producers:
        rows = rows_first(modules[member.module]).flatten(1)
        size += rows.double().square().sum(1).cpu()[member.indices].sum(1)
    width = layer.weight.shape[1]
    variance = torch.zeros(width, dtype=torch.float64)
    variance[columns] = size[:, None].expand(columns.shape)
    device = modules[group.producers[0].module].weight.device
    variance = variance.to(device)
    return Implied(torch.zeros_like(variance), variance.diag())
