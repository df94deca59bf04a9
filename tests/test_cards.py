"""Descriptions of pages, made from what the pages and the README say."""

import re

import pytest
from PIL import Image

from tools import card_pictures, cards, chapters, pages

PAGE = (
    '<head><title>A &amp; B</title></head><article class="x"><h1>A</h1><p>Said <b>of</b> it, '
    'with "quotes" &amp; more.</p></article>'
)


def test_a_chapter_is_described_by_its_line():
    page, line = next(iter(pages.lines().items()))
    assert cards.description(page, PAGE) == f"Chapter {pages.number(page)}: {line}."


def test_other_pages_are_described_by_their_first_paragraph():
    assert cards.description("book/glossary", PAGE) == 'Said of it, with "quotes" & more.'
    long = PAGE.replace("Said", "word " * 100)
    told = cards.description("book/glossary", long)
    assert told.endswith("word …") and len(told) <= cards.LONGEST + 2
    with pytest.raises(chapters.ChapterError, match="no paragraph"):
        cards.description("book/glossary", "<article></article>")


def test_tags_are_escaped_and_stand_in_the_head():
    markup = cards.described("book/glossary", PAGE)
    head = markup.partition("</head>")[0]
    assert '<meta property="og:title" content="A &amp; B"/>' in head
    assert 'content="Said of it, with &quot;quotes&quot; &amp; more."' in head
    assert head.count("<meta") == 6


def test_a_picture_is_named_where_the_address_of_the_book_is_known():
    unknown = cards.described("book/glossary", PAGE)
    assert "og:image" not in unknown and "og:url" not in unknown
    assert '<meta name="twitter:card" content="summary"/>' in unknown
    markup = cards.described("book/glossary", PAGE, 'A "figure".', "https://a.org/b/")
    told = dict(re.findall(r'property="(og:[\w:]+)" content="(.*?)"/>', markup))
    assert told["og:url"] == "https://a.org/b/book/glossary.html"
    assert told["og:image"] == "https://a.org/b/cards/book-glossary.png"
    assert (told["og:image:width"], told["og:image:height"]) == ("1200", "630")
    assert told["og:image:alt"] == "A &quot;figure&quot;."
    assert '<meta name="twitter:card" content="summary_large_image"/>' in markup


def test_the_heading_is_the_title_without_its_permalink():
    page = '<h1>3. A &amp; <code>b</code><a class="headerlink" href="#a">#</a></h1>'
    assert cards.heading(page) == "3. A & b"


def test_every_page_gets_its_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_URL", "https://a.org")
    (tmp_path / "book").mkdir()
    (tmp_path / "book/glossary.html").write_text(PAGE)
    cards.describe(tmp_path)
    picture = Image.open(tmp_path / cards.picture("book/glossary"))
    assert picture.size == (card_pictures.WIDTH, card_pictures.HEIGHT)
    assert "regions" in (tmp_path / "book/glossary.html").read_text()  # what the picture shows
