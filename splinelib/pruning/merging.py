"""Units that stay take over what the units that went said, without an input.

Each dropped channel is rebuilt from the kept ones by least squares, under the moments that the
network's own weights and batch norms imply (`calibration.implied`), and the combination is folded
into the layer that reads it. A unit whose line another unit draws at the same side merges into it
without a trace: relu(a z) = a relu(z) for a > 0. (Neuron merging, Kim et al., NeurIPS 2020, gives a
dropped filter to the one kept filter that is most like it.)
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..calibration.implied_moments import Implied, output_variance, taps
from ..calibration.layer_maps import LayerMap, is_plain, warn_text
from ..calibration.moments import with_ridge
from ..calibration.observing import Call, batches, observe
from ..channels.axes import is_depthwise
from ..channels.layout import Layout
from ..errors import PruningError, warn
from ..network.modes import device_of, evaluating
from ..network.surroundings import undisturbed
from ..scores.implied_readers import layout_reads, reads_of_blocks
from .changing import Change, own_norms

# Added to the kept channels' covariances as a share of each variance, so that they can be solved.
RIDGE = 1e-4
# Inputs on which layers with a forward of their own are looked at.
_LOOKED_AT = 32
# Of the variance that a layer's output had: less is never left to a batch norm to divide by.
_LEAST = 1e-3


@undisturbed("dense")
@torch.no_grad()
def merge(
    dense: nn.Module,
    small: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    data: Tensor | None,
    seed: int = 0,
    reads: Mapping[str, Implied] | None = None,
) -> list[str]:
    """Fold dropped channels into kept ones, in place, by moments that the weights imply.

    A constant that is left over goes into the bias, or into the mean of the batch norm behind the
    layer, whose variance is scaled by what the moments say of it. Inputs, if there are any, are
    used for one thing only: the statistics of all batch norms are taken anew on them. Parameters
    and result as for `compensation.refit`; ``seed`` is not looked at, and ``reads`` is what
    `implied_readers.layout_reads` gives of the dense network, worked out here if it is left out.

    The moments are those behind the activation that the network has, so that it need not be
    homogeneous: behind a ReLU6 or a hardtanh units of one line and different steepness are alike
    in part, and what the others cannot say of a unit is left out, as its mean.

    Whether a layer, or the network, comes closer to the dense one cannot be checked without inputs;
    with some, `masking.compensated` checks the network. Layers that do not compute a multiple of
    their weight times their inputs are left as they were cut, with a warning.

    Raises
    ------
    PruningError
        If nothing can be said of what any of the layers concerned reads.
    """
    reads = layout_reads(dense, layout) if reads is None else reads
    modules = dict(small.named_modules())
    wide = dict(dense.named_modules())
    changed = [name for name in readers_of_units(dense, layout) if "in" in kept.get(name, {})]
    followed = [name for name in changed if name in reads]
    if changed and not followed:
        raise PruningError(
            "compensate='merge' cannot follow what the layers of this network read "
            f"({', '.join(changed[:3])}). Pass data= and compensate='refit', or compensate=False."
        )
    if rest := [name for name in changed if name not in followed]:
        warn(
            f"what layers {rest} read cannot be followed without inputs: nothing takes over what "
            "was dropped there"
        )
    if unread := _without_readers(dense, layout, kept):
        warn(
            f"no layer reads the units of {unread} that could take over what was dropped there: it "
            "is just left out"
        )
    example = layout.example if data is None else data[:_LOOKED_AT]
    norms = own_norms(small, layout, None if example is None else example[:1]) if followed else {}
    maps, added, unknown = _maps(small, followed, example), [], []
    for name in followed:
        change = Change(modules[name], maps.get(name), modules.get(norms.get(name)))
        if not change.possible:
            unknown.append(name)
            continue
        _merge_inputs(wide[name], change, kept[name], reads[name])
        if change.added:
            added.append(name)
    if unknown:
        warn(warn_text(unknown, "nothing is merged into them"))
    if changed and data is not None:
        renew_statistics(small, data)
    return added


def readers_of_units(model: nn.Module, layout: Layout) -> list[str]:
    """Names of the layers that read units of other layers, in order of execution.

    Depthwise ones are left out: what they say of a unit goes along with it.
    """
    modules = dict(model.named_modules())
    reading = {member.module for group in layout.groups.values() for member in group.consumers}
    return [name for name in layout.order if name in reading and not is_depthwise(modules[name])]


def _without_readers(model: nn.Module, layout: Layout, kept: Mapping[str, Mapping]) -> list[str]:
    """Groups that lose units which no layer reads, but an output, a sum or the like."""
    readers = set(readers_of_units(model, layout))
    return [
        group.name
        for group in layout.groups.values()
        if "out" in kept.get(group.name, {}) and not readers & {m.module for m in group.consumers}
    ]


def _merge_inputs(
    layer: nn.Module,
    change: Change,
    kept: dict[str, Tensor],
    read: Implied,
) -> None:
    """Change one layer, each block for itself, and the batch norm behind it."""
    blocks = getattr(layer, "groups", 1)
    reads = reads_of_blocks(read, blocks)
    weight = taps(layer.weight, reads[0])
    if "out" in kept:
        weight = weight[kept["out"].to(weight.device)]
    stays = torch.zeros(weight.shape[1], dtype=torch.bool, device=weight.device)
    stays[reads[0].channels(kept["in"].to(weight.device))] = True
    rows = [*zip(weight.chunk(blocks), reads, strict=True)]
    steps, constants = zip(*(_taken_over(own, stays, part) for own, part in rows), strict=True)
    gain, step = change.found.gain, torch.cat(steps)
    if read.by_place:
        step = step.transpose(1, 2)
    change.make(gain * step.reshape(change.layer.weight.shape), gain * torch.cat(constants))
    if change.norm is not None:
        share = [_share(*row, stays, step) for row, step in zip(rows, steps, strict=True)]
        change.norm.running_var *= torch.cat(share).to(change.norm.running_var.dtype)


def _taken_over(weight: Tensor, stays: Tensor, read: Implied) -> tuple[Tensor, Tensor]:
    """What to add to the kept columns of a weight (out, channels, k), and to its outputs."""
    dropped = weight[:, ~stays]
    step, constant = _rebuilt(read.seen_through(dropped), stays)
    return torch.einsum("kd,odt->okt", step, dropped), read.total(dropped) @ constant


def _share(weight: Tensor, read: Implied, stays: Tensor, step: Tensor) -> Tensor:
    """Of the variance of each output, how much is left."""
    # By taps that are taken to be independent, and on padding too. The model counts them
    # otherwise; then the variance falls too little, and networks keep less (by 1 to 10 points of
    # accuracy, at half of the units, in four of them).
    before = output_variance(weight, read.covariance)
    after = output_variance(weight[:, stays] + step, read.covariance[stays][:, stays])
    return torch.where(before > 0, after / before, 1).clamp(min=_LEAST)


def _maps(
    model: nn.Module, names: Sequence[str], example: Tensor | None
) -> dict[str, LayerMap | None]:
    """Which linear map each layer is; of one with a forward of its own, as it is run shows.

    An example of zeros shows nothing, so one of random numbers takes its place.
    """
    modules = dict(model.named_modules())
    maps = {
        name: LayerMap(modules[name], torch.empty(0), None) if is_plain(modules[name]) else None
        for name in names
    }
    others = [name for name in names if maps[name] is None]
    if not others or example is None:
        return maps
    if not example.any() and example.is_floating_point():
        shape, generator = (_LOOKED_AT, *example.shape[1:]), torch.Generator().manual_seed(0)
        example = torch.randn(shape, generator=generator, dtype=torch.float32).to(example.dtype)

    def look(name: str):
        def note(call: Call) -> None:
            maps[name] = call.map()

        return note

    observe(model, example.to(device_of(model)), [(name, look(name)) for name in others])
    return maps


def _rebuilt(read: Implied, stays: Tensor) -> tuple[Tensor, Tensor]:
    """Dropped channels from kept ones: coefficients (kept, dropped), constants (dropped,)."""
    kept = with_ridge(read.covariance[stays][:, stays], RIDGE)
    step = torch.cholesky_solve(read.covariance[stays][:, ~stays], torch.linalg.cholesky(kept))
    return step, read.mean[~stays] - step.T @ read.mean[stays]


@torch.no_grad()
def renew_statistics(model: nn.Module, data: Tensor) -> None:
    """Take the running statistics of all batch norms anew on some inputs, in place.

    The inputs are drawn into batches by lot (seeded). Running statistics are averages over batches,
    and batches of one class each would lack the spread between the classes.

    Parameters
    ----------
    model : torch.nn.Module
        Everything but its batch norms runs in evaluation mode; modes and momenta come back.
    data : Tensor, shape (N, ...)
        Unlabelled training inputs.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms or len(data) < 2:
        return
    momenta = [norm.momentum for norm in norms]
    before = copy.deepcopy([norm.state_dict() for norm in norms])
    try:
        with evaluating(model):
            for norm in norms:
                norm.reset_running_stats()
                norm.training = True
            seen = 0
            lot = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
            for _, rows in batches(data, lot.to(data.device)):
                batch = data[rows]
                if len(batch) == 1:  # a single value has no variance
                    continue
                seen += len(batch)
                for norm in norms:  # every input counts alike, in a short batch too
                    norm.momentum = len(batch) / seen
                model(batch)
    except BaseException:
        for norm, state in zip(norms, before, strict=True):
            norm.load_state_dict(state)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
