"""A page as a browser would see it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "hr", "link", "input"}
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{place}"


class Page(HTMLParser):
    """Elements with attributes, visible text, each table's rows of cells. Raises AssertionError for unclosed tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open, self.elements, self.text, self.rows = [], [], "", []
        self.feed(html)
        assert not self.open, f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def row(self, first):
        """The cells after the row's first, which begins with `first`."""
        found = [cells[1:] for cells in self.rows if cells[0].startswith(first)]
        assert len(found) == 1, (first, found)
        return found[0]

    def labels(self):
        """What each plot says to who does not see it."""
        return [attrs["aria-label"] for attrs in self.all("svg")]

    def check_self_contained(self):
        """No script, no request to anywhere, every link leads to a place on the page, every heading has its scope."""
        assert not self.all("script") and not self.all("link") and not self.all("img")
        links = [v for _, attrs in self.elements for k, v in attrs.items() if k in ("src", "href")]
        ids = [attrs["id"] for _, attrs in self.elements if "id" in attrs]
        assert links and all(link.startswith("#") and link[1:] in ids for link in links) and len(ids) == len(set(ids))
        assert "@import" not in self.html and not re.search(r"url\((?!#)", self.html)
        assert "http" not in self.html.replace("http-equiv", "")
        assert all(th.get("scope") in ("col", "row") for th in self.all("th"))

    def check_inert(self):
        """Nothing that EVIL brings in runs or loads; it is shown as what it is."""
        assert not self.all("script") and not self.all("img")
        assert not [k for _, attrs in self.elements for k in attrs if k.startswith("on")]
        assert "<script>alert(1)</script>" in self.text
