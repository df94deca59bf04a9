"""Take from the built pages what they load and do not need.

The theme brings all of Font Awesome: a script of half a megabyte (compressed), three fonts and a
rule of style for each icon. The pages need some twenty, which its style sheet can take from a font
that has no others. Where a later theme keeps its icons elsewhere, nothing is taken away: the pages
are heavier then, which `tests/test_book.py` notices.
"""

import re
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

_FONTS = "vendor/fontawesome/webfonts"
_SCRIPT = re.compile(r"\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>")
_NAMED = re.compile(r"\bfa-([a-z0-9-]+)")
_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
_FACE = re.compile(r"@font-face\{[^}]*fa-(solid|regular|brands)-\d+\.woff2[^}]*\}")
_ESCAPED = re.compile(r'"\\([ef][0-9a-f]{3})"')
_MATHEMATICS = re.compile(r'class="(?:[^"]* )?(?:ams)?math[ "]')
_MATHJAX = re.compile(
    r"\s*<script[^>]*>\s*window\.MathJax[^<]*</script>|\s*<script[^>]*mathjax/[^>]*></script>"
)
_PRIVATE = re.compile("[\ue000-\uf8ff]")  # where icon fonts have their glyphs


def lighten(folder: Path) -> None:
    """Take all of it from the pages in a folder, in place."""
    drop_idle_mathjax(folder)
    keep_used_icons(folder)


def drop_idle_mathjax(folder: Path) -> None:
    """Take MathJax from pages without mathematics: Sphinx gives it to the front page as well."""
    for path in folder.rglob("*.html"):
        text = path.read_text()
        if "mathjax" in text and not _MATHEMATICS.search(text):
            path.write_text(_MATHJAX.sub("", text))


def keep_used_icons(folder: Path) -> None:
    """Take away what the pages do not show of the theme's icons, in place.

    Parameters
    ----------
    folder : Path
        Of the built pages.
    """
    static = folder / "_static"
    sheet, font = static / "styles/pydata-sphinx-theme.css", static / _FONTS / "fa-solid-900.ttf"
    pages = {path: path.read_text() for path in folder.rglob("*.html")}
    scripts = [path.read_text() for path in static.rglob("*.js") if path.name != "fontawesome.js"]
    if not sheet.exists() or not font.exists() or not _RULE.search(sheet.read_text()):
        return
    named = {name for text in [*pages.values(), *scripts] for name in _NAMED.findall(text)}
    style = _RULE.sub(lambda rule: rule[0] if _names(rule[1]) & named else "", sheet.read_text())
    others = [path.read_text() for path in static.rglob("*.css") if path != sheet]
    keep_glyphs(font, points("".join([style, *others])), font.with_suffix(".woff"))
    sheet.write_text(_FACE.sub(_face, style))
    for path in (static / _FONTS).iterdir():
        if path.suffix != ".woff":
            path.unlink()
    for path, text in pages.items():
        path.write_text(_SCRIPT.sub("", text))
    for path in (static / "scripts").glob("fontawesome.js*"):
        path.unlink()


def _names(selectors: str) -> set[str]:
    return set(_NAMED.findall(selectors))


def _face(found: re.Match) -> str:
    """The rule of the font that is kept, naming its one file; nothing for the others."""
    if found[1] != "solid":
        return ""
    source = f'src:url(../{_FONTS}/fa-solid-900.woff) format("woff")'
    return re.sub(r"src:[^;}]*", source, found[0])


def points(style: str) -> set[int]:
    """The code points of icons that some CSS writes, as they are or escaped."""
    return {int(found, 16) for found in _ESCAPED.findall(style)} | set(
        map(ord, _PRIVATE.findall(style))
    )


def keep_glyphs(font: Path, wanted: set[int], target: Path) -> None:
    """Write the part of a font that has the glyphs of some code points, as WOFF.

    Parameters
    ----------
    font : Path
    wanted : set of int
        Code points; those that the font lacks are left out.
    target : Path
    """
    options = subset.Options(flavor="woff", layout_features=[], name_IDs=["*"])
    with TTFont(font) as whole:
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=wanted)
        cutter.subset(whole)
        subset.save_font(whole, target, options)
