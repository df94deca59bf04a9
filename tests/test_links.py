"""Links to figures and to notebooks."""

from tools import links

PAGE = (
    '<figure class="sl sl-figure"><svg/><figcaption>One.</figcaption></figure>'
    '<figure class="sl sl-widget"><svg/></figure><figure class="other"></figure>'
    '<a href="../_sources/book/a.ipynb" target="_blank">.ipynb</a><a href="../a.html">a</a>'
)


def test_every_figure_of_the_book_has_a_number_and_a_link_to_itself():
    page = links.linked(PAGE)
    link = '<a class="headerlink" href="#figure-{}" title="Link to this figure">#</a>'
    assert (
        f'<figure id="figure-1" class="sl sl-figure"><svg/><figcaption>One.{link.format(1)}' in page
    )
    assert f'<figure id="figure-2" class="sl sl-widget"><svg/>{link.format(2)}</figure>' in page
    assert '<figure class="other"></figure>' in page and page.count("headerlink") == 2


def test_a_notebook_is_saved_and_other_links_are_followed():
    page = links.linked(PAGE)
    assert '<a download href="../_sources/book/a.ipynb"' in page and '<a href="../a.html">' in page
