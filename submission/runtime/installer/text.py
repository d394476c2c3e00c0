"""The text of install.py: the parts that predict.py would carry, and the lines that start the installer."""

from __future__ import annotations

from collections.abc import Mapping

from submission.runtime.script.text import IMPORTER, script_text

MANIFEST, REQUESTED = "manifest.json", "requested.json"
"""Parts that say what the dataset holds and what was asked for."""
START = "submission.runtime.installer.start"
"""The module whose `start` the last lines call."""

_TAIL = f"""\
if __name__ == "__main__":
    _boot = {{"__name__": "{IMPORTER[:-3].replace("/", ".")}"}}
    exec(compile(PARTS["{IMPORTER}"][1:], "{IMPORTER}", "exec"), _boot)
    _former = dict(_boot["sys"].modules)
    _finder = _boot["embed"](PARTS)
    _start = _boot["importlib"].import_module("{START}").start
    _start(_finder, _former, __doc__, globals().get("__file__"))
    del PARTS, _boot, _former, _finder, _start
"""


def installer_text(header: str, parts: Mapping[str, str]) -> str:
    """Return the text of install.py; the same arguments give the same text.

    Args:
        header: for people.
        parts: path -> text, as `script_text` takes them.
    """
    return script_text(header, parts, _TAIL)
