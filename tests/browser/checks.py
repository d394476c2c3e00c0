"""What every page has to be: quiet, legible, no wider than its window, without a jump."""

from pathlib import Path

from tests.browser.chromium import DESKTOP, PHONE, opened

LOOKS = [(size, dark) for size in (DESKTOP, PHONE) for dark in (False, True)]
NAMES = ["desktop-light", "desktop-dark", "phone-light", "phone-dark"]

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


def check_page(chromium, path, size, *, dark):
    """Open a page, read it from top to bottom, and check what holds for every page."""
    with opened(chromium, path, size=size, dark=dark) as seen:
        page = seen.page
        page.wait_for_timeout(300)
        for step in range(0, page.evaluate("document.documentElement.scrollHeight"), size[1]):
            page.evaluate(f"scrollTo(0, {step})")
            page.wait_for_timeout(30)
        page.wait_for_timeout(300)
        assert seen.requests == []
        assert seen.complaints == []
        assert seen.layout_shifts() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        texts = page.evaluate(CONTRAST)
        assert len(texts) > 20
        faint = [text for text in texts if text[0] < 4.5]
        assert faint == []
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)"
        )
        unnamed = page.evaluate(
            "[...document.querySelectorAll('img, svg')].filter((item) => item.checkVisibility() && "
            "!item.closest('[aria-hidden]') && !item.hasAttribute('alt') && "
            "!item.closest('svg').hasAttribute('aria-label')).length"
        )
        assert unnamed == 0, "a picture without a text in its place"
        assert seen.page.evaluate(
            "document.fonts.ready.then(() => [...document.querySelectorAll('svg.chart text')]"
            ".filter((item) => item.checkVisibility()).map((item) => item.getBoundingClientRect().height)"
            ".reduce((a, b) => Math.min(a, b), 99))"
        ) > 8, "letters of a chart are too small to read"  # fmt: skip
