"""What every page has to be: quiet, legible, no wider than its window, without a jump."""

from tests.browser.chromium import DESKTOP, PHONE, opened

LOOKS = [(size, dark) for size in (DESKTOP, PHONE) for dark in (False, True)]
NAMES = ["desktop-light", "desktop-dark", "phone-light", "phone-dark"]

# Contrast of every visible text with what is behind it (WCAG 2.2, success criterion 1.4.3).
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((value, index) => (index < 3 ? value : value / 255));
  };
  const over = (above, below) => [0, 1, 2].map((index) => above[index] * above[3] + below[index] * (1 - above[3]));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = rgba(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (!text.textContent.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION', 'TITLE', 'title'].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const front = over(rgba(element.namespaceURI.endsWith('svg') ? style.fill : style.color), back);
    const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    found.push([(light + 0.05) / (dark + 0.05), text.textContent.trim().slice(0, 40), style.color]);
  }
  return found;
}"""


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
