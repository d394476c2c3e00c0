"""The filter of the page of messages, in a real browser and without a server."""

import shutil
from pathlib import Path

import pytest

from tests.browser.chromium import opened

ROOT = Path(__file__).parents[2]
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>m</title>
<div id="message-filter"></div><p id="beside">No message at all?</p>
<h2>One</h2><p>of one</p><ul>
<li><code>all &lt;number&gt; detections have the score &lt;x&gt;</code><br>Do: were the scores lost?</li>
<li><code>&lt;n&gt; image[s] (is|are) missing</code><br>Do: unpack them</li></ul>
<h2>Two</h2><p>of two</p><ul>
<li><code>there is no option &lt;word&gt;</code><br>Do: see the help</li></ul>
<script src="messages.js"></script></html>"""


@pytest.fixture
def page(chromium, tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    shutil.copy(ROOT / "docs/assets/messages.js", tmp_path)
    with opened(chromium, tmp_path / "page.html") as seen:
        yield seen
        assert seen.complaints == []


def shown(page):
    return page.page.evaluate(
        "[...document.querySelectorAll('h2, li')].filter((x) => x.checkVisibility())"
        ".map((x) => x.innerText[0])"
    )


@pytest.mark.parametrize(
    ("pasted", "found"),
    [
        ("error: all 33 detections have the score 0.5\n  where: out.csv", ["O", "a"]),
        ("1 image is missing", ["O", "<"]),
        ("21 images are missing", ["O", "<"]),
        ("no OPTION --dtaa", ["T", "t"]),
        ("were the scores", ["O", "a"]),
        ("(images", ["O", "<"]),
        ("xyzzy plugh", []),
        ("", ["O", "a", "<", "T", "t"]),
    ],
)
def test_a_pasted_message_shows_its_entry_alone(page, pasted, found):
    page.page.fill("#message-field", "score of the option")
    page.until("document.querySelector('output').textContent !== ''")
    page.page.fill("#message-field", pasted)
    words = {0: "no message" if pasted else "", 2: "1 of 3"}.get(len(found), "")
    page.until(f"document.querySelector('output').textContent.startsWith('{words}')")
    page.page.wait_for_timeout(200)
    assert shown(page) == found
    assert page.page.is_visible("#beside") is (pasted == "")
