"""Descriptions of pages, made from what the pages and the README say."""

import pytest

from tools import cards, chapters, pages

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
    assert head.count("<meta") == 5
