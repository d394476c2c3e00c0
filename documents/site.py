"""A site that was built: what its pages ask of others."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from kit.errors import KitError

_LOADED = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio"), "src")
"""Element -> the attribute whose address a browser asks for by itself. A link (`a`) waits for a person."""
_LINKED = frozenset({"stylesheet", "preconnect", "preload", "modulepreload", "icon", "manifest", "prefetch"})


class _Requests(HTMLParser):
    """Collects the addresses that a browser would ask other hosts for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that loads something."""
        given = {name: value or "" for name, value in attrs}
        address = given.get(_LOADED.get(tag, ""), "")
        if tag == "link" and _LINKED & set(given.get("rel", "").split()):
            address = given.get("href", "")
        if address.startswith(("http:", "https:", "//")):
            self.found.append(address)


def require_alone(folder: Path) -> int:
    """Return the number of pages of a site, after a check that none asks anything of another host.

    Raises:
        KitError: there is no page, or one loads something from elsewhere; names page and address.
    """
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        raise KitError("there is no page", where=folder, fix="build the site first: nox -s docs")
    for page in pages:
        reader = _Requests()
        reader.feed(page.read_text(encoding="utf-8"))
        if reader.found:
            raise KitError(
                f"the page asks another host for {reader.found[0]}",
                where=page,
                fix="remove the plugin or theme setting in mkdocs.yml that adds it",
            )
    return len(pages)
