"""What pages do not need goes: icons that none shows, MathJax where there is no mathematics."""

import matplotlib
import pytest
from fontTools.ttLib import TTFont

from tools import weight

STYLE = (
    "@font-face{font-weight:900;src:url(../vendor/fontawesome/webfonts/fa-solid-900.woff2) "
    'format("woff2"),url(../vendor/fontawesome/webfonts/fa-solid-900.ttf) format("truetype")}'
    "@font-face{font-weight:400;src:url(../vendor/fontawesome/webfonts/fa-brands-400.woff2)}"
    '.fa-a:before,.fa-alpha:before{content:"\\e001"}.fa-b:before{content:"\\e002"}'
    ':root{--pst-icon-bell:"\ue003"}p{color:red}'
)
PAGE = (
    '<head><script defer src="../_static/scripts/fontawesome.js?digest=1"></script></head>'
    '<i class="fas fa-alpha fa-lg"></i>'
)


@pytest.fixture
def built(tmp_path):
    """A page with one icon, a theme that has three, and a font with their glyphs."""
    for name in ("styles", "scripts", "vendor/fontawesome/webfonts"):
        (tmp_path / "_static" / name).mkdir(parents=True)
    (tmp_path / "page.html").write_text(PAGE)
    static = tmp_path / "_static"
    (static / "styles/pydata-sphinx-theme.css").write_text(STYLE)
    (static / "scripts/fontawesome.js").write_text("all icons: fa-b")
    (static / "vendor/fontawesome/webfonts/fa-brands-400.woff2").touch()
    with TTFont(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf") as font:
        for table in font["cmap"].tables:
            table.cmap = {0xE001: "A", 0xE002: "B", 0xE003: "C"}
        font.save(static / "vendor/fontawesome/webfonts/fa-solid-900.ttf")
    return tmp_path


def test_only_used_icons_are_left(built):
    weight.keep_used_icons(built)
    static = built / "_static"
    assert "fontawesome.js" not in (built / "page.html").read_text()
    assert "fa-alpha" in (built / "page.html").read_text()
    assert not (static / "scripts/fontawesome.js").exists()
    style = (static / "styles/pydata-sphinx-theme.css").read_text()
    assert '.fa-a:before,.fa-alpha:before{content:"\\e001"}' in style and "fa-b:" not in style
    assert "brands" not in style and "woff2" not in style and "p{color:red}" in style
    (left,) = (static / "vendor/fontawesome/webfonts").iterdir()
    assert f"url(../vendor/fontawesome/webfonts/{left.name})" in style
    with TTFont(left) as font:
        assert set(font.getBestCmap()) == {0xE001, 0xE003}
        assert font["name"].getDebugName(0)  # whose work it is stays said


def test_a_theme_that_keeps_them_elsewhere_is_left_alone(built):
    (built / "_static/vendor/fontawesome/webfonts/fa-solid-900.ttf").unlink()
    weight.keep_used_icons(built)
    assert (built / "page.html").read_text() == PAGE
    assert (built / "_static/styles/pydata-sphinx-theme.css").read_text() == STYLE


@pytest.mark.parametrize(
    "inside", ['class="math notranslate"', 'class="amsmath"', 'class="mathjax"']
)
def test_mathjax_stays_where_there_is_mathematics(tmp_path, inside):
    scripts = '<script>window.MathJax = {"a": 1}</script>\n<script src="mathjax/tex.js"></script>'
    page = tmp_path / "page.html"
    page.write_text(f"<p>before</p>{scripts}<p {inside}>after</p>")
    weight.drop_idle_mathjax(tmp_path)
    left = page.read_text()
    assert (scripts in left) == ("jax" not in inside)
    assert left.startswith("<p>before</p>") and left.endswith("after</p>")
