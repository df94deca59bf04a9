"""What a reader sees of a table or a page, as text."""

from html.parser import HTMLParser


class _Rows(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.open = [], False

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, text):
        if self.open:
            self.rows[-1][-1] += text


def rows(table) -> list[list[str]]:
    """Cells of a `Table`, row by row, the headings first; a record's superscript stays, as "b"."""
    parser = _Rows()
    parser.feed(table._repr_html_())
    return parser.rows


class Elements(HTMLParser):
    """The elements that a browser would make of some HTML: (tag, attributes), and the text."""

    def __init__(self, markup: str):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text
