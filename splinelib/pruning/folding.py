"""Each dropped channel is rebuilt from the kept ones, in the layer that reads it."""

import torch
from torch import Tensor, nn

from ..calibration.im2col import applied, channels_at_the_end, output_rows, rows_shape
from ..calibration.layer_maps import (
    LayerMap,
    alone_text,
    given_to,
    has_rows,
    layer_map,
    rounding_to,
    warn_text,
)
from ..calibration.moments import wide
from ..calibration.observing import Call, RowSample, observe, rows_needed
from ..calibration.regression import Regression, solved
from ..channels.axes import channels_read
from ..channels.layout import Layout
from ..errors import warn
from ..network.surroundings import undisturbed
from .changing import Change, own_norms

# Only there to keep the system solvable: it pulls towards nothing, which would be wrong.
FOLD_RIDGE = 1e-6


@undisturbed("dense")
@torch.no_grad()
def fold(
    dense: nn.Module,
    small: nn.Module,
    layout: Layout,
    kept: dict[str, dict[str, Tensor]],
    data: Tensor,
    seed: int = 0,
) -> list[str]:
    """Fold dropped channels into the kept ones, in place.

    Every layer is treated on its own, from what the dense network computes: a linear combination
    of kept channels for each dropped one, and then the constant for which the layer's outputs are
    closest to what they were, over all inputs and positions, those beside padding among them. On
    the same inputs the layer's outputs are compared with those of the layer as it was cut: where
    folding would leave them farther from what they were, as at borders where a channel that is
    constant inside is padded with zeros, it is left as it was cut.

    Parameters and result as for `compensation.refit`.
    """
    modules = dict(small.named_modules())
    names = [n for n in layout.order if "in" in kept.get(n, {})]
    norms = own_norms(small, layout, data[:1]) if names else {}
    fits = {
        name: _Fold(modules[name], modules.get(norms.get(name)), kept[name], len(data), seed)
        for name in names
    }
    observe(dense, data, [(name, fit.look) for name, fit in fits.items()])
    solved = {name: fit for name, fit in fits.items() if fit.solve()}
    if solved:
        observe(dense, data, [(name, fit.judge) for name, fit in solved.items()])
    if unknown := [name for name, fit in fits.items() if fit.unknown]:
        warn(warn_text(unknown, "nothing is folded into them"))
    if alone := [name for name, fit in fits.items() if fit.fits and fit.fits[0].count == 1]:
        warn(alone_text(alone))
    return [name for name, fit in solved.items() if fit.settle()]


class _Fold:
    """Rebuilds the dropped inputs of one layer from the kept ones.

    For a convolution the dropped channels are the targets, so that one combination serves
    all kernel taps; each block of a grouped one rebuilds its own. For a linear layer, which may
    read many columns behind a flatten, the targets are what the dropped columns contribute to its
    outputs.
    """

    def __init__(
        self,
        small: nn.Module,
        norm: nn.Module | None,
        kept: dict[str, Tensor],
        images: int,
        seed: int,
    ):
        self.small, self.norm = small, norm
        self.keep, self.out = kept["in"], kept.get("out")
        self.images, self.seed, self.unknown = images, seed, False
        self.fits: list[Regression] = []  # one for each block

    def look(self, call: Call) -> None:
        """Add what a call of the dense layer reads to the fit."""
        if self.unknown or (found := self._found(call)) is None:
            return
        if not self.fits and not self._prepare(call, found):
            self.unknown = True
            return
        shape = rows_shape(found.layer, found.inputs)
        rows = self.sample.next(shape, call.batch)
        if len(rows):
            read = wide(output_rows(found.layer, found.inputs, rows)).to(self.weight.dtype)
            parts = read.chunk(len(self.fits), 1)
            for block, (fit, part) in enumerate(zip(self.fits, parts, strict=True)):
                target = part[:, self.drop]
                self.squares[block] += float(target.square().mean(1).sum(dtype=torch.float64))
                if self.weight.ndim == 2:
                    target = target @ self.weight[:, self.drop].T
                fit.add(part[:, self.keep], target)

    def _found(self, call: Call) -> LayerMap | None:
        """Which map the dense layer is; None where it is unknown, or nothing arrives."""
        if not has_rows(call.layer, call.output):
            self.unknown = True
            return None
        if not call.output.numel():
            return None
        found = call.map()
        self.unknown = found is None
        return found

    def _prepare(self, call: Call, found: LayerMap) -> bool:
        layer = found.layer
        stays = torch.zeros(layer.weight.shape[1], dtype=torch.bool)
        stays[self.keep] = True
        self.drop = (~stays).nonzero().flatten().to(found.inputs.device)
        self.keep = self.keep.to(found.inputs.device)
        self.change = Change(self.small, self._small_map(call, layer), self.norm)
        if not self.change.possible:
            return False
        self.sample = RowSample(self.images, rows_needed(layer), self.seed)
        positions = rows_shape(layer, found.inputs)[1:]
        available = self.images * torch.Size(positions).numel()
        rows = min(available, self.sample.needed)
        blocks = getattr(layer, "groups", 1)
        self.fits = [Regression(len(self.keep), rows) for _ in range(blocks)]
        self.squares = torch.zeros(blocks, dtype=torch.float64)  # mean over dropped channels
        self.weight = wide(layer.weight.detach())
        if self.out is not None:
            self.weight = self.weight[self.out.to(self.weight.device)]
        return True

    def _small_map(self, call: Call, layer: nn.Module) -> LayerMap | None:
        """Which map the layer is that reads the kept channels alone."""
        inputs = given_to(call.args, call.kwargs)
        if call.plain:
            return layer_map(self.small, (inputs,), {}, plain=True)
        dim = 1 if inputs.ndim == self.small.weight.ndim > 2 else -1
        if inputs.shape[dim] != layer.weight.shape[1] * getattr(layer, "groups", 1):
            return None
        some = inputs.index_select(dim, channels_read(layer, self.keep).sort().values)
        args = tuple(some if value is inputs else value for value in call.args)
        kwargs = {k: some if value is inputs else value for k, value in call.kwargs.items()}
        with rounding_to(call.autocast, inputs.device.type):
            return layer_map(self.small, args, kwargs)

    def solve(self) -> bool:
        """Find the combinations; False if there is nothing to find them from."""
        if self.unknown or not self.fits or not self.fits[0].count:
            return False
        wanted = self.squares / self.fits[0].count
        if (fits := solved(self.fits, FOLD_RIDGE, wanted)) is None:
            return False
        rows = self.weight.chunk(len(self.fits))
        found = [self._added(*fit, own) for fit, own in zip(fits, rows, strict=True)]
        self.step, self.constant = (torch.cat(parts) for parts in zip(*found, strict=True))
        # What is missing of the outputs when the layer is cut, and when it is folded as well.
        cut, folded = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        cut[:, self.drop] = folded[:, self.drop] = self.weight[:, self.drop]
        folded[:, self.keep] = -self.step.to(folded.dtype)
        both = (part.chunk(len(self.fits)) for part in (cut, folded))
        self.missing = torch.cat([row for pair in zip(*both, strict=True) for row in pair])
        self.rows, self.rest = 0, torch.zeros_like(self.constant)
        self.errors = torch.zeros(2, dtype=torch.float64, device=self.constant.device)
        return True

    def _added(self, step: Tensor, constant: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What to add to the kept columns of one block, and to its outputs."""
        if weight.ndim == 2:
            return step.T, constant
        dropped = weight[:, self.drop].double()
        return torch.einsum("kd,od...->ok...", step, dropped), dropped.flatten(2).sum(2) @ constant

    def judge(self, call: Call) -> None:
        """Add up what of the layer's outputs is missing when it is cut, and when it is folded."""
        if self.unknown or (found := self._found(call)) is None:
            return
        read = wide(found.inputs).to(self.missing.dtype)
        missing = channels_at_the_end(found.layer, applied(found.layer, read, self.missing))
        missing = missing.flatten(0, -2)
        cut, folded = missing.view(len(missing), len(self.fits), 2, -1).unbind(2)
        cut, folded = cut.flatten(1), folded.flatten(1)
        folded = folded - self.constant.to(folded.dtype)
        self.rows += len(cut)
        self.rest += folded.sum(0, dtype=torch.float64)
        self.errors += torch.stack(
            [error.square().sum(dtype=torch.float64) for error in (cut, folded)]
        )

    def settle(self) -> bool:
        """Change the small layer if that is for the better; True if it took a new bias."""
        if self.unknown or not self.rows:
            return False
        rest = self.rest / self.rows
        without, error = self.errors.tolist()
        error -= self.rows * float(rest.square().sum())
        if not error <= without:
            return False
        self.change.make(self.step, self.constant + rest)
        self.change.keep()
        return self.change.added
