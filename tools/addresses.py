"""Where the built pages and their sources will be on the web, if anyone has said so.

Both are entries of ``_config.yml``, empty in the repository. The variables BOOK_URL and
REPOSITORY_URL of the environment go before them, so that CI can say where it publishes.
"""

import os
from urllib.parse import urlsplit

import yaml

from tools import chapters


def book() -> str:
    """Address of the folder of pages, with a slash at its end; "" if nobody has said it.

    Raises
    ------
    ChapterError
        It is no address of the web.
    """
    return _address("BOOK_URL", "html", "baseurl", end="/")


def repository() -> str:
    """Address of the repository; "" if nobody has said it.

    Raises
    ------
    ChapterError
        It is no address of the web.
    """
    return _address("REPOSITORY_URL", "repository", "url", end="")


def fill(config: dict) -> None:
    """Put both addresses into what _config.yml says, in place."""
    config.setdefault("html", {})["baseurl"] = book()
    config.setdefault("repository", {})["url"] = repository()


def _address(variable: str, section: str, entry: str, end: str) -> str:
    config = yaml.safe_load((chapters.ROOT / "_config.yml").read_text())
    given = os.environ.get(variable) or (config.get(section) or {}).get(entry) or ""
    if not given:
        return ""
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise chapters.ChapterError(
            f"{given!r} is no address of the web: {section}.{entry} of _config.yml, or "
            f"the variable {variable}, begins with https:// and has nothing behind its path."
        )
    return given.rstrip("/") + end
