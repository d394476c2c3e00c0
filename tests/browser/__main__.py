"""`nox -s screenshots`: pictures of the pages that `nox -s demo` left, for the documentation."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.artefacts import write_bytes
from kit.command_line import option, parse
from kit.errors import KitError
from kit.local.program import run_cli

LARGEST = 300_000
"""Bytes of a picture: the documentation stays quick to open."""
_SETTLE = 700
"""Milliseconds after which a picture is drawn and sharp."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Take pictures of the demo's pages: on a desktop and a phone, light and dark."""

    dist: Path = field(metadata=option("the demo's results: DIR/report.html", metavar="DIR"))
    runs: Path = field(metadata=option("the demo's runs: DIR/training.html", metavar="DIR"))
    out: Path = field(metadata=option("folder of the pictures", metavar="DIR"))


@dataclass(frozen=True)
class Shot:
    """One view of a page.

    Attributes:
        name: of the picture.
        page: the HTML file.
        at: CSS selector of what stands at the top of the picture.
        keys: pressed in the gallery before.
    """

    name: str
    page: Path
    at: str
    keys: str = ""


def shots(options: Options) -> list[Shot]:
    """Return the views that the documentation shows.

    Raises:
        KitError: a page is missing.
    """
    report, training = options.dist / "report.html", options.runs / "training.html"
    for page in (report, training):
        if not page.is_file():
            raise KitError("the demo has not left this page", where=page, fix="run `nox -s demo` first")
    return [
        Shot("images", report, "[data-gallery=vasculature]", "n"),
        Shot("slide", report, "[data-gallery=kidney]", "eeeee"),
        Shot("run", report, "h3:has-text('Timeline')"),
        Shot("training", training, "h1"),
    ]


def main(argv: Sequence[str]) -> int:
    """Take all pictures and print their paths; returns the exit code."""
    options = parse(argv, Options, prog="python -m tests.browser")
    # Imported here: a Python without Playwright is told that it lacks it.
    from kit.local.doctor.pages import find_chromium
    from tests.browser.chromium import SIZES, browser, opened

    wanted = shots(options)
    if find_chromium() is None:
        fix = "install it (`apt-get install chromium`), or name it: CHROMIUM=/path/to/chrome"
        raise KitError("there is no Chromium on this machine", fix=fix)
    with browser() as own:
        for shot in wanted:
            for size, pixels in SIZES.items():
                for look in ("light", "dark"):
                    with opened(own, shot.page, size=pixels, dark=look == "dark") as seen:
                        target = seen.page.locator(shot.at).first
                        target.evaluate(
                            "(item) => scrollTo(0, item.getBoundingClientRect().top + scrollY - 14)"
                        )
                        seen.page.wait_for_timeout(_SETTLE)
                        if shot.keys:
                            target.locator(".list").evaluate("(item) => item.focus({ preventScroll: true })")
                        for key in shot.keys:
                            seen.page.keyboard.press(key)
                        seen.page.wait_for_timeout(_SETTLE)
                        path = options.out / f"{shot.name}-{size}-{look}.png"
                        write_bytes(path, small_png(seen.page.screenshot()))
                        print(path)
    return 0


def small_png(data: bytes, largest: int = LARGEST) -> bytes:
    """Return a PNG of at most `largest` bytes: with fewer colours, if need be.

    Raises:
        KitError: even 16 colours need more.
    """
    from PIL import Image  # a Python without Pillow is told what it lacks

    image = Image.open(io.BytesIO(data)).convert("RGB")
    for colours in (None, 256, 128, 64, 32, 16):
        stream = io.BytesIO()
        shown = image if colours is None else image.quantize(colours, dither=Image.Dither.NONE)
        shown.save(stream, "PNG", optimize=True)
        if stream.tell() <= largest:
            return stream.getvalue()
    raise KitError("a screenshot does not become small enough", fix="show less of the page in it")


if __name__ == "__main__":
    sys.exit(run_cli(main))
