"""The page of a run in a real browser."""

import io
import json
import re
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from tests.browser.checks import LOOKS, NAMES, check_page
from tests.browser.chromium import DESKTOP, PHONE, SIZES, opened

SCORES = "[...document.querySelectorAll('.item .score')].map((item) => Number(item.textContent))"
SCALE = "Number(document.querySelector('svg.outlines g').getAttribute('transform').match(/scale.([^)]+)/)[1])"
FOCUSED = "(item) => item.id || item.className || item.closest('[data-layer]')?.dataset.layer || ''"
CHOSEN = "document.querySelector('.item[aria-selected=true]').dataset.id"


@pytest.mark.parametrize(("size", "dark"), LOOKS, ids=NAMES)
@pytest.mark.parametrize("name", ["vasculature", "kidney"])
def test_the_page_is_quiet_legible_and_fits(chromium, pages, name, size, dark):
    check_page(chromium, pages[name], size, dark=dark)


def test_the_page_may_ask_nobody_for_anything(chromium, pages):
    with opened(chromium, pages["kidney"]) as seen:
        refused = seen.page.evaluate(
            """async () => {
              const told = [];
              document.addEventListener('securitypolicyviolation',
                (event) => told.push(event.effectiveDirective));
              const image = new Image();
              image.src = 'http://127.0.0.1:9/pixel.png';
              await fetch('http://127.0.0.1:9/').catch(() => {});
              const script = document.createElement('script');
              script.textContent = 'window.wasRun = true';
              document.head.append(script);
              await new Promise((done) => setTimeout(done, 200));
              return [told.sort(), window.wasRun ?? false];
            }"""
        )
        assert refused == [["connect-src", "img-src", "script-src-elem"], False]


def test_the_worst_images_come_first_and_errors_choose_among_them(chromium, pages):
    with opened(chromium, pages["vasculature"]) as seen:
        page = seen.page
        scores = page.evaluate(SCORES)
        assert len(scores) == 25
        assert scores == sorted(scores)
        assert "25 images, 24 with a picture" in page.locator(".count").inner_text()
        for error in ("missed", "false", "split", "merged"):
            page.select_option(".only", error)
            told = page.locator(".item .errors").all_text_contents()
            count = int(re.search(r"\((\d+)\)", page.locator(f".only option[value={error}]").inner_text())[1])
            assert len(told) == count > 0
            assert all(error in text for text in told)
            assert page.locator(f"[data-layer={error}] input").is_checked(), "its outlines are shown"
        page.select_option(".only", "")
        page.select_option(".order", "best")
        assert page.evaluate(SCORES) == scores[::-1]
        page.select_option(".order", "id")
        ids = page.evaluate("[...document.querySelectorAll('.item')].map((item) => item.dataset.id)")
        assert ids == sorted(ids)


def drawn(page):
    """The classes of the outlines over the picture."""
    found = page.locator("svg.outlines path[class]").all()
    return {path.get_attribute("class") for path in found} - {"case"}


def test_outlines_are_switched_by_mouse_and_keys(chromium, pages):
    with opened(chromium, pages["vasculature"]) as seen:
        page = seen.page
        page.locator(".gallery").scroll_into_view_if_needed()
        page.wait_for_selector("svg.outlines path", state="attached")
        assert drawn(page) == {"true", "predicted", "missed", "false"}
        page.locator("[data-layer=true]").click()
        assert "true" not in drawn(page)
        page.locator(".list").focus()
        for key in "1346":
            page.keyboard.press(key)
        assert drawn(page) == {"true", "predicted", "merged"} & drawn(page) | {"true", "predicted"}
        assert not page.locator("[data-layer=missed] input").is_checked()
        page.keyboard.press("2")
        assert "predicted" not in drawn(page)
    with opened(chromium, pages["kidney"]) as seen:
        # Of a semantic mask the pixels that differ are hatched, not whole regions.
        seen.page.locator(".gallery").scroll_into_view_if_needed()
        seen.page.wait_for_selector("svg.outlines path.lacking", state="attached")
        assert {"lacking", "surplus"} <= drawn(seen.page) <= {"true", "predicted", "lacking", "surplus"}
        seen.page.locator(".list").focus()
        seen.page.keyboard.press("7")
        assert not {"lacking", "surplus"} & drawn(seen.page)


def test_keys_go_from_image_to_image_and_the_address_keeps_the_place(chromium, pages):
    with opened(chromium, pages["vasculature"]) as seen:
        page = seen.page
        ids = page.evaluate("[...document.querySelectorAll('.item')].map((item) => item.dataset.id)")
        page.locator(".list").focus()
        assert page.evaluate(CHOSEN) == ids[0]
        for key, number in (("n", 1), ("ArrowDown", 2), ("p", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
            page.keyboard.press(key)
            assert page.evaluate(CHOSEN) == ids[number]
        page.locator("button.next").click()
        assert unquote(page.url).endswith(f"#image=vasculature/{ids[2]}")
        assert page.locator(".caption b").inner_text() == ids[2]
        page.wait_for_selector("svg.outlines path", state="attached")
        page.locator(".list").focus()
        page.keyboard.press("e")
        seen.until("location.hash.includes('at=')")
        address = page.url
    with opened(chromium, pages["vasculature"], anchor=address.split("#")[1]) as seen:
        page = seen.page
        page.wait_for_selector("svg.outlines path", state="attached")
        assert page.evaluate(CHOSEN) == ids[2]
        assert page.evaluate("document.querySelector('.viewer').getBoundingClientRect().top < innerHeight")
        wanted = [float(value) for value in address.split("at=")[1].split(",")]
        seen.until("document.querySelector('svg.outlines g')?.getAttribute('transform')")
        x, y, scale = place(page)
        box = page.locator(".viewer").bounding_box()
        assert (box["width"] / 2 - x) / scale == pytest.approx(wanted[0], abs=2)
        assert (box["height"] / 2 - y) / scale == pytest.approx(wanted[1], abs=2)
        page.evaluate(f"location.hash = '#image=vasculature/{ids[0]}'")
        seen.until(f"{CHOSEN} === '{ids[0]}'")
        page.evaluate("location.hash = '#image=vasculature/no-such-image'")
        page.evaluate("location.hash = '#image=nothing'")
        assert page.evaluate(CHOSEN) == ids[0]
        assert seen.complaints == []


def place(page):
    """Where the outlines lie: pixels from the left and the top of the viewer, and pixels of a pixel."""
    text = page.evaluate("document.querySelector('svg.outlines g').getAttribute('transform')")
    return [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]


def test_the_picture_is_zoomed_and_its_outlines_follow(chromium, pages):
    with opened(chromium, pages["kidney"]) as seen:
        page = seen.page
        page.locator(".viewer").scroll_into_view_if_needed()
        seen.until("document.querySelector('svg.outlines g')?.getAttribute('transform')")
        seen.until(f"Math.abs({SCALE} * 2048 - document.querySelector('.viewer').clientWidth) < 2")
        x, y, scale = place(page)
        page.locator("button.in").click()
        seen.until(f"Math.abs({SCALE} / {scale} - 1.5) < 0.01")
        page.keyboard.press("0")
        seen.until(f"Math.abs({SCALE} / {scale} - 1) < 0.001")
        assert place(page) == pytest.approx([x, y, scale], abs=1)
        page.locator(".list").focus()
        page.keyboard.press("e")
        seen.until("location.hash.includes('at=')")
        data = json.loads(page.locator("script.data").text_content())
        _, left, top, width, height = data["pictures"][0]["errors"][0]
        x, y, scale = place(page)
        box = page.locator(".viewer").bounding_box()
        seen_box = [-x / scale, -y / scale, (box["width"] - x) / scale, (box["height"] - y) / scale]
        assert seen_box[0] - 2 <= left
        assert left + min(width, seen_box[2] - seen_box[0]) <= seen_box[2] + 2
        assert seen_box[1] - 2 <= top + height / 2 <= seen_box[3] + 2
        # The tissue itself is drawn below the outlines: it has far more colours than outlines have.
        for _ in range(7):
            page.keyboard.press("1")
        shown = np.asarray(Image.open(io.BytesIO(page.locator(".viewer").screenshot())).convert("RGB"))
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 2000
        assert "error 1 of" in page.locator(".count").inner_text()


def test_the_wheel_scrolls_the_page_until_the_picture_has_the_focus(chromium, pages):
    with opened(chromium, pages["vasculature"]) as seen:
        page = seen.page
        page.locator(".viewer").scroll_into_view_if_needed()
        seen.until("document.querySelector('svg.outlines g')?.getAttribute('transform')")
        before = page.evaluate("scrollY")
        scale = place(page)[2]
        page.locator(".viewer").hover()
        page.mouse.wheel(0, 200)
        seen.until(f"scrollY > {before}")
        assert place(page)[2] == pytest.approx(scale)
        page.locator(".viewer").click(position={"x": 200, "y": 100})
        page.mouse.wheel(0, -200)
        seen.until(f"{SCALE} > 1.05 * {scale}")


def test_an_image_without_a_picture_says_so(chromium, pages):
    with opened(chromium, pages["vasculature"]) as seen:
        page = seen.page
        page.locator(".item[aria-label*='no picture']").click()
        assert "--pictures" in page.locator(".message").inner_text()
        assert page.locator(".message").is_visible()
        page.locator("button.previous").click()
        assert not page.locator(".message").is_visible()


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_choice_of_colours_is_remembered(chromium, pages):
    with opened(chromium, pages["kidney"], dark=True) as seen:
        page = seen.page
        assert background(page) == "rgb(20, 23, 27)"
        page.locator("#theme").click()
        assert background(page) == "rgb(255, 255, 255)"
        page.reload()
        assert background(page) == "rgb(255, 255, 255)"
        assert "light" in page.locator("#theme").get_attribute("aria-label")
        page.locator("#theme").click()
        page.emulate_media(color_scheme="light")
        assert background(page) == "rgb(20, 23, 27)"
        page.locator("#theme").click()
        assert background(page) == "rgb(255, 255, 255)"


def test_paper_is_white_and_has_no_buttons(chromium, pages):
    with opened(chromium, pages["kidney"], dark=True) as seen:
        page = seen.page
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert background(page) == "rgb(255, 255, 255)"
        assert not page.locator("#theme").is_visible()
        assert not page.locator(".gallery .bar").is_visible()
        assert page.locator(".viewer").is_visible()
        assert page.evaluate("[...document.querySelectorAll('details')].every((item) => item.open)")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=SIZES)
def test_everything_that_acts_is_reached_by_the_tab_key(chromium, pages, size):
    with opened(chromium, pages["vasculature"], size=size) as seen:
        page = seen.page
        page.locator(".viewer").scroll_into_view_if_needed()
        page.wait_for_selector("svg.outlines path", state="attached")
        page.evaluate("scrollTo(0, 0)")
        reached = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(f"(({FOCUSED})(document.activeElement))"))
        chosen = {"theme", "scroll", "order", "only", "error-step", "next", "list", "in", "out", "home"}
        assert {*chosen, "openseadragon-canvas", "true", "merged"} - {*reached} == set()


def test_charts_of_a_phone_are_drawn_for_it(chromium, pages):
    for size, shown, hidden in ((PHONE, "narrow", "wide"), (DESKTOP, "wide", "narrow")):
        with opened(chromium, pages["kidney"], size=size) as seen:
            assert seen.page.locator(f".{shown} svg").first.is_visible()
            assert not seen.page.locator(f".{hidden} svg").first.is_visible()
