"""The folder of the installed packages: where it is, whether it is ours, and what a former run put into it.

Its name says which dataset, at which version, and for which Python: the same cell finds it again after the
kernel was restarted, and two bundles do not touch each other.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import write_text
from kit.errors import KitError
from kit.manifest import Manifest
from submission.runtime.inputs.package_plan import Plan
from submission.runtime.inputs.scratch import choose_scratch, space_needed, usual_folders
from submission.runtime.inputs.versions import python_tag
from submission.runtime.inputs.wheels import installed_version

_MARK = "installed.json"
_HASH = 8
_OUTPUT = Path("/kaggle/working")


@dataclass(frozen=True)
class Place:
    """Where packages go.

    Attributes:
        site: their folder.
        scratch: new and empty, on the same disk; for links, caches and files out of archives.
        note: why it is not in the usual place; None if all is as usual.
    """

    site: Path
    scratch: Path
    note: str | None = None

    def remove_scratch(self) -> None:
        """Remove what is of no use after the installation."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def folder_name(manifest: Manifest) -> str:
    """Return the name of the packages' folder: "offline-wheels-1a2b3c4d-cp313"."""
    return f"{manifest.dataset}-{manifest.sha256()[:_HASH]}-{python_tag()}"


@contextmanager
def as_in_the_image(manifest: Manifest, folder: Path | None) -> Iterator[None]:
    """Look at the image as if no former run had put a folder of ours on `sys.path`."""
    name, before = folder_name(manifest), list(sys.path)
    given = None if folder is None else str(folder.absolute())
    sys.path[:] = [entry for entry in before if Path(entry).name != name and entry != given]
    try:
        yield
    finally:
        sys.path[:] = before


def former(manifest: Manifest, folder: Path | None, plan: Plan) -> Path | None:
    """Return the folder in which a former run has installed just this; None if there is none.

    Args:
        manifest: of the dataset.
        folder: as the user gave it.
        plan: what the image needs.
    """
    name = folder_name(manifest)
    sites = [folder.absolute()] if folder is not None else [item / name for item in usual_folders(_OUTPUT)]
    for site in sites:
        mark = _mark_of(site)
        if mark is None or mark.get("manifest") != manifest.sha256() or mark.get("planned") != _planned(plan):
            continue
        installed = mark.get("installed")
        if isinstance(installed, dict) and all(
            installed_version(str(item), [str(site)]) == version for item, version in installed.items()
        ):
            return site
    return None


def choose(manifest: Manifest, folder: Path | None, plan: Plan) -> Place:
    """Return where the packages go, with a new scratch folder beside it.

    Raises:
        KitError: nothing can be written anywhere, or the given folder holds something else.
    """
    if folder is None:
        scratch = choose_scratch(space_needed(plan.wheels), _OUTPUT)
        return Place(scratch.folder.parent / folder_name(manifest), scratch.folder, scratch.note)
    site = folder.absolute()
    if site.exists() and not (site.is_dir() and (not any(site.iterdir()) or _mark_of(site) is not None)):
        raise KitError(
            "the folder for the packages holds something else, which would be deleted",
            where=site,
            fix="give a new folder with --folder, or leave the option out",
        )
    try:
        site.parent.mkdir(parents=True, exist_ok=True)
        return Place(site, Path(tempfile.mkdtemp(prefix=f".{site.name}-", dir=site.parent)))
    except OSError as error:
        raise KitError(
            f"the folder for the packages cannot be made: {error.strerror}",
            where=site,
            fix="give a folder that can be written with --folder",
        ) from error


def mark(site: Path, manifest: Manifest, planned: Plan, installed: Mapping[str, str]) -> None:
    """Note what lies in the folder, for the next run.

    Args:
        site: the folder.
        manifest: of the dataset.
        planned: what the image needed by its metadata.
        installed: name -> version of all that was installed in the end.
    """
    value = {"manifest": manifest.sha256(), "planned": _planned(planned), "installed": dict(installed)}
    write_text(site / _MARK, json.dumps(value, indent=1, sort_keys=True) + "\n")


def _planned(plan: Plan) -> list[str]:
    return sorted(entry.sha256 for entry in plan.wheels)


def _mark_of(site: Path) -> dict[str, object] | None:
    """Return what a former run noted; None if there is no note that can be read."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads((site / _MARK).read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else None
    return None
