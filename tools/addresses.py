"""Where the built pages and their sources will be on the web, if anyone has said so.

Both are entries of ``_config.yml``, empty in the repository: ``html.baseurl``, before which the
variable BOOK_URL goes, so that CI can say where it publishes, and ``repository.url``, which the
notebooks name as well (`tools.setup_cell`). Without a repository, pages have no buttons that open
them in Binder or Colab.
"""

import os
from urllib.parse import urlsplit

from tools import chapters

BRANCH = "main"


def book() -> str:
    """Address of the folder of pages, with a slash at its end; "" if nobody has said it.

    Raises
    ------
    ChapterError
        It is no address of the web.
    """
    given = os.environ.get("BOOK_URL") or _entry("html", "baseurl")
    return _checked(given, "html.baseurl of _config.yml, or the variable BOOK_URL,", end="/")


def repository() -> str:
    """Address of the repository; "" if nobody has said it.

    Raises
    ------
    ChapterError
        It is no address of the web.
    """
    return _checked(_entry("repository", "url"), "repository.url of _config.yml", end="")


def fill(config: dict) -> None:
    """Put both addresses, and the buttons that follow from them, into a configuration, in place.

    Parameters
    ----------
    config : dict
        What _config.yml says.
    """
    config.setdefault("html", {})["baseurl"] = book()
    url = repository()
    if url:
        buttons = {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"}
        if urlsplit(url).netloc == "github.com":  # Colab opens notebooks from nowhere else
            buttons["colab_url"] = "https://colab.research.google.com"
        # The theme's own options: those of Jupyter Book are replaced by what _config.yml has there.
        options = config["sphinx"]["config"]["html_theme_options"]
        options |= {"repository_url": url, "repository_branch": BRANCH, "launch_buttons": buttons}


def _entry(section: str, name: str) -> str:
    return (chapters.configuration().get(section) or {}).get(name) or ""


def _checked(given: str, where: str, end: str) -> str:
    if not given:
        return ""
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise chapters.ChapterError(
            f"{given!r} is no address of the web: {where} begins with https:// and has nothing "
            "behind its path."
        )
    return given.rstrip("/") + end
