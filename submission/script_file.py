"""What predict.py and install.py have in common as files: modules as parts, a script, and its notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import sha256_bytes, write_text
from kit.errors import KitError
from kit.local.kaggle_limits import KERNEL_SOURCE_BYTES
from submission.modules import Module
from submission.runtime.script.text import IMPORTER
from submission.shortening import half_indented, shortened


@dataclass(frozen=True)
class Rendered:
    """A script and its notebook, written.

    Attributes:
        script: path of the script.
        notebook: path of the notebook in the same folder.
        size: of the script in bytes.
        sha256: of the script.
        modules: number of embedded modules.
    """

    script: Path
    notebook: Path
    size: int
    sha256: str
    modules: int


def module_parts(modules: Sequence[Module]) -> dict[str, str]:
    """Return the parts of a script that hold its modules: path -> text."""
    # The importer restores the line numbers of shortened modules. Nothing restores its own, so it keeps its
    # lines.
    return {
        module.path: (half_indented if module.path == IMPORTER else shortened)(module.text)
        for module in modules
    }


def write_script(out: Path, text: str, notebook: str, modules: int) -> Rendered:
    """Write a script and its notebook.

    Args:
        out: path of the script; the notebook gets the same name with the suffix .ipynb.
        text: of the script.
        notebook: text of the notebook.
        modules: number of embedded modules.

    Raises:
        KitError: one of them is too large for Kaggle, or the disk is full.
        SyntaxError: the script is no Python; it is not written.
    """
    compile(text, out.name, "exec", dont_inherit=True)
    files = {out: text, out.with_suffix(".ipynb"): notebook}
    for path, content in files.items():
        if (size := len(content.encode())) >= KERNEL_SOURCE_BYTES:
            raise KitError(
                f"{path.name} would have {size} bytes, but Kaggle takes fewer than {KERNEL_SOURCE_BYTES}",
                where=out,
                fix="choose fewer members for an ensemble, or fewer lines of a requirements file, so that "
                "the embedded manifests become smaller",
            )
    for path, content in files.items():
        write_text(path, content)
    data = text.encode()
    return Rendered(out, out.with_suffix(".ipynb"), len(data), sha256_bytes(data), modules)
