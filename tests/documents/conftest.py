"""The browser that the tests of the site share."""

from tests.browser.fixtures import chromium

__all__ = ["chromium"]
