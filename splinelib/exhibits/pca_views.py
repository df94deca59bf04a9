"""What leading directions show of the units of a layer, beside what they are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .. import plotting
from ..geometry.difference import difference
from ..geometry.partition import partition
from ..geometry.plane import Plane
from ..models import mlp
from ..plotting import widgets
from ..plotting.tables import Table
from ..scores.hyperplanes import canonical, principal_directions
from ..scores.truncation import (
    BY,
    Truncation,
    components_for,
    fewest_possible,
    random_components,
    truncate,
)
from . import wording

DOMAIN = ((-1.0, 1.0), (-1.0, 1.0))


def unit_rows(normals: Tensor) -> Tensor:
    """Rows of length 1, float64."""
    return canonical(normals.double(), normals.new_zeros(len(normals)))[0]


def false_twins(normals: Tensor, components: int) -> tuple[int, int]:
    """The pair that looks most alike, of those whose cosine is shown too large by most."""
    rows = unit_rows(normals)
    error = truncate(rows, components).cosines - rows @ rows.T
    first, second = divmod(int(error.fill_diagonal_(-torch.inf).argmax()), len(rows))
    return min(first, second), max(first, second)


def close_pairs(cosines: Tensor, least: float = 0.7) -> int:
    """Pairs of units whose lines are that close, on whichever side they are on."""
    return int((cosines.abs() >= least).triu(1).sum())


def close_table(layers: dict[str, Tensor], components: int) -> Table:
    """Pairs that look close along some directions, and those that are."""
    rows = []
    for name, normals in layers.items():
        unit = unit_rows(normals)
        exact, seen = unit @ unit.T, truncate(unit, components).cosines
        largest = exact.abs().triu(1).max()
        of_seen = exact.abs()[(seen.abs() >= 0.7).triu(1)]
        rows.append(
            [name, close_pairs(seen), close_pairs(exact), of_seen.median().item(), largest.item()]
        )
    return wording.table(
        rows,
        ["", "look close", "are close", "true cosine of those that look so", "largest true cosine"],
        f"Pairs of units whose cosine is at least 0.7, up to the sign, along {components} "
        "directions and in truth; median of the true cosines",
        ["{}", "{:,}", "{:,}", "{:.2f}", "{:.2f}"],
    )


def taken_over(said: Tensor, unit: int, heir: int) -> float:
    """Share of the mean square of what a unit says that a multiple of its heir says.

    Parameters
    ----------
    said : Tensor, shape (N, U)
        Activations on some inputs.
    unit, heir : int
    """
    sizes = said[:, unit].square().sum() * said[:, heir].square().sum()
    return float((said[:, unit] @ said[:, heir]).square() / sizes)


def taken_over_table(
    normals: Tensor, said: Tensor, pairs: dict[str, tuple[int, int]], components: int
) -> Table:
    """What is seen of some pairs, what is true, and what one could take over from the other."""
    rows, seen = unit_rows(normals), truncate(normals, components).cosines
    return wording.table(
        [
            [name, float(seen[at]), float(rows[at[0]] @ rows[at[1]]), taken_over(said, *at)]
            for name, at in pairs.items()
        ],
        ["", "cosine seen", "true cosine", "taken over"],
        f"Cosine along {components} directions and in truth; share of the mean square of one unit "
        "on test images that the other could say",
        ["{}", "{:.2f}", "{:.2f}", "{:.0%}"],
    )


def closest(normals: Tensor) -> tuple[int, int]:
    """The pair of the largest cosine."""
    rows = unit_rows(normals)
    return tuple(sorted(divmod(int((rows @ rows.T).fill_diagonal_(0).argmax()), len(rows))))


def two_units(normals: Tensor, pair: tuple[int, int], counts: Sequence[int], start: int = 0):
    """Two units of a layer that reads square images, along more and more directions."""
    rows = unit_rows(normals)
    side = round(rows.shape[1] ** 0.5)
    views = {count: truncate(rows, count) for count in counts}
    truth = float(rows[pair[0]] @ rows[pair[1]])

    def shown(count: int) -> tuple[float, float, float]:
        view = views[count]
        low, high = view.cosine_range
        return tuple(float(value[pair]) for value in (view.cosines, low, high))

    def told(count: int) -> str:
        cosine, low, high = shown(count)
        return (
            f"Units {pair[0]} and {pair[1]} along {count} directions have the cosine {cosine:.2f}; "
            f"the true one, {truth:.2f}, may be {low:.2f} to {high:.2f}."
        )

    def pictures(count: int):
        directions = principal_directions(rows, count)
        seen = rows[list(pair)] @ directions @ directions.T
        return plotting.images(
            torch.cat([rows[list(pair)], seen]).reshape(4, side, side),
            "Two units as they are, and as they are seen.",
            titles=[*(f"unit {unit}" for unit in pair), *[f"{count} directions"] * 2],
            columns=2,
            signed=True,
        )

    def funnel(count: int):
        def draw(ax, palette):
            for place, one in enumerate(counts):
                cosine, low, high = shown(one)
                color = palette.pruned if one == count else palette.muted
                ax.plot([low, high], [place] * 2, color=color, linewidth=5 if one == count else 2)
                ax.plot(cosine, place, "o", color=palette.ink, markersize=6)
            ax.axvline(truth, color=palette.kept, linewidth=2)
            ax.set_yticks(range(len(counts)), [f"{one}" for one in counts])
            ax.set(xlim=(-1.05, 1.05), xlabel="cosine of the two units", ylabel="directions kept")
            ax.invert_yaxis()

        return plotting.figure(draw, told(count), size=(4.6, 4.4))

    return widgets.scrub(
        lambda count: plotting.beside(pictures(count), funnel(count)),
        counts,
        label="directions kept",
        alt=told,
        start=start,
        caption="Dot: the cosine that is seen. Bar: where the true one can lie, given what is "
        "seen and what is left out. Line: where it lies.",
    )


def all_pairs(normals: Tensor, counts: Sequence[int], start: int = 0, points: int = 400):
    """True cosine of pairs against the one shown; a slider goes through the directions kept."""
    rows = unit_rows(normals)
    exact = rows @ rows.T
    first, second = torch.triu_indices(len(rows), len(rows), 1)
    views = {count: truncate(rows, count) for count in counts}
    worst = {
        count: (view.cosines - exact).abs()[first, second].topk(20).indices
        for count, view in views.items()
    }
    some = torch.randperm(len(first), generator=torch.Generator().manual_seed(0))[:points]

    def told(count: int) -> str:
        return f"{count} directions: {_sizes(views[count], exact)}."

    def frame(count: int):
        view = views[count]
        eigenvalues = float(view.spectrum[count : count + 2].sum())

        def draw(ax, palette):
            at = torch.cat([some, worst[count]])
            x, y = (value[first[at], second[at]] for value in (view.cosines, exact))
            color = palette.solid(palette.kept)  # a picture cannot follow the page
            ax.plot(x, y, ".", color=color, markersize=4, rasterized=True)
            line = np.array([-1.0, 1.0])
            ax.plot(line, line, color=palette.ink, linewidth=1)
            for size, color, label in (
                (min(eigenvalues, 2), palette.muted, "bound from eigenvalues"),
                (view.largest, palette.pruned, "bound from pairs"),
            ):
                ax.plot(line, line - size, "--", color=color, label=label)
                ax.plot(line, line + size, "--", color=color)
            ticks = [-1, -0.5, 0, 0.5, 1]
            ax.set(xlim=(-1, 1), ylim=(-1, 1), xticks=ticks, yticks=ticks)
            ax.set(xlabel="cosine that is seen", ylabel="true cosine")
            plotting.legend(ax)

        return plotting.figure(draw, alt="Pairs of units.", size=(4.8, 4.8))

    return widgets.scrub(
        frame,
        counts,
        label="directions kept",
        alt=told,
        start=start,
        caption=f"{points} pairs and the 20 worst. No pair of the layer is outside the dashed "
        "lines.",
    )


def _sizes(view: Truncation, exact: Tensor) -> str:
    error = float((view.cosines - exact).abs().fill_diagonal_(0).max())
    return f"cosines are wrong by up to {error:.2f}, no more than {view.largest:.2f} by the bound"


def components_table(layers: dict[str, Tensor], accuracies: Sequence[float]) -> Table:
    """Directions that an accuracy needs, by what is known, by any means, and drawn by lot."""
    rows = []
    for name, normals in layers.items():
        for accuracy in accuracies:
            counts = [components_for(normals, accuracy, by) for by in ("spectrum", *BY[:2][::-1])]
            truth = components_for(normals, accuracy, "truth")
            least = fewest_possible(normals, accuracy)
            random = random_components(len(normals), accuracy)
            rows.append([name, f"{accuracy:g}", *counts, truth, least, random])
    return wording.table(
        rows,
        [
            *("", "accuracy", "from eigenvalues", "from units", "from pairs", "in truth"),
            *("any reduction, at least", "at random"),
        ],
        "Directions for every cosine of a layer to be right within the accuracy",
        ["{}", "{}", *["{:,}"] * 6],
    )


def hidden_signal(eta: float) -> nn.Module:
    """Three inputs, six units that do not read the third, and twins that differ by it alone.

    For the first input above ``eta`` the twins add the third input to the output; their lines are
    apart by an angle of about ``2 eta``.
    """
    model = mlp([3, 8, 1], seed=0)
    turns = torch.arange(6) * torch.pi / 6
    with torch.no_grad():
        first, last = model.linear1, model.linear2
        first.weight.zero_()
        first.weight[:6, 0], first.weight[:6, 1] = turns.cos(), turns.sin()
        first.weight[6:, 0] = 1.0
        first.weight[6:, 2] = torch.tensor([eta, -eta])
        first.bias.copy_(torch.tensor([0.3, -0.2, 0.4, -0.5, 0.1, -0.3, 0.0, 0.0]))
        last.weight[:] = torch.tensor([*[0.2] * 6, 0.5 / eta, -0.5 / eta])
        last.bias.zero_()
    return model


def twins_merged(model: nn.Module) -> nn.Module:
    """The network of `hidden_signal` whose last unit is merged into its twin."""
    small = mlp([3, 8, 1], seed=0)
    small.load_state_dict(model.state_dict())
    with torch.no_grad():
        small.linear2.weight[:, 6] += small.linear2.weight[:, 7]
        small.linear2.weight[:, 7] = 0
    return small


def twins_apart(etas: Sequence[float]) -> dict[float, tuple[float, float]]:
    """For each angle the share of the energy that is left out, and the exact largest change."""
    found = {}
    for eta in etas:
        model = hidden_signal(eta)
        view = truncate(model.linear1.weight.detach(), 2)
        moved = difference(model, twins_merged(model), DOMAIN, _plane()).largest
        found[eta] = float(view.left_out.mean()), moved
    return found


def _plane() -> Plane:
    """The first and the third input; the second is 0."""
    zero, one, third = torch.zeros(3), torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])
    return Plane.through(zero, one, third)


def hidden_figure(etas: Sequence[float]):
    """The lines of `hidden_signal`, the energy left out, the change; a slider turns the twins."""
    found = twins_apart(etas)

    def told(eta: float) -> str:
        energy, moved = found[eta]
        return (
            f"Twins {2 * np.degrees(np.arctan(eta)):.1f} degrees apart: {energy:.2%} of the energy "
            f"is left out, and merging them changes the output by up to {moved:.2f}."
        )

    def lines(eta: float):
        def draw(ax, palette):
            part = partition(hidden_signal(eta), DOMAIN, _plane())
            plotting.draw_partition(ax, palette, part, "layer", boundary=False)
            for legend in ax.figure.legends:
                legend.remove()
            for sign in (-1, 1):
                ax.plot([sign * eta, -sign * eta], [-1, 1], color=palette.pruned, linewidth=2.5)
            ax.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="first input", ylabel="third input")

        return plotting.figure(draw, told(eta), size=(4.2, 4.4))

    def sizes(eta: float):
        def draw(ax, palette):
            energy, moved = np.transpose(list(found.values()))
            ax.plot(etas, moved, "s-", color=palette.pruned, label="exact change")
            ax.plot(etas, energy, "o-", color=palette.kept, label="energy left out")
            ax.axvline(eta, color=palette.ink, linewidth=1)
            ax.set(xscale="log", yscale="log", xlabel="η")
            plotting.legend(ax)

        return plotting.figure(draw, told(eta), size=(4.2, 4.0))

    return widgets.scrub(
        lambda eta: plotting.beside(lines(eta), sizes(eta)),
        etas,
        label="η, the weight of the third input",
        alt=told,
        caption="Strong lines: the twins, across the first and the third input.",
    )
