"""Progress bars that do not end up on a printed page."""

import os

from tqdm.auto import tqdm


def bar(*arguments, **options) -> tqdm:
    """A tqdm bar, for a terminal or a notebook.

    It stays silent while the book is executed (``SPLINELIB_WIDGETS=static``), where it would
    freeze in the page. Takes what `tqdm.tqdm` takes.
    """
    if os.environ.get("SPLINELIB_WIDGETS") == "static":
        options["disable"] = True
    return tqdm(*arguments, **options)
