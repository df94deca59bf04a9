"""Figures as pixels: what matplotlib wrote is drawn as matplotlib draws it."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from splinelib import plotting
from splinelib.plotting.palette import PALETTE
from tools import raster

SIZE = (4.0, 3.0)  # inches


def svg(body: str, view: str = "0 0 10 10") -> ET.Element:
    return ET.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">{body}</svg>')


def pixels(element: ET.Element, side: int = 100, shared: ET.Element | None = None) -> np.ndarray:
    canvas = raster.Canvas(side, side)
    canvas.svg(element, shared, (0, 0, side, side))
    return np.asarray(canvas.image())


def blocks(image: np.ndarray, side: int = 5) -> np.ndarray:
    """Means of squares of pixels."""
    height, width = (length // side for length in image.shape[:2])
    return image.astype(float).reshape(height, side, width, side, 3).mean(axis=(1, 3))


def everything(ax, palette) -> None:
    """What figures are made of: lines, dashes, text, areas, markers, an image, a clip."""
    ax.plot([0, 1, 2], [0, 3, 1], color=palette.kept, linestyle="--", marker="o", label="a line")
    ax.fill_between([0, 1, 2], [0, 1, 0], alpha=0.4, color=palette.boundary)
    ax.imshow(np.arange(12).reshape(3, 4), extent=(1, 2, 2, 3), cmap="magma", aspect="auto")
    ax.annotate("there", (1, 1), (0.2, 2.5), arrowprops={"arrowstyle": "->"})
    ax.set(xlim=(0.2, 2.2), ylim=(0, 3.2), title=r"a figure, $x^2$")
    ax.set_xticks([0.5, 1, 1.5, 2])
    ax.legend()


def test_a_figure_looks_as_matplotlib_draws_it():
    sheets = []

    def draw(ax, palette) -> None:
        sheets.append(ax.figure)
        everything(ax, palette)

    figure = plotting.figure(draw, "All.", size=SIZE)
    buffer = io.BytesIO()
    sheets[0].savefig(buffer, dpi=100, facecolor="#ffffff")
    theirs = blocks(np.asarray(Image.open(buffer).convert("RGB")))
    # matplotlib draws in the colours that stand for those of the page
    text = re.sub(r"var\(--sl-(\w+),[^)]*\)", lambda m: getattr(PALETTE, m[1]), figure.svg)
    canvas = raster.Canvas(400, 300)
    canvas.svg(ET.fromstring(text), None, (0, 0, 400, 300))
    ours = blocks(np.asarray(canvas.image()))
    assert np.abs(ours - theirs).mean() < np.abs(theirs - 255).mean() / 10


def test_transforms_references_and_clips():
    body = (
        '<defs><clipPath id="c"><rect x="0" y="0" width="5" height="10"/></clipPath>'
        '<path id="p" d="M0 0L2 0L2 2L0 2z"/></defs>'
        '<g clip-path="url(#c)"><use href="#p" x="4" y="4" style="fill:#ff0000"/></g>'
        '<use href="#p" transform="translate(6 0) scale(2)" style="fill:#0000ff;opacity:0.5"/>'
    )
    seen = pixels(svg(body))
    assert seen[50, 45].tolist() == [255, 0, 0] and seen[50, 55].tolist() == [255, 255, 255]
    assert seen[20, 80].tolist() == pytest.approx([127, 127, 255], abs=2)
    assert seen[80, 20].tolist() == [255, 255, 255]


def test_what_the_root_says_holds_for_all_and_a_stroke_may_lie_below():
    body = (
        '<path d="M0 0L4 0L4 4L0 4z" style="stroke:rgb(255,0,0)"/>'
        '<path d="M6 6L8 6L8 8L6 8z" fill="rgb(0,0,255)" stroke="#00ff00" stroke-width="4" '
        'paint-order="stroke"/>'
    )
    root = svg(body)
    root.set("fill", "none")
    seen = pixels(root)
    assert seen[20, 20].tolist() == [255] * 3 and seen[40, 20].tolist() == [255, 0, 0]
    assert seen[65, 65].tolist() == [0, 0, 255] and seen[55, 70].tolist() == [0, 255, 0]


def test_definitions_may_stand_in_another_element():
    shared = svg('<defs><path id="p" d="M0 0L10 0L10 10L0 10z"/></defs>')
    assert pixels(svg('<use href="#p" style="fill:#00ff00"/>'), shared=shared)[50, 50, 1] == 255
    with pytest.raises(raster.NotDrawable, match="#p refers to nothing"):
        pixels(svg('<use href="#p"/>'))


@pytest.mark.parametrize("flip, first", [("", 0), ("matrix(1 0 0 -1 0 10)", 255)])
def test_pictures_lie_as_they_should(flip, first):
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0], [255]], np.uint8)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    picture = (
        f'<image x="0" y="0" width="10" height="10" transform="{flip}" '
        f'href="data:image/png;base64,{data}"/>'
    )
    seen = pixels(svg(picture))
    assert seen[25, 50, 0] == first and seen[75, 50, 0] == 255 - first


@pytest.mark.parametrize(
    "body, told",
    [
        ("<circle r='1'/>", "<circle>"),
        ("<path d='M0 0H5'/>", "step H"),
        ("<g transform='skewX(3)'/>", r"skewX\(3\)"),
        ("<image href='other.png' width='1' height='1'/>", "does not travel"),
    ],
)
def test_what_is_not_drawn_is_named(body, told):
    with pytest.raises(raster.NotDrawable, match=told):
        pixels(svg(body))


def test_a_drawing_keeps_its_shape_in_the_middle_of_its_box():
    canvas = raster.Canvas(200, 100)
    wide = svg('<path d="M0 0L20 0L20 5L0 5z" style="fill:#000000"/>', "0 0 20 5")
    canvas.svg(wide, None, (0, 0, 200, 100))
    dark = np.asarray(canvas.image())[:, :, 0] < 128
    rows = np.flatnonzero(dark.any(axis=1))
    assert rows.min() == 25 and rows.max() == 74 and dark[50].all()
