"""The page about all runs in a real browser."""

import pytest

from tests.browser.checks import LOOKS, NAMES, check_page
from tests.browser.chromium import opened
from train_local.report.chapter import Source
from train_local.report.page import FailedJob, write_report


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "job.log").write_text("step 1\nthe loss is not a number\n")
    source = Source("kidney", trained / "runs" / "kidney", trained / "prepared", folder / "none.json")
    failed = [FailedJob("kidney/unet/fold0", "no number", folder / "job.log", "lower the rate")]
    write_report(folder / "page.html", [source], failed=failed)
    return folder / "page.html"


@pytest.mark.parametrize(("size", "dark"), LOOKS, ids=NAMES)
def test_the_page_is_quiet_legible_and_fits(chromium, page, size, dark):
    check_page(chromium, page, size, dark=dark)


def test_ids_are_text_whatever_is_in_them(chromium, page):
    with opened(chromium, page, anchor="image=kidney/b%3Cb%3E%26") as seen:
        assert seen.page.locator(".caption b").inner_text() == "b<b>&"
        assert seen.page.locator(".item b").count() == 0
        assert seen.page.locator(".item[aria-selected=true] .id").inner_text() == "b<b>&"
        assert seen.complaints == []
