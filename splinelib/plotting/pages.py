"""A page of its own: figures and tables in one HTML file that needs nothing from elsewhere."""

import html
import os
from collections.abc import Sequence

from ..files import replacing
from .live import Live
from .scripts import figures_script
from .svg import Figure, Row
from .tables import Table

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;max-width:62rem;"
    "margin:0 auto;padding:1.2rem;background:light-dark(#fff,#121212);"
    "color:light-dark(#1f2430,#e8e8ea)}h1{font-size:1.6rem;line-height:1.25}"
    "h2{font-size:1.25rem;margin-top:2.2rem}p{max-width:42rem}p,h1,h2{overflow-wrap:anywhere}"
)


def save_page(
    path: str | os.PathLike, title: str, parts: Sequence[str | Figure | Live | Row | Table]
) -> None:
    """Write a page that opens in any browser, light or dark as the reader's system is.

    Parameters
    ----------
    path : path
        Of the HTML file; its folder is made if it is missing.
    title : str
    parts : sequence
        Figures, tables, and paragraphs as plain text; one that begins with ``"# "`` is a heading.
        Figures that move do so on the page as well.
    """
    body = "".join(_part(part) for part in parts)
    if any(isinstance(part, Live) for part in parts):
        body += f"<script>{figures_script()}</script>"
    name = html.escape(title)
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{name}</h1>{body}</main></body></html>"
    )
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def _part(part: str | Figure | Live | Row | Table) -> str:
    if isinstance(part, str):
        heading = part.startswith("# ")
        tag = "h2" if heading else "p"
        return f"<{tag}>{html.escape(part[2:] if heading else part)}</{tag}>"
    return part.markup if isinstance(part, Live) else part._repr_html_()
