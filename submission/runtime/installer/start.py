"""The start of install.py: as a process, in a notebook's cell, or pasted at the top of another script.

Afterwards the kernel is as it was before, but for `sys.path`, PYTHONPATH and PATH: a user may have modules
that are named like those of this script.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType

from kit import manifest as manifests
from kit import requested as requests
from kit.command_line import parse
from kit.errors import BAD_INPUT, KitError
from submission.runtime.inputs.import_check import try_imports
from submission.runtime.inputs.package_plan import Plan
from submission.runtime.inputs.versions import python_tag
from submission.runtime.inputs.wheels import packages_of
from submission.runtime.installer import words
from submission.runtime.installer.installer import Installer, Outcome
from submission.runtime.installer.options import Options
from submission.runtime.installer.text import MANIFEST, REQUESTED, installer_text
from submission.runtime.script.importer import EmbeddedFinder
from submission.runtime.script.script import in_notebook
from submission.runtime.script.text import part_text

_INTERRUPTED = 130
_OURS = frozenset({"kit", "submission", "packaging", "pip"})
"""Packages that this script imports, and that a user may want from elsewhere."""


class InstallationError(Exception):
    """The installation failed; a notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows."""
        return [f"error: {self}"]


def start(
    finder: EmbeddedFinder, former: Mapping[str, ModuleType], header: str | None, file: str | None
) -> None:
    """Install, and make the packages importable in this process and its children.

    Args:
        finder: imports the modules of this script.
        former: `sys.modules` as it was before.
        header: its docstring.
        file: path of the file that runs; None in a cell.

    Raises:
        InstallationError: in a notebook, if something that is asked for cannot be used.
        SystemExit: elsewhere, with exit code 2.
    """
    parts = {path: part_text(text) for path, text in finder.parts.items()}
    text = installer_text(header or "", parts)
    # Pasted into another script, this code shares that script's arguments, which are not for it.
    own = file is not None and _holds(Path(file), text)
    try:
        options = parse(sys.argv[1:] if own else [], Options, prog="install.py")
        requested = requests.from_dict(json.loads(parts[REQUESTED]), where=REQUESTED)
        if options.check_imports is not None:
            modules = [module for item in requested.on(python_tag()) for module in item.modules]
            sys.exit(try_imports(dict.fromkeys(modules, ()), options.check_imports))
        manifest = manifests.from_dict(json.loads(parts[MANIFEST]), where=MANIFEST)

        def write_script(folder: Path) -> Path:
            path = folder / "install.py"
            path.write_text(text, encoding="utf-8")
            return path

        done = Installer(requested, manifest, options, say=_say, write_script=write_script).run()
        _finish(done, former, own=own)
    except KitError as error:
        _fail(error)
    except OSError as error:
        fix = "check that disk's space and rights; --folder and TMPDIR name other places"
        _fail(KitError(f"{error.strerror or error}", where=error.filename, fix=fix))
    except KeyboardInterrupt:
        if not own:
            raise
        print("stopped; run it again to go on", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    finally:
        _leave(finder, former)


def _say(text: str) -> None:
    print(text, flush=True)


def _finish(done: Outcome, before: Collection[str], *, own: bool) -> None:
    """Make the packages importable and tell what a user has to know.

    Raises:
        KitError: something that is asked for cannot be used.
    """
    if done.site is not None:
        names = _imported_before(done.plan, before, done.site)
        activate(done.site)
        if names:
            _say(words.restart(names))
        if files := sorted(path.name for path in done.site.glob("*.pth")):
            _say(words.not_run(files))
    if done.errors:
        raise words.failed(done.errors, others=done.site is not None)
    _say(words.ready(done.site, again=done.again))
    if own and done.site is not None and not in_notebook():
        _say(words.for_a_shell(done.site))


def activate(site: Path) -> None:
    """Put a folder of packages in front, for this process and for those that it starts."""
    place = str(site)
    sys.path[:] = [place, *(entry for entry in sys.path if entry != place)]
    sys.path_importer_cache.pop(place, None)  # Python notes that a folder is not there
    importlib.invalidate_caches()
    for name, folder in (("PYTHONPATH", place), ("PATH", str(site / "bin"))):
        others = [item for item in os.environ.get(name, "").split(os.pathsep) if item and item != folder]
        os.environ[name] = os.pathsep.join([folder, *others])


def _imported_before(plan: Plan, before: Collection[str], site: Path) -> list[str]:
    """Return the packages of which the image's copy was imported before ours came in front of it."""
    found = set()
    for choice in plan.choices:
        if choice.entry is None or choice.installed is None:
            continue
        for package in packages_of(choice.name) & set(before):
            file = getattr(sys.modules.get(package), "__file__", None)
            if file is None or not Path(file).is_relative_to(site):
                found.add(package)
    return sorted(found)


def _fail(error: KitError) -> None:
    if in_notebook():
        raise InstallationError(str(error)) from None
    print(f"error: {error}", file=sys.stderr, flush=True)
    sys.exit(BAD_INPUT)


def _holds(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def _leave(finder: EmbeddedFinder, former: Mapping[str, ModuleType]) -> None:
    """Take the modules of this script out of the process again."""
    with contextlib.suppress(ValueError):
        sys.meta_path.remove(finder)
    with contextlib.suppress(ValueError):
        sys.path_hooks.remove(finder.folder)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS and name not in former]:
        del sys.modules[name]
    sys.modules.update({name: former[name] for name in finder.paths if name in former})
