"""Pages as a reader sees them: in Chromium without a window, driven by Playwright.

Playwright brings no browser here: Debian's `chromium` is used, or what CHROMIUM names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from kit.local.doctor.pages import find_chromium

DESKTOP, PHONE = (1440, 900), (390, 844)
SIZES = {"desktop": DESKTOP, "phone": PHONE}


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser; it ends with the block.

    Raises:
        RuntimeError: this machine has none.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError("there is no Chromium: install it (apt-get install chromium), or set CHROMIUM")
    with sync_playwright() as playwright:
        # In a container everybody is root, and Chromium's sandbox refuses to run as root.
        own = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield own
        finally:
            own.close()


@dataclass
class Seen:
    """A page in a browser, and what it did.

    Attributes:
        page: to look at and to press.
        requests: addresses that it asked for, but for the file itself and data in it.
        complaints: what the browser printed on its console: errors, warnings, violations of the policy.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true; Playwright's own way needs `eval`, which the pages forbid.

        Raises:
            TimeoutError: it did not become true.
        """
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}")
            self.page.wait_for_timeout(50)

    def layout_shifts(self) -> list[str]:
        """Return what jumped without a key or a click before: how far (1 is the window), and what."""
        return [str(item) for item in self.page.evaluate("window.layoutShifts")]


_SHIFTS = """
window.layoutShifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput || entry.value < 0.0005) continue;
    const moved = entry.sources.map(({ node }) => node?.className || node?.nodeName || node?.textContent);
    window.layoutShifts.push(`${entry.value.toFixed(4)} ${moved.join(', ')}`);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@contextmanager
def opened(
    own: Browser, path: Path, *, size: tuple[int, int] = DESKTOP, dark: bool = False, anchor: str = ""
) -> Iterator[Seen]:
    """Open a file as a reader would.

    Args:
        own: the browser.
        path: the HTML file.
        size: width and height of the window in pixels.
        dark: whether the system prefers dark colours.
        anchor: what follows the # of the address.
    """
    phone = size[0] < 600
    context = own.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        is_mobile=phone,
        has_touch=phone,
    )
    page = context.new_page()
    seen = Seen(page)
    address = path.resolve().as_uri()

    def asked(url: str) -> None:
        if url.split("#", maxsplit=1)[0] != address and not url.startswith("data:"):
            seen.requests.append(url)

    page.on("request", lambda request: asked(request.url))
    page.on("websocket", lambda socket: asked(socket.url))
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.add_init_script(_SHIFTS)
    page.goto(f"{address}#{anchor}" if anchor else address)
    try:
        yield seen
    finally:
        context.close()
