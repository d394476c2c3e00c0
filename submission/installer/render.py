"""Render install.py and install.ipynb from a bundle of wheels.

install.py is one file to run, or to paste into a notebook's cell. It carries the modules with which
predict.py finds, verifies, restores and installs wheels. Equal inputs give equal bytes.
"""

from __future__ import annotations

from pathlib import Path

from kit import manifest as manifests
from kit import requested as requests
from kit.errors import KitError
from kit.manifest import Manifest
from kit.requested import Requested
from submission import excerpts
from submission.modules import collect, source_root
from submission.notebook import notebook
from submission.parts import json_part
from submission.runtime.installer.text import MANIFEST, REQUESTED, START, installer_text
from submission.runtime.script.text import IMPORTER
from submission.script_file import Rendered, module_parts, write_script

NAME = "install.py"
_FEW = 20
_ENTRIES = (START, IMPORTER.removesuffix(".py").replace("/", "."))


def dataset_in(bundle: Path) -> Path:
    """Return the dataset of wheels in a bundle that `bundle wheels` made.

    Args:
        bundle: folder with the dataset's folder, or this one itself.

    Raises:
        KitError: there is none, or more than one.
    """
    found = sorted(path.parent for path in [*bundle.glob(requests.NAME), *bundle.glob(f"*/{requests.NAME}")])
    if len(found) == 1:
        return found[0]
    if not found:
        raise KitError(
            "there is no bundle of wheels alone in this folder",
            where=bundle,
            fix="run `python -m bundle wheels --requirements FILE` first, or name its folder with --bundle",
        )
    raise KitError(
        f"there are {len(found)} bundles of wheels: {', '.join(path.name for path in found)}",
        where=bundle,
        fix="name one of the folders with --bundle",
    )


def render(bundle: Path, out: Path) -> Rendered:
    """Write install.py, and install.ipynb into the same folder.

    Args:
        bundle: folder that `bundle wheels` has made.
        out: path of install.py.

    Raises:
        KitError: there is no such bundle, or the script would be too large for Kaggle.
    """
    dataset = dataset_in(bundle)
    manifest = manifests.load(dataset / manifests.NAME)
    requested = requests.load(dataset / requests.NAME)
    names = {entry.wheel.name for entry in manifest.files if entry.wheel is not None}
    carried = excerpts.excerpt(manifest, weights=(), distributions=names)
    modules = collect(source_root(), *_ENTRIES)
    parts = {
        REQUESTED: json_part(requested.as_dict(), dataset),
        MANIFEST: json_part(carried.as_dict(), dataset),
    }
    parts |= module_parts(modules)
    text = installer_text(_header(manifest, requested, len(modules)), parts)
    return write_script(out, text, _notebook(text, manifest, requested), len(modules))


def _header(manifest: Manifest, requested: Requested, modules: int) -> str:
    asked = [f"{item.name}{item.wanted}" for item in requested.asked]
    more = f" and {len(asked) - _FEW} more" if len(asked) > _FEW else ""
    lines = [
        f"Installer of the wheels in the dataset {manifest.dataset}. Rendered: to change it, build it again.",
        "",
        "On Kaggle: add the dataset as an input, switch the internet off, and paste this whole text into the",
        "first cell. Afterwards the packages can be imported, here and in processes that this kernel starts.",
        "Elsewhere: python install.py --input DIR --folder DIR",
        "",
        f"Asked for: {', '.join(asked[:_FEW])}{more}",
        f"For: {', '.join(manifest.targets)}",
        f"sha256 of its manifest.json: {manifest.sha256()}",
        "",
        f"Below: what was asked for, what it needs of the manifest, and {modules} modules of the repository.",
        "Their code is as it is there, indented by 2 spaces; docstrings have one sentence, functions no",
        "types. The last lines start it.",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _notebook(text: str, manifest: Manifest, requested: Requested) -> str:
    modules = sorted({module for item in requested.asked for module in item.modules})
    about = (
        f"# {manifest.dataset}\n\nThe next cell installs its wheels; the last one shows what is imported.\n"
    )
    tried = "import importlib\n\n"
    tried += f"for name in {modules!r}:\n"
    tried += "    module = importlib.import_module(name)\n"
    tried += '    print(name, getattr(module, "__version__", ""), module.__file__)\n'
    return notebook([("markdown", about), ("code", text), ("code", tried)])
