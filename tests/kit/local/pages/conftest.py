from tests.browser.fixtures import chromium

__all__ = ["chromium"]
