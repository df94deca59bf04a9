"""A drawing as inline SVG that follows the theme of the page that it lies on.

A figure is drawn once with matplotlib. Each colour of the palette is drawn as a sentinel and then
replaced by a CSS custom property, so one picture serves light and dark pages: the built book,
JupyterLab, or a file opened by itself. Text is outlines, so it looks the same everywhere.
"""

import hashlib
import html
import io
import itertools
import re
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import (
    AutoLocator,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    ScalarFormatter,
)

from ..files import replacing
from .palette import COLOURS, PALETTE, Palette, css_variable

_SETTINGS = {
    "svg.fonttype": "path",
    "svg.hashsalt": "splinelib",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "text.color": PALETTE.ink,
    "axes.labelcolor": PALETTE.ink,
    "axes.titlecolor": PALETTE.ink,
    "axes.edgecolor": PALETTE.axis,
    "xtick.color": PALETTE.axis,
    "ytick.color": PALETTE.axis,
    "xtick.labelcolor": PALETTE.muted,
    "ytick.labelcolor": PALETTE.muted,
    "grid.color": PALETTE.grid,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "axes.formatter.use_mathtext": True,
}
# Inches. On a phone a figure is some 320 pixels wide; drawn wider than this, its text of 11 points
# would be smaller than 11 pixels there.
_WIDEST = 4.4
_ROOM = 0.85  # of a side of the figure, for what is written along it
# Of a logarithmic axis with plain numbers: its ends, and the most that it spans.
_SMALLEST, _LARGEST, _LITTLE = 1e-3, 1e6, 150
_LARGER = 1.15  # than drawn, at most, where there is room
_CSS_VARIABLES = "".join(
    f"--sl-{name}:light-dark({light},{dark});" for name, (light, dark) in COLOURS.items()
)


def _stylesheet() -> str:
    """`svg.css` with the colours filled in, small enough to travel with every figure."""
    rules = Path(__file__).with_name("svg.css").read_text("utf-8")
    return small_css(rules.replace("--sl-colours: 0;", _CSS_VARIABLES))


def small_css(rules: str) -> str:
    """A stylesheet without comments and spaces, small enough to travel with a figure."""
    rules = re.sub(r"/\*.*?\*/", "", rules, flags=re.DOTALL)
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r":\s+", ":", rules)).strip()


STYLE = _stylesheet()
SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_identities = itertools.count(1)
ET.register_namespace("", SVG)


class _PlainNumbers(ScalarFormatter):
    """Numbers at ticks as text; only what stands at the end of an axis (× 10³) is set as a formula.

    Setting a formula takes longer than drawing all else, and numbers look the same without.
    """

    def __call__(self, x, pos=None):
        return super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")


@dataclass(frozen=True)
class Figure:
    """One picture: an SVG that follows the page's theme, its alt text and its caption.

    Attributes
    ----------
    svg : str
        The whole ``<svg>`` element, colours as CSS custom properties.
    alt : str
        What the picture shows, in words.
    caption : str or None
        Plain text below the picture.
    width : int
        Natural width in CSS pixels; on a narrower page the figure shrinks.
    """

    svg: str
    alt: str
    caption: str | None
    width: int

    def inline(self) -> str:
        """The SVG for a page: labelled, sized, and with ids that no other figure has."""
        return self.labelled(own_ids(self.svg, new_identity(self.svg) + "-"))

    def labelled(self, svg: str) -> str:
        """An ``<svg>`` element with this figure's alt text and width."""
        label = html.escape(self.alt, quote=True)
        root = f'<svg role="img" aria-label="{label}" style="max-width:{self.width}px"'
        return svg.replace("<svg", root, 1)

    @property
    def figures(self) -> tuple["Figure", ...]:
        """Itself alone, as a row has several."""
        return (self,)

    def placed(self, pictures: Sequence[str]) -> str:
        """The markup of this figure with its one picture, an ``<svg>`` element, given."""
        return self.labelled(*pictures)

    def __repr__(self) -> str:
        return f"Figure({self.alt!r})"

    def _repr_html_(self) -> str:
        return (
            f'<figure class="sl sl-figure"><style>{STYLE}</style>{self.inline()}'
            f"{caption_html(self.caption)}</figure>"
        )

    def save(self, path: str | Path, theme: str = "light") -> None:
        """Write a standalone SVG file with the colours of one theme, for a README or a slide.

        Parameters
        ----------
        path : path-like
        theme : {"light", "dark"}
        """
        if theme not in ("light", "dark"):
            raise ValueError(f'theme is "light" or "dark", not {theme!r}.')
        pick = theme == "dark"
        svg = re.sub(r"var\(--sl-(\w+),[^)]*\)", lambda found: COLOURS[found[1]][pick], self.svg)
        title = f"<title>{html.escape(self.alt)}</title>"
        root = r'<svg style="stroke-linejoin:round"\1>' + title.replace("\\", r"\\")
        with replacing(path) as temporary:
            temporary.write_text(re.sub(r"<svg([^>]*)>", root, svg, count=1), "utf-8")


@dataclass(frozen=True)
class Row:
    """Several figures side by side, one below the other on a narrow page.

    Attributes
    ----------
    figures : tuple of Figure
    caption : str or None
        Plain text below them.
    alt : str or None
        What they show together; each has an alt text of its own.
    """

    figures: tuple[Figure, ...]
    caption: str | None
    alt: str | None = None

    def placed(self, pictures: Sequence[str]) -> str:
        """The markup of this row with its pictures, an ``<svg>`` element for each, given."""
        label = (
            f' role="group" aria-label="{html.escape(self.alt, quote=True)}"' if self.alt else ""
        )
        inner = "".join(
            figure.labelled(picture) for figure, picture in zip(self.figures, pictures, strict=True)
        )
        return f'<div class="sl-row"{label}>{inner}</div>'

    def __repr__(self) -> str:
        return f"Row({', '.join(repr(figure) for figure in self.figures)})"

    def _repr_html_(self) -> str:
        pictures = [own_ids(one.svg, new_identity(one.svg) + "-") for one in self.figures]
        return (
            f'<figure class="sl sl-figure"><style>{STYLE}</style>'
            f"{self.placed(pictures)}{caption_html(self.caption)}</figure>"
        )


def figure(
    draw: Callable[[Axes, Palette], None],
    alt: str,
    caption: str | None = None,
    size: tuple[float, float] = (5.8, 3.6),
    phone: bool = True,
) -> Figure:
    """Draw with matplotlib in the colours of the book: what every other function here does.

    Parameters
    ----------
    draw : callable
        ``draw(ax, palette)`` draws into a matplotlib Axes with colours of the `Palette`.
    alt : str
        What the picture shows, for readers who cannot see it.
    caption : str, optional
    size : (float, float)
        Width and height in inches.
    phone : bool
        Whether a phone should show its text in a size that can be read: a figure wider than 4.4
        inches is then drawn smaller, with text as it is.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        Without alt text.

    Examples
    --------
    >>> figure(lambda ax, palette: ax.plot([0, 1], [1, 0], color=palette.kept), "A falling line.")
    Figure('A falling line.')
    """
    alt = check_alt(alt)
    buffer = io.StringIO()
    with rc_context(_SETTINGS):
        drawn = _drawn(size) if phone else size
        canvas = Canvas(figsize=drawn, layout="constrained")
        ax = canvas.add_subplot()
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(_PlainNumbers())
        draw(ax, PALETTE)
        plain_ticks(ax)
        whole_ticks(ax)
        break_labels(ax)
        canvas.savefig(buffer, format="svg", dpi=160)
    width = min(size[0], _LARGER * drawn[0])
    return Figure(_for_page(buffer.getvalue()), alt, caption, round(width * 96))


def plain_ticks(ax: Axes) -> None:
    """Write few plain numbers along a logarithmic axis that spans little; ticks of one's own stay.

    Matplotlib writes powers of ten there, at every step, and they run into each other.
    """
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() != "log" or isinstance(axis.get_major_locator(), FixedLocator):
            continue
        low, high = sorted(axis.get_view_interval())
        if not (low >= _SMALLEST and high <= _LARGEST and high < _LITTLE * low):
            continue
        steps = LogLocator(subs=(1, 2, 5)) if high > 4 * low else MaxNLocator(4)
        axis.set_major_locator(steps)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_locator(NullLocator())


def whole_ticks(ax: Axes) -> None:
    """Write whole numbers along an axis of epochs, layers or the like: there is no layer 2.5."""
    drawn = [np.asarray(line.get_xdata(), float) for line in ax.lines]
    drawn = [x for x in drawn if len(x) > 2]  # two points are a line across the drawing
    steps = ax.xaxis.get_major_locator()
    if type(steps) is AutoLocator and drawn and all((x == np.round(x)).all() for x in drawn):
        steps.set_params(integer=True)


def break_labels(ax: Axes) -> None:
    """Put a title, or the name of an axis, on several lines where one would be too long."""
    box = ax.figure.bbox
    for label, room, upright in (
        (ax.title, box.width, False),
        (ax.xaxis.label, box.width, False),
        (ax.yaxis.label, box.height, True),
    ):
        text, extent = label.get_text(), label.get_window_extent()
        share = _ROOM * room / max(extent.height if upright else extent.width, 1)
        if share < 1 and "$" not in text:  # a formula stays whole
            fits = int(share * max(map(len, text.splitlines())))
            lines = [line for part in text.splitlines() for line in textwrap.wrap(part, fits)]
            label.set_text("\n".join(lines))


def _drawn(size: tuple[float, float]) -> tuple[float, float]:
    """Width and height at which a figure is drawn; legends below it need the height that it had."""
    return min(size[0], _WIDEST), size[1]


def beside(*figures: Figure, caption: str | None = None) -> Row:
    """Put figures side by side; on a phone they stand one below the other."""
    if not figures or not all(isinstance(one, Figure) for one in figures):
        raise TypeError("beside takes one or more figures made by this module.")
    return Row(figures, caption)


def check_alt(alt: str) -> str:
    """Return the alt text, or say that it is missing."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt must say in words what the figure shows; it is empty.")
    return " ".join(alt.split())


def new_identity(content: str) -> str:
    """An id that no other element has, on this page or in another open notebook."""
    return f"sl{hashlib.sha256(content.encode()).hexdigest()[:6]}n{next(_identities)}"


def own_ids(svg: str, prefix: str) -> str:
    """The same SVG with `prefix` before every id and every reference to one."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}", svg)


def caption_html(text: str | None) -> str:
    """The figure's caption, escaped; nothing where there is none."""
    return f"<figcaption>{html.escape(text)}</figcaption>" if text else ""


def _for_page(svg: str) -> str:
    """Make matplotlib's SVG fit to lie inside a page: smaller, themed, free of global style."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            # matplotlib's <style> would apply to the whole page; ours says the same for .sl svg.
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    for node in root.iter():
        if node.get("id") not in used:
            node.attrib.pop("id", None)
        if _XLINK in node.attrib:
            node.set("href", node.attrib.pop(_XLINK))
        if "d" in node.attrib:
            node.set("d", _shorter(node.get("d")))
        for key in ("x", "y"):
            if key in node.attrib:
                node.set(key, _shorter(node.get(key)))
        node.text = node.text and node.text.strip()
        node.tail = None
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    text = ET.tostring(root, encoding="unicode").replace("; ", ";").replace(": ", ":")
    return re.sub("#51c0([0-9a-f]{2})", lambda found: css_variable(found[0]), text)


def _shorter(path: str) -> str:
    """A path with coordinates to a hundredth of a point."""
    numbers = re.sub(
        r"-?\d+\.\d+(?:e-?\d+)?", lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), path
    )
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", numbers).strip()
