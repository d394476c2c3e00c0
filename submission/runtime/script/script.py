"""The running predict.py as a value: its parts, and a file to start workers from."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from submission.runtime.script.text import script_text


def in_notebook() -> bool:
    """Whether a notebook's kernel executes this. Its process has to outlive the run."""
    return hasattr(builtins, "get_ipython")


@dataclass(frozen=True)
class Script:
    """The running script.

    Attributes:
        header: its docstring.
        parts: path -> original text: modules, ensemble.json and the manifests.
        file: its path as Python gives it; None if the script came through a pipe or was pasted.
    """

    header: str
    parts: Mapping[str, str]
    file: str | None

    def as_file(self, scratch: Path) -> Path:
        """Return a file that holds exactly this script, to start workers from.

        Args:
            scratch: the file is written here if `file` is None or is another script, which executes this one.
        """
        # In a notebook `file` may be the kernel's own script, and with `%run` a file that changed since.
        text = script_text(self.header, self.parts)
        if self.file is not None:
            path = Path(self.file)
            try:
                if path.read_text(encoding="utf-8") == text:
                    return path.resolve()
            except (OSError, ValueError):
                pass
        path = scratch / "predict.py"
        path.write_text(text, encoding="utf-8")
        return path
