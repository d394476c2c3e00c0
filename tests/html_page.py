"""An HTML page as tests look at it."""

import json
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements close in order; collects texts, tables, pictures and references."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.images, self.references, self.names = [], [], [], [], []
        self.galleries, self.charts, self._data = [], 0, False
        self.tables = []  # of each one: rows of the texts of its cells
        self.feed(text)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        values = dict(attrs)
        self.references += [
            values[key] for key in ("src", "href", "xlink:href") if key in values and key != "id"
        ]
        if tag == "img":
            self.images.append(values)
        self.charts += values.get("class") == "chart"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        self._data = tag == "script" and values.get("class") == "data"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] in (["script"], ["style"]):
            if self._data:
                self.galleries.append(json.loads(data))
            return
        self.texts.append(data.strip())
        if {"th", "td"} & {*self.open}:
            self.tables[-1][-1][-1] += data.strip()

    def empty_columns(self):
        """Headings of columns that have no text in any row below them."""
        columns = [column for table in self.tables if len(table) > 1 for column in zip(*table, strict=True)]
        return [heading for heading, *cells in columns if heading and not any(cells)]
