"""The source of models of one's own: which files belong to a module, their hash, and how Python finds them.

The source lies in a folder `models`: of a run's recipe beside its folds, of an ensemble beside ensemble.json.
On Kaggle the same files come out of a wheel.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from kit.artefacts import sha256_bytes, sha256_json, write_bytes
from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.models.registry import OWN, sized

FOLDER = "models"
"""Name of the folder with the sources."""
_AGAIN = "run `ensemble` again: it places the source of each model beside ensemble.json"


def own_members(ensemble: Ensemble) -> list[Member]:
    """Return the members whose network is a class of the user's."""
    return [member for member in ensemble.members if member.network.get("network") == OWN]


def distribution(module: str) -> str:
    """Return the name of the wheel of a module: "my_model" is in "own-my-model"."""
    return "own-" + module.replace("_", "-").lower()


def files_of(path: Path) -> dict[str, bytes]:
    """Return the files of a module by their names below the folder it lies in.

    "my_model.py" is one file. Of a package "my_model" all Python files count, and nothing else.

    Args:
        path: the file, or the folder of a package.

    Raises:
        KitError: it is neither, or cannot be read.
    """
    if path.is_dir() and not (path / "__init__.py").is_file():
        raise KitError(
            "this folder is no package: it has no __init__.py",
            where=path,
            fix="name the Python file of the model, or the folder of a package",
        )
    if not path.is_dir() and (path.suffix != ".py" or not path.is_file()):
        problem = "is no Python file" if path.exists() else "is not there"
        raise KitError(f"{path.name} {problem}", where=path, fix="name the file of the model: MODEL.py")
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    try:
        return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in found}
    except OSError as error:
        raise KitError(
            f"{error.filename} cannot be read: {error.strerror}", where=path, fix="make it readable"
        ) from error


def digest(files: Mapping[str, bytes]) -> str:
    """Return the sha256 of a module's files and their names."""
    return sha256_json({name: sha256_bytes(data) for name, data in files.items()})


def module_path(folder: Path, module: str) -> Path:
    """Return the file or package of a module in a folder."""
    package = folder / module
    return package if package.is_dir() else folder / f"{module}.py"


def place(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a module into a folder.

    Raises:
        KitError: the disk is full, or the folder cannot be written.
    """
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, data)


def replace(files: Mapping[str, bytes], folder: Path, module: str) -> None:
    """Write the files of a module into a folder, in place of those of an earlier version.

    Raises:
        KitError: as `place`.
    """
    if (folder / module).is_dir():
        shutil.rmtree(folder / module)
    (folder / f"{module}.py").unlink(missing_ok=True)
    place(files, folder)


def importable(folder: Path, modules: Iterable[str]) -> None:
    """Let Python import modules from a folder from now on, in this process.

    Args:
        folder: of the sources.
        modules: their names; those that were imported from elsewhere are forgotten.
    """
    place = str(folder.resolve())
    sys.path[:] = [place, *(entry for entry in sys.path if entry != place)]
    wanted = set(modules)
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None) or ""
        if name.partition(".")[0] in wanted and not file.startswith(f"{place}/"):
            del sys.modules[name]
    importlib.invalidate_caches()


def require(members: Iterable[Member], folder: Path) -> None:
    """Make the sources of members importable, after a look whether they are those that were added.

    Args:
        members: those with another network than one of the user's are passed over.
        folder: where the sources lie.

    Raises:
        KitError: a source is missing or was changed.
    """
    modules = {}
    for member in members:
        if member.network.get("network") != OWN:
            continue
        own = sized(member.network)[1]
        path = module_path(folder, own.module)
        if not path.exists():
            raise KitError(f"the source of {member.name} is missing", where=path, fix=_AGAIN)
        if digest(files_of(path)) != own.source:
            raise KitError(
                f"the source of {member.name} was changed after `add-model` had checked it",
                where=path,
                fix="run `add-model` with the changed file again, then `ensemble`",
            )
        modules[own.module] = member.name
    if modules:
        importable(folder, modules)
