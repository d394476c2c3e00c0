"""The commands that README, docs/ and the samples' pages name, as words."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("sample/*/README.md")),
)
COMMAND = re.compile(r"(?:python|nox) -[msl]\b(?: |$)|python [\w./]+\.py\b")


def code_of(page):
    """Yield what is code in a Markdown page: fenced and indented lines, and spans."""
    page = page.replace("\\\n", " ")
    fenced = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(page):
        yield from block.splitlines()
    page = fenced.sub("", page)
    for paragraph in re.split(r"\n\s*\n", page):
        if paragraph.startswith("    "):
            yield from paragraph.splitlines()
        else:
            yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", paragraph))


def commands_of(codes):
    """Yield the words of each command of nox, of `python -m` and of `python FILE.py`."""
    for code in codes:
        for part in re.split(r"&&| #", code):
            if COMMAND.search(part):
                text = part[COMMAND.search(part).start() :].replace("[", "").replace("]", "")
                words = shlex.split(text)
                yield words[2:] if words[:3] == ["python", "-m", "nox"] else words


def documented():
    """Command, its words joined -> names of the pages that have it."""
    found = {}
    for page in DOCUMENTS:
        for words in commands_of(code_of(page.read_text())):
            found.setdefault(" ".join(words), set()).add(str(page.relative_to(ROOT)))
    return found
