"""Draw the SVG of a figure as pixels, with matplotlib's own renderer.

The figures of the book are SVG that matplotlib wrote and `splinelib.plotting` made smaller. Its
vocabulary is small: paths, groups, references, clips and pictures. What stands outside of it is
refused by name, so that no card shows half a figure.
"""

import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field, replace

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform, TransformedPath
from PIL import Image

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_STEP = re.compile(r"([A-DF-Za-df-z])([^A-DF-Za-df-z]*)")  # e stands in numbers
# letter -> (code of matplotlib, points that belong to it)
_CODES = {
    "M": (Path.MOVETO, 1),
    "L": (Path.LINETO, 1),
    "Q": (Path.CURVE3, 2),
    "C": (Path.CURVE4, 3),
}
_COLOUR = re.compile(r"var\(--sl-\w+,\s*([^)]+)\)")
_INHERITED = (
    "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
    "fill-opacity", "stroke-opacity", "paint-order",
)  # fmt: skip
_START = {"fill": "#000000", "stroke": "none", "stroke-width": "1"}
_DPI = 72  # then one of matplotlib's points is one pixel


class NotDrawable(ValueError):
    """An SVG that uses something outside of the vocabulary."""


@dataclass(frozen=True)
class _State:
    """What an element takes from those around it."""

    place: Transform
    style: dict = field(default_factory=lambda: dict(_START))
    opacity: float = 1.0
    clip: tuple | None = None


class Canvas:
    """A white picture to draw SVGs on, in pixels from the upper left corner.

    Parameters
    ----------
    width, height : int
    """

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self._renderer = RendererAgg(width, height, _DPI)
        self._flip = Affine2D().scale(1, -1).translate(0, height)  # matplotlib counts from below
        self.fill(Path.unit_rectangle(), Affine2D().scale(width, height), "#ffffff")

    def fill(self, path: Path, place: Transform, colour: str) -> None:
        """Fill a path with one colour; `place` takes its coordinates to pixels."""
        self._renderer.draw_path(self._pen(), path, place + self._flip, to_rgba(colour))

    def svg(self, svg: ET.Element, shared: ET.Element | None, box: tuple) -> None:
        """Draw an ``<svg>`` as large as a box has room for, in its middle.

        Parameters
        ----------
        svg : Element
            With a ``viewBox``.
        shared : Element, optional
            An ``<svg>`` of definitions that it refers to.
        box : (float, float, float, float)
            Left, top, width, height in pixels.

        Raises
        ------
        NotDrawable
            It uses something else than matplotlib's SVGs do.
        """
        left, top, width, height = map(float, svg.get("viewBox").split())
        scale = min(box[2] / width, box[3] / height)
        place = Affine2D().translate(-left, -top).scale(scale)
        place.translate(
            box[0] + (box[2] - scale * width) / 2, box[1] + (box[3] - scale * height) / 2
        )
        known = [svg] if shared is None else [shared, svg]
        self._named = {e.get("id"): e for root in known for e in root.iter() if e.get("id")}
        state = self._entered(svg, _State(place))
        for child in svg:
            self._draw(child, state)

    def image(self) -> Image.Image:
        """What has been drawn, without transparency."""
        return Image.fromarray(np.asarray(self._renderer.buffer_rgba())).convert("RGB")

    def _pen(self):
        pen = self._renderer.new_gc()
        pen.set_linewidth(0)
        return pen

    def _draw(self, element: ET.Element, around: _State) -> None:
        tag = element.tag.rpartition("}")[2]
        if tag in ("defs", "title", "desc", "style"):
            return
        state = self._entered(element, around)
        if tag == "g":
            for child in element:
                self._draw(child, state)
        elif tag == "use":
            by = float(element.get("x", 0)), float(element.get("y", 0))
            moved = replace(state, place=Affine2D().translate(*by) + state.place)
            self._draw(self._refer(element.get("href")), moved)
        elif tag in ("path", "rect"):
            self._stroke_and_fill(_outline(element), state)
        elif tag == "image":
            self._picture(element, state)
        else:
            raise NotDrawable(f"<{tag}> is not among what matplotlib's figures are made of.")

    def _refer(self, reference: str) -> ET.Element:
        name = reference.removeprefix("url(").removesuffix(")").removeprefix("#")
        if name not in self._named:
            raise NotDrawable(f"{reference} refers to nothing.")
        return self._named[name]

    def _entered(self, element: ET.Element, around: _State) -> _State:
        """The state inside of an element: its transform, style and clip on top of those around."""
        given = dict(
            part.split(":", 1) for part in element.get("style", "").split(";") if ":" in part
        )
        given = {key.strip(): value.strip() for key, value in given.items()}
        given = {k: element.get(k) for k in (*_INHERITED, "opacity") if element.get(k)} | given
        place = _transform(element.get("transform", "")) + around.place
        style = around.style | {k: v for k, v in given.items() if k in _INHERITED}
        clip = around.clip
        if element.get("clip-path"):
            (shape,) = self._refer(element.get("clip-path"))
            clip = _outline(shape), _transform(shape.get("transform", "")) + place
        return _State(place, style, around.opacity * float(given.get("opacity", 1)), clip)

    def _stroke_and_fill(self, path: Path, state: _State) -> None:
        style, place = state.style, state.place + self._flip
        pen = self._pen()
        self._clip(pen, state)
        face = self._paint(style["fill"], style.get("fill-opacity"), state)
        line = self._paint(style["stroke"], style.get("stroke-opacity"), state)
        if line is not None:
            scale = abs(np.linalg.det(state.place.get_matrix()[:2, :2])) ** 0.5
            pen.set_linewidth(float(style["stroke-width"]) * scale)
            pen.set_foreground(line, isRGBA=True)
            cap = style.get("stroke-linecap", "butt")
            pen.set_capstyle("projecting" if cap == "square" else cap)
            pen.set_joinstyle(style.get("stroke-linejoin", "round"))
            dashes = [float(n) * scale for n in _NUMBER.findall(style.get("stroke-dasharray", ""))]
            pen.set_dashes(0, dashes * (1 + len(dashes) % 2) or None)
        if len(path) and not (face is None and line is None):
            self._renderer.draw_path(pen, path, place, face)
        if style.get("paint-order") == "stroke" and face is not None:  # the stroke lies below
            self._renderer.draw_path(self._pen(), path, place, face)

    def _paint(self, colour: str, opacity: str | None, state: _State) -> tuple | None:
        if colour == "none":
            return None
        if colour.startswith("url("):  # a hatch: the colour behind its lines, if it has one
            ground = self._refer(colour).find("{*}rect")
            colour = "none" if ground is None else ground.get("fill", "none")
            if colour == "none":
                return None
        colour = _COLOUR.sub(r"\1", colour)
        if colour.startswith("rgb("):
            colour = tuple(int(part) / 255 for part in re.findall(r"\d+", colour))
        red, green, blue, alpha = to_rgba(colour)
        return red, green, blue, alpha * float(opacity or 1) * state.opacity

    def _clip(self, pen, state: _State) -> None:
        if state.clip is not None:
            outline, place = state.clip
            pen.set_clip_path(TransformedPath(outline, place + self._flip))

    def _picture(self, element: ET.Element, state: _State) -> None:
        """A picture, which lies along the axes, perhaps upside down."""
        _, found, data = element.get("href", "").partition("base64,")
        if not found:
            raise NotDrawable("a picture that does not travel with its figure.")
        x, y, width, height = (float(element.get(k, 0)) for k in ("x", "y", "width", "height"))
        corners = state.place.transform([(x, y), (x + width, y + height)])
        (left, top), (right, bottom) = corners.tolist()
        if abs(state.place.get_matrix()[0, 1]) > 1e-9:
            raise NotDrawable("a picture that is turned.")
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
        if right < left:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if bottom < top:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        size = round(abs(right - left)), round(abs(bottom - top))
        pixels = np.asarray(image.resize([max(1, side) for side in size], Image.Resampling.BOX))
        pen = self._pen()
        self._clip(pen, state)
        pen.set_alpha(state.opacity)
        low = self.height - max(top, bottom)
        self._renderer.draw_image(pen, round(min(left, right)), round(low), pixels[::-1])


def _outline(element: ET.Element) -> Path:
    if element.tag.rpartition("}")[2] == "rect":
        x, y, width, height = (float(element.get(k, 0)) for k in ("x", "y", "width", "height"))
        box = Affine2D().scale(width, height).translate(x, y)
        return box.transform_path(Path.unit_rectangle())
    return _path(element.get("d", ""))  # a space has none


def _path(text: str) -> Path:
    """An outline from the ``d`` of a path: straight lines and curves, all in absolute places."""
    points, codes = [], []
    for letter, numbers in _STEP.findall(text):
        if letter in "zZ":
            points.append((0.0, 0.0))
            codes.append(Path.CLOSEPOLY)
            continue
        found = _NUMBER.findall(numbers)
        if letter not in _CODES or len(found) != 2 * _CODES[letter][1]:
            raise NotDrawable(f"the step {letter}{numbers} of a path.")
        places = np.array(found, float).reshape(-1, 2)
        points += places.tolist()
        codes += [_CODES[letter][0]] * len(places)
    return Path(np.array(points).reshape(-1, 2), codes)


def _transform(text: str) -> Transform:
    """What the attribute ``transform`` says, the last of its parts applied first."""
    total = Affine2D()
    for kind, inside in re.findall(r"(\w+)\(([^)]*)\)", text):
        given = [float(n) for n in _NUMBER.findall(inside)]
        one = Affine2D()
        if kind == "translate":
            one.translate(given[0], given[1] if len(given) > 1 else 0)
        elif kind == "scale":
            one.scale(*given)
        elif kind == "rotate" and len(given) == 1:
            one.rotate_deg(given[0])
        elif kind == "matrix":
            a, b, c, d, e, f = given
            one = Affine2D(np.array([[a, c, e], [b, d, f], [0, 0, 1]]))
        else:
            raise NotDrawable(f"the transform {kind}({inside}).")
        total = one + total
    return total
