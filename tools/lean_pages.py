"""Sphinx extension: pages load nothing that they do not use.

Jupyter Book always adds the scripts of Thebe, which starts kernels on a remote server.
The book has no such button, so its scripts are taken off the pages again.
"""


def drop_thebe(app, pagename, templatename, context, doctree) -> None:
    """Remove Thebe's script files, and its inline settings, from one page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', '')}".lower()
    ]


def setup(app) -> dict:
    """Connect to Sphinx, after the extensions that add scripts page by page."""
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
