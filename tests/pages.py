"""A widget, and its page as a tree of elements."""

import xml.etree.ElementTree as ET

from splinelib import plotting
from splinelib.plotting import widgets


def valley(width: float) -> plotting.Figure:
    return plotting.max_affine([-width, width], [0, 0], "replaced by the widget's alt")


def parse(still: widgets.Still) -> ET.Element:
    return ET.fromstring(still._repr_html_())  # well-formed, so that it can be read as XML too


def by_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [node for node in root.iter() if name in node.get("class", "").split()]
