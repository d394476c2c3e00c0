"""The browser as a fixture; a conftest imports it for its tests."""

import os

import pytest

from kit.local.doctor.pages import find_chromium
from tests.browser.chromium import browser

__all__ = ["chromium"]


@pytest.fixture(scope="module")
def chromium():
    """A browser for the tests of a module; without one they are skipped, but in CI they fail."""
    if find_chromium() is None:
        told = "there is no Chromium on this machine (apt-get install chromium, or set CHROMIUM)"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    # Not for the whole session: while it runs, its event loop forbids that of other tests.
    with browser() as own:
        yield own
