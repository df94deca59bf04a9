"""One cell, two lives: a live view with a kernel, the same view as plain HTML without one."""

import html
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import warn
from .frames import shared as shared_parts
from .svg import STYLE, Figure, Row, caption_html, check_alt, new_identity

# Set to "static" while the book is executed, so that its pages need no kernel.
MODE = "SPLINELIB_WIDGETS"
# A page with a few widgets should still open quickly on a phone.
_BUDGET = 1_500_000
# Runs inside the range input: shows one frame, hides the others, and reads its label out.
_MOVE = (
    "const w=this.closest('.sl-widget'),f=[...w.querySelectorAll('.sl-frame')];"
    "f.forEach((e,i)=>e.hidden=i!=this.value);const t=f[this.value].dataset.value;"
    "w.querySelector('output').textContent=t;this.setAttribute('aria-valuetext',t)"
)
_INTERVAL = 700  # milliseconds from one picture to the next while it plays
# Runs inside the button: moves the slider step by step until its end, or until the reader does.
_PLAY = (
    "const b=this,r=b.closest('.sl-widget').querySelector('input'),"
    "stop=()=>{clearInterval(b.clock);b.clock=0;b.textContent='Play'};"
    "if(b.clock)return stop();if(+r.value>=+r.max){r.value=0;r.oninput()}b.textContent='Pause';"
    "for(const e of['pointerdown','keydown'])r.addEventListener(e,stop,{once:true});"
    "b.clock=setInterval(()=>{r.value=+r.value+1;r.oninput();if(+r.value>=+r.max)stop()},"
    f"{_INTERVAL})"
)


def scrub(
    draw: Callable[[object], Figure | Row],
    values: Iterable,
    label: str,
    alt: str | Callable[[object], str],
    format: str | Callable[[object], str] = "{}",
    caption: str | None = None,
    start: int = 0,
):
    """A picture with a slider: the reader moves it through `values`, the picture follows.

    With a live kernel this is an ipywidgets view that calls `draw` as the slider moves. While the
    book is executed (environment variable ``SPLINELIB_WIDGETS=static``), or where there is no
    kernel, it is HTML with every frame in the page, a plain range input, and a button that plays;
    who asks for less motion has no button.

    Parameters
    ----------
    draw : callable
        ``draw(value)`` returns a figure of `splinelib.plotting`, or several `beside` each other,
        as many for each value.
    values : iterable
        The positions of the slider, at least two. Every one is a frame in the page: a few dozen.
    label : str
        Says what the slider changes.
    alt : str or callable
        What each frame shows: a format string that takes the value (``"Ratio {:.0%}: ..."``), or
        a function of the value. It takes the place of a figure's own alt text; figures beside each
        other keep theirs.
    format : str or callable
        How the value is written beside the slider.
    caption : str, optional
    start : int
        Index of the value shown first.

    Returns
    -------
    Still or ipywidgets.VBox
        For the notebook to show: let it be the cell's last expression.

    Raises
    ------
    TypeError
        If `draw` returns something else than a figure of the library.
    ValueError
        For fewer than two values, an empty label or alt text, or a start that is no index.

    Examples
    --------
    >>> from splinelib import plotting
    >>> def line(slope):
    ...     return plotting.figure(lambda ax, _: ax.plot([0, 1], [0, slope]), "A line.")
    >>> shown = scrub(line, [0, 1, 2], "slope", "A line of slope {}.")
    >>> shown.frames
    3
    """
    values = list(values)
    if len(values) < 2:
        raise ValueError(f"a slider needs at least two values, got {len(values)}.")
    if not label.strip():
        raise ValueError("label must say what the slider changes; it is empty.")
    if not -len(values) <= start < len(values):
        raise ValueError(f"start is the index of one of {len(values)} values, got {start}.")
    alts = [check_alt(_say(alt, value)) for value in values]
    texts = [_say(format, value) for value in values]
    start %= len(values)

    def frame(index: int) -> Figure | Row:
        shown = draw(values[index])
        if not isinstance(shown, Figure | Row):
            raise TypeError(
                f"draw must return a figure of splinelib.plotting, not {type(shown).__name__}."
            )
        return replace(shown, alt=alts[index], caption=caption)

    if is_live():
        return _live(frame, texts, label, start)
    return _still([frame(index) for index in range(len(values))], texts, label, caption, start)


def is_live() -> bool:
    """Whether a kernel is there to answer, and the page wants it to."""
    if os.environ.get(MODE, "live") == "static":
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _say(pattern: str | Callable[[object], str], value: object) -> str:
    return pattern(value) if callable(pattern) else pattern.format(value)


def _live(frame: Callable[[int], Figure | Row], texts: Sequence[str], label: str, start: int):
    import ipywidgets

    seen: dict[int, str] = {}

    def picture(index: int) -> str:
        if index not in seen:
            seen[index] = frame(index)._repr_html_()
        return seen[index]

    options = [(text, index) for index, text in enumerate(texts)]
    slider = ipywidgets.SelectionSlider(
        options=options,
        value=start,
        description=label,
        style={"description_width": "initial"},
        layout={"width": "100%", "max_width": "36em"},
    )
    play = ipywidgets.Play(value=start, max=len(texts) - 1, interval=_INTERVAL, show_repeat=False)
    ipywidgets.jslink((play, "value"), (slider, "index"))
    view = ipywidgets.HTML(picture(start))
    slider.observe(lambda change: setattr(view, "value", picture(change.new)), "value")
    box = ipywidgets.VBox([ipywidgets.HBox([slider, play]), view])
    box.add_class("sl-widget")
    return box


@dataclass(frozen=True)
class Still:
    """A widget without a kernel: every frame in the page, one visible, and a range input."""

    markup: str
    label: str
    frames: int

    def __repr__(self) -> str:
        return f"Still({self.label!r}, {self.frames} frames)"

    def _repr_html_(self) -> str:
        return self.markup


def _still(
    shown: Sequence[Figure | Row],
    texts: Sequence[str],
    label: str,
    caption: str | None,
    start: int,
) -> Still:
    svgs = [figure.svg for one in shown for figure in one.figures]
    identity = new_identity(label + svgs[0])
    shared, pictures = shared_parts(svgs, identity)
    left, frames = iter(pictures), ""
    for index, (one, text) in enumerate(zip(shown, texts, strict=True)):
        hidden = "" if index == start else ' hidden=""'
        value = html.escape(text, quote=True)
        picture = one.placed([next(left) for _ in one.figures])
        frames += f'<div class="sl-frame" data-value="{value}"{hidden}>{picture}</div>'
    now = html.escape(texts[start], quote=True)
    longest = max(map(len, texts))  # where a phone has no room for it, it gets a line of its own
    markup = (
        f'<figure class="sl sl-widget"><style>{STYLE}</style>'
        f'<div class="sl-control"><label for="{identity}">{html.escape(label)}</label>'
        f'<input type="range" id="{identity}" min="0" max="{len(shown) - 1}" step="1" '
        f'value="{start}" autocomplete="off" aria-valuetext="{now}" '
        f'oninput="{html.escape(_MOVE)}"/>'
        f'<output for="{identity}" style="--sl-longest:{longest}ch">{now}</output>'
        f'<button type="button" class="sl-play" onclick="{html.escape(_PLAY)}">Play</button></div>'
        f"{shared}{frames}{caption_html(caption)}</figure>"
    )
    if len(markup) > _BUDGET:
        warn(
            f"the widget {label!r} puts {len(markup) / 1e6:.1f} MB into the page; use fewer "
            f"values or simpler pictures (at most {_BUDGET / 1e6:.1f} MB)."
        )
    return Still(markup, label, len(shown))
