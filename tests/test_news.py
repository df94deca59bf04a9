"""The feed: what CHANGELOG.md says, as readers of feeds take it."""

import datetime
import xml.etree.ElementTree as ET

import pytest

from tools import chapters, news

ATOM = "{http://www.w3.org/2005/Atom}"
TWO = "# New\n\n## 2026-02-03: B & c\n\nSaid *so*.\n\n## 2026-02-01: A\n\nText.\n"


@pytest.fixture
def changelog(tmp_path, monkeypatch):
    """A changelog to write, in a checkout whose address nobody has said."""
    (tmp_path / "_config.yml").write_text("title: The book\nauthor: Somebody\n")
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    monkeypatch.delenv("BOOK_URL", raising=False)
    return tmp_path / "CHANGELOG.md"


def test_entries_become_a_feed(changelog, monkeypatch):
    changelog.write_text(TWO)
    monkeypatch.setenv("BOOK_URL", "https://a.org/b")
    root = ET.fromstring(news.feed())
    assert root.findtext(f"{ATOM}title") == "The book"
    assert root.findtext(f"{ATOM}updated") == "2026-02-03T00:00:00Z"
    assert root.find(f"{ATOM}link[@rel='self']").get("href") == "https://a.org/b/feed.xml"
    first, second = root.iter(f"{ATOM}entry")
    assert first.findtext(f"{ATOM}title") == "B & c"
    assert first.find(f"{ATOM}link").get("href") == ("https://a.org/b/book/news.html#b-c")
    assert "<em>so</em>" in first.findtext(f"{ATOM}content")
    names = {entry.findtext(f"{ATOM}id") for entry in (first, second, root)}
    assert len(names) == 3 and all(name.startswith("urn:uuid:") for name in names)


def test_entries_stay_who_they_are_wherever_the_pages_lie(changelog, monkeypatch):
    changelog.write_text(TWO)
    here = ET.fromstring(news.feed())
    assert here.find(f"{ATOM}link[@rel='self']") is None
    monkeypatch.setenv("BOOK_URL", "https://a.org")
    there = ET.fromstring(news.feed())
    assert [e.text for e in here.iter(f"{ATOM}id")] == [e.text for e in there.iter(f"{ATOM}id")]


@pytest.mark.parametrize(
    "text, told",
    [
        ("## Tuesday: A\n\nText.", "Tuesday: A"),
        ("## 2026-02-31: A\n\nText.", "2026-02-31: A"),
        ("## 2026-02-01: A\n", "says nothing"),
        ("## 2026-02-01: A\n\nText.\n## 2026-02-03: B\n\nText.", "'B' is newer"),
        ("## 2026-02-03: A\n\nText.\n## 2026-02-01: A\n\nText.", "no two"),
        ("# New\n", "needs entries"),
    ],
)
def test_what_is_wrong_with_a_changelog_is_said(changelog, text, told):
    changelog.write_text(text)
    with pytest.raises(chapters.ChapterError, match=told):
        news.entries()


def test_no_entry_is_of_a_day_to_come():
    assert news.entries()[0].day <= datetime.date.today()
