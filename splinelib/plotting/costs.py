"""What tickets reach, what their training costs and what they keep, under a slider for the ratio.

One baseline: the dense run. A ticket that keeps a share m of the multiplications and is drawn at
once would cost m of it, so its training is at most 1/m times cheaper; a one-shot lottery costs
1 + m, so against that the factor is at most (1 + m)/m.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from .figures import finite, legend
from .live import Live, figure_html
from .palette import colour_name, series_style
from .svg import Figure, check_alt, figure

MULTIPLICATIONS = "multiplications"  # what the bounds are about
NONE = "–"  # in the table, where a method has no ticket of a ratio
LONGEST = 40  # characters of a name, for which there is room on a phone
_SHARES = np.arange(1, 121) / 120


@dataclass(frozen=True)
class Outcome:
    """A trained network: what it reached, what all of its training cost, and what is left of it.

    Attributes
    ----------
    name : str
        Of its method, or of a dense network.
    accuracy : sequence of float
        In [0, 1], for each seed.
    cost : sequence of float
        All training as a share of the dense run's, for each seed.
    ratio : float
        Share of units removed; 0 for a dense network.
    left : mapping of str to sequence of float
        For a ticket what is left of the dense network's channels, multiplications and so on, as
        shares, for each seed.
    late : bool
        Whether the ticket was drawn at the end: the bounds are not for it.
    """

    name: str
    accuracy: Sequence[float]
    cost: Sequence[float]
    ratio: float = 0.0
    left: Mapping[str, Sequence[float]] = field(default_factory=dict)
    late: bool = False

    @property
    def place(self) -> tuple[float, float]:
        """Mean cost, and mean accuracy in percent."""
        return float(np.mean(self.cost)), 100 * float(np.mean(self.accuracy))

    @property
    def share(self) -> float:
        """Multiplications that are left, m."""
        return float(np.mean(self.left[MULTIPLICATIONS]))

    def factors(self) -> tuple[float, float]:
        """How many times less its training costs than the dense run, and than a lottery."""
        cost, m = np.asarray(self.cost, float), np.asarray(self.left[MULTIPLICATIONS], float)
        return float(np.mean(1 / cost)), float(np.mean((1 + m) / cost))


def tickets(
    drawn: Sequence[Outcome],
    dense: Sequence[Outcome],
    alt: str,
    start: int = 0,
    level: tuple[str, float] | None = None,
    caption: str | None = None,
) -> Live:
    """Accuracy against training, savings with their bounds, and what is left: one slider moves all.

    Parameters
    ----------
    drawn : sequence of Outcome
        Tickets. Those of the first name are drawn early, at two ratios at least, which are the
        slider's; tickets of other ratios are left out.
    dense : sequence of Outcome
        Networks that were not pruned, of more and more training: the last is the dense run itself.
    alt : str
        What the still pictures show.
    start : int
        Index of the ratio shown first, the mildest being 0.
    level : (name, factor), optional
        A factor of 1 or more to compare with, such as a paper's.
    caption : str, optional

    Returns
    -------
    Live
        For the notebook to show: let it be the cell's last expression.

    Raises
    ------
    ValueError
        If there are fewer than two ratios, two tickets of one name and ratio, values that are
        missing, no numbers or out of range, or the alt text is empty.

    Examples
    --------
    >>> left = {"multiplications": [0.5]}
    >>> drawn = [Outcome("spline", [0.9 - r / 10], [1 - r], r, left) for r in (0.3, 0.4)]
    >>> tickets(drawn, [Outcome("160 epochs", [0.9], [1.0])], "Two tickets.")
    Live('Two tickets.')
    """
    alt = check_alt(alt)
    _check(drawn, dense)
    if level is not None:
        _check_level(level)
    names = list(dict.fromkeys(one.name for one in drawn))
    ratios = sorted({one.ratio for one in drawn if one.name == names[0]})
    if len(ratios) < 2:
        raise ValueError(f"a slider needs tickets of {names[0]!r} at two ratios at least.")
    if start not in range(len(ratios)):
        raise ValueError(f"start is the index of one of {len(ratios)} ratios, got {start}.")
    drawn = [one for one in drawn if one.ratio in ratios]
    drawn.sort(key=lambda one: (names.index(one.name), one.ratio))
    places = np.array([one.place for one in (*drawn, *dense)])
    early = [one for one in drawn if not one.late]
    factors = [factor for one in early for factor in one.factors()]
    most = max(*(1 + 1 / one.share for one in early), *factors)
    given = {
        "kind": "tickets",
        "tickets": [_written(one) for one in drawn],
        "dense": [{"name": one.name, **_numbers(one)} for one in dense],
        "ratios": ratios,
        "values": [_percent(ratio) for ratio in ratios],
        "start": start,
        "level": None if level is None else {"name": level[0], "value": float(level[1])},
        "colours": {n: colour_name(series_style(n, at)[0]) for at, n in enumerate(names)},
        "reached": [
            float(np.floor(places[:, 1].min() - 1)),
            float(np.ceil(places[:, 1].max() + 1)),
        ],
        "spent": float(1.08 * places[:, 0].max()),
        "least": float(min(1, 0.95 * min(factors))),
        "most": float(max(1.1 * most, 0 if level is None else level[1] + 1)),
    }
    here = [one for one in drawn if one.ratio == ratios[start]]
    shown = {
        "What it reaches, and what that costs": _reached(drawn, dense, here, given, alt),
        "What can be saved at all": _saved(drawn, here, given, level),
    }
    views = "".join(
        f'<div class="sl-view"><p class="sl-title">{html.escape(title)}</p><div class="sl-plot">'
        f'<div class="sl-still">{one.inline()}</div></div></div>'
        for title, one in shown.items()
    )
    picture = f'<div class="sl-views">{views}</div>{_table(here, given)}'
    told = f"<p>{html.escape(told_of(drawn, dense, ratios[start]))}</p>"
    return Live(figure_html(given, picture, told, caption), alt)


def better_for_less(ours: Outcome, others: Sequence[Outcome]) -> list[Outcome]:
    """Those of the others that are more accurate, and whose training costs less."""
    cost, reached = ours.place
    return [one for one in others if one.place[1] > reached and one.place[0] < cost]


def told_of(drawn: Sequence[Outcome], dense: Sequence[Outcome], ratio: float) -> str:
    """What the ticket of the first name reaches and saves at a ratio: the words of the page."""
    here = [one for one in drawn if one.ratio == ratio]
    ours = next(one for one in here if one.name == drawn[0].name)
    others = [
        *(f"dense, {one.name}" for one in better_for_less(ours, dense)),
        *(one.name for one in better_for_less(ours, here)),
    ]
    cost, reached = ours.place
    return (
        f"With {_percent(ratio)} of the units removed {ours.name} reaches {reached:.1f} % for "
        f"{cost:.2f} of the dense run. Better for less: {'; '.join(others) or 'nothing here'}. "
        f"{ours.factors()[0]:.2f} times less training than the dense run; the most is "
        f"{1 / ours.share:.2f}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _check(drawn: Sequence[Outcome], dense: Sequence[Outcome]) -> None:
    if not drawn or not dense:
        raise ValueError("there must be tickets, and a dense network to compare them with.")
    for one in (*drawn, *dense):
        if not isinstance(one.name, str) or not 0 < len(one.name.strip()) <= LONGEST:
            raise ValueError(f"a name has 1 to {LONGEST} characters, not {one.name!r}.")
        accuracy = finite(f"{one.name}: accuracy", one.accuracy, 1)
        cost = finite(f"{one.name}: cost", one.cost, 1)
        if accuracy.min() < 0 or accuracy.max() > 1 or cost.min() <= 0:
            raise ValueError(
                f"{one.name}: accuracy must lie in [0, 1], not in percent, and cost above 0."
            )
        if len(accuracy) != len(cost):
            raise ValueError(f"{one.name}: {len(accuracy)} accuracies for {len(cost)} costs.")
    if abs(dense[-1].place[0] - 1) > 1e-3:
        raise ValueError(
            f"{dense[-1].name}: the last dense network is the dense run, whose cost is 1, not "
            f"{dense[-1].place[0]:g}."
        )
    _check_tickets(drawn)


def _check_tickets(drawn: Sequence[Outcome]) -> None:
    parts, seen = list(drawn[0].left), set()
    for one in drawn:
        if not isinstance(one.ratio, Real) or not 0 <= one.ratio < 1:
            raise ValueError(
                f"{one.name}: a ratio is a share of units in [0, 1), not {one.ratio!r}."
            )
        if list(one.left) != parts or MULTIPLICATIONS not in parts:
            raise ValueError(
                f"{one.name}: left must name the same parts for every ticket, "
                f"{MULTIPLICATIONS!r} among them, not {list(one.left)}."
            )
        for part, values in one.left.items():
            shares = finite(f"{one.name}: {part}", values, 1)
            if len(shares) != len(one.cost) or shares.min() <= 0:
                raise ValueError(f"{one.name}: {part} left must be a share above 0 for each seed.")
        if max(one.left[MULTIPLICATIONS]) > 1:
            raise ValueError(f"{one.name}: {MULTIPLICATIONS} left must be a share of at most 1.")
        if (one.name, one.ratio) in seen:
            raise ValueError(
                f"{one.name}: two tickets of the ratio {one.ratio}; seeds belong in one of them."
            )
        seen.add((one.name, one.ratio))
        if one.late and one.name == drawn[0].name:
            raise ValueError(
                f"{one.name}: tickets of the first name are drawn early, since the bounds are for "
                "them; put others first."
            )


def _check_level(level: tuple[str, float]) -> None:
    if len(level) != 2 or not isinstance(level[1], Real) or not 1 <= level[1] < np.inf:
        raise ValueError(f"level is a name and a factor of 1 or more, not {level}.")


def _numbers(one: Outcome) -> dict:
    return {key: np.asarray(getattr(one, key), float).tolist() for key in ("cost", "accuracy")}


def _written(one: Outcome) -> dict:
    left = {part: np.asarray(values, float).tolist() for part, values in one.left.items()}
    return {"name": one.name, "ratio": one.ratio, "late": one.late, "left": left, **_numbers(one)}


def _table(here: Sequence[Outcome], given: dict) -> str:
    """What tickets of one ratio reach, cost and keep: the table of the page, without scripts."""
    made = {one.name: one for one in here}
    columns = [made.get(name) for name in given["colours"]]
    heads = "".join(
        f'<th scope="col"><i style="background: var(--sl-{colour})"></i>{html.escape(name)}</th>'
        for name, colour in given["colours"].items()
    )
    kinds = {"accuracy": lambda one: one.accuracy, "training FLOPs": lambda one: one.cost}
    kinds |= {part: lambda one, part=part: one.left[part] for part in here[0].left}
    rows = "".join(
        f'<tr><th scope="row">{html.escape(kind)}</th>'
        f"{''.join(f'<td>{_cell(of(one)) if one else NONE}</td>' for one in columns)}</tr>"
        for kind, of in kinds.items()
    )
    removed = f"{given['values'][given['start']]} removed"
    return (
        '<div class="sl-still"><table class="sl-shares">'
        f"<thead><tr><td>{removed}</td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell(values: Sequence[float]) -> str:
    """The mean over seeds in percent, and from where to where it goes."""
    low, high = (f"{100 * end:.1f}" for end in (min(values), max(values)))
    spread = "" if low == high else f"{low} to {high}"
    return f"{100 * np.mean(values):.1f} % <small>{spread}</small>"


def _reached(drawn, dense, here, given: dict, alt: str) -> Figure:
    first = next(iter(given["colours"]))

    def draw(ax, palette) -> None:
        ax.plot(*zip(*(one.place for one in dense), strict=True), ".-", color=palette.ink)
        own = [one.place for one in drawn if one.name == first]
        ax.plot(*zip(*own, strict=True), ".-", color=palette.series(first), linewidth=1)
        for one in dense:
            side = "left" if one.place[0] < given["spent"] / 5 else "center"
            ax.annotate(one.name, one.place, (0, 7), textcoords="offset points", ha=side)
        for place, name in enumerate(given["colours"]):
            shown = [one.place for one in here if one.name == name]
            x, y = zip(*shown, strict=True) if shown else ([], [])
            ax.plot(x, y, "o", color=palette.series(name, place), markersize=9, label=name)
        ax.set(xlabel="training FLOPs, dense run = 1", ylabel="accuracy (%)")
        ax.set(xlim=(0, given["spent"]), ylim=given["reached"])
        legend(ax)

    return figure(draw, alt, size=(4.0, 3.9))


def _saved(drawn, here, given: dict, level) -> Figure:
    early = [one for one in here if not one.late]

    def draw(ax, palette) -> None:
        ax.plot(_SHARES, 1 / _SHARES, color=palette.ink, label="1/m")
        ax.plot(_SHARES, 1 + 1 / _SHARES, "--", color=palette.muted, label="(1 + m)/m")
        if level is not None:
            ax.axhline(level[1], color=palette.boundary, linestyle=":", label=level[0])
        for one in early:
            place = list(given["colours"]).index(one.name)
            colour = palette.series(one.name, place)
            ax.plot(one.share, one.factors()[0], "o", color=colour, markersize=9)
        ax.set(xlabel="multiplications left, m", ylabel="times less than the dense run")
        ax.set(xlim=(0, 1), ylim=(given["least"], given["most"]))
        legend(ax)

    told = "; ".join(
        f"{one.name} keeps {one.share:.2f}, {one.factors()[0]:.2f} times less than the dense run "
        f"where {1 / one.share:.2f} is the most, {one.factors()[1]:.2f} than a lottery where "
        f"{1 + 1 / one.share:.2f} is"
        for one in early
    )
    return figure(draw, f"Savings and their bounds: {told}.", size=(4.0, 3.9))
