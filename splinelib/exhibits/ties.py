"""Channels of a network that go together, as lines, and how many of each group stay."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from .. import plotting
from ..channels.layout import Layout
from ..plotting import widgets
from ..plotting.palette import Palette
from ..plotting.svg import Figure
from ..pruning import select


def lines(layout: Layout) -> Figure:
    """A line for each group, from the layers that make its channels to those that read them.

    Parameters
    ----------
    layout : Layout
        As `splinelib.find_groups` gives it.
    """
    place = {layer: number for number, layer in enumerate(layout.order)}

    def draw(ax, palette: Palette) -> None:
        for row, group in enumerate(layout.groups.values()):
            made = [place[member.module] for member in group.producers]
            read = [place[member.module] for member in group.consumers]
            colour = palette.pruned if group.is_stream else palette.kept
            ax.plot([min(made), max(read)], [row, row], color=colour, linewidth=1.4)
            for at, fill in ((made, "full"), (read, "none")):
                how = {"color": colour, "markersize": 5, "fillstyle": fill}
                ax.plot(at, [row] * len(at), "o", **how)
            ax.text(max(read) + 1, row, f"{group.units}", va="center", color=palette.muted)
        for label, fill in {"makes the channels": "full", "reads them": "none"}.items():
            ax.plot([], [], "o", color=palette.ink, fillstyle=fill, label=label)
        ax.plot([], [], color=palette.pruned, label="residual stream")
        ax.set(xlabel="layers, in order of execution", ylabel="groups", yticks=[])
        ax.invert_yaxis()
        plotting.legend(ax)

    streams = sum(group.is_stream for group in layout.groups.values())
    return plotting.figure(
        draw,
        alt=f"A line for each of {len(layout.groups)} groups from the layers that make its "
        f"channels to those that read them; {streams} of them are residual streams.",
        caption="Channels that go together, a line for each group, with its number of units.",
        size=(5.8, 5.6),
    )


def numbers(scores: Mapping[str, Tensor], ratio: float) -> tuple[dict[str, int], dict[str, int]]:
    """Units of each group, and how many stay where a share of all is removed."""
    masks = select(scores, ratio)
    units = {name: len(mask) for name, mask in masks.items()}
    return units, {name: int(mask.sum()) for name, mask in masks.items()}


def kept(scores: Mapping[str, Tensor], ratios: Sequence[float], caption: str):
    """Units of each group, kept and pruned; the slider moves through the shares removed.

    Parameters
    ----------
    scores : mapping of str to Tensor
        Of the units of each group, as `splinelib.score` gives them.
    ratios : sequence of float
    caption : str
    """

    def told(ratio: float) -> str:
        units, stay = numbers(scores, ratio)
        gone = {name: units[name] - stay[name] for name in units}
        most = max(gone, key=gone.get)
        return (
            f"Units of each group, kept and pruned. With {ratio:.0%} of all removed, "
            f"{gone[most]:,} of the {sum(gone.values()):,} that go are of the {units[most]:,} "
            f"in {most}."
        )

    return widgets.scrub(
        lambda ratio: plotting.layer_bars(*numbers(scores, ratio), alt="Bars."),
        values=ratios,
        start=len(ratios) // 2,
        label="share of units removed",
        alt=told,
        format="{:.0%}",
        caption=caption,
    )
