"""Addresses of the pages and of the repository: said in one place, or not at all."""

import pytest

from tools import addresses, chapters


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration to write, and no variables."""
    monkeypatch.setattr(chapters, "ROOT", tmp_path)
    monkeypatch.delenv("BOOK_URL", raising=False)
    return tmp_path / "_config.yml"


def test_nothing_is_made_up(config):
    config.write_text("title: A\n")
    assert (addresses.book(), addresses.repository()) == ("", "")
    filled = {"html": {"favicon": "a"}}
    addresses.fill(filled)
    assert filled == {"html": {"favicon": "a", "baseurl": ""}}


@pytest.mark.parametrize("host, colab", [("github.com", True), ("git.org", False)])
def test_buttons_come_with_the_repository(config, host, colab):
    config.write_text(f"repository: {{url: 'https://{host}/a/b'}}\n")
    options = {"home_page_in_toc": True}
    addresses.fill({"sphinx": {"config": {"html_theme_options": options}}})
    assert options["repository_url"] == f"https://{host}/a/b" and options["home_page_in_toc"]
    assert options["launch_buttons"]["binderhub_url"]
    assert ("colab_url" in options["launch_buttons"]) == colab


def test_the_configuration_says_it_and_the_environment_goes_before_it(config, monkeypatch):
    config.write_text("html: {baseurl: https://a.org/b}\nrepository: {url: https://c.org/d/}\n")
    assert addresses.book() == "https://a.org/b/" and addresses.repository() == "https://c.org/d"
    monkeypatch.setenv("BOOK_URL", "https://e.org")
    assert addresses.book() == "https://e.org/"


@pytest.mark.parametrize("wrong", ["a.org", "/pages", "ftp://a.org", "https://a.org/?b"])
def test_what_is_no_address_is_refused(config, monkeypatch, wrong):
    config.write_text("")
    monkeypatch.setenv("BOOK_URL", wrong)
    with pytest.raises(chapters.ChapterError, match=r"html\.baseurl of _config\.yml"):
        addresses.book()
