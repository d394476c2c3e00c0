"""What the file of a model imports, and whether the bundle will have it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kit.errors import KitError
from kit.local import lockfile, targets
from kit.local.lockfile import Pin
from kit.local.targets import Target

ALWAYS = (
    "torch",
    "torchvision",
    "numpy",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
    "safetensors",
)
"""Distributions that every member has on Kaggle; a test holds them against the plan of packages."""
OURS = frozenset({"kit", "train_local", "bundle", "submission", "benchmarks", "tests"})
_PICKLES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"})


def check_imports(
    files: Mapping[str, bytes], module: str, requires: Sequence[str] | None, lock: Path, beside: Path
) -> None:
    """Check that everything a model imports will be there on Kaggle.

    Args:
        files: of the module, by name.
        module: its name.
        requires: distributions that it declares; None: not known yet, because nothing is imported yet.
        lock: `requirements.lock`.
        beside: folder that the module lies in, for messages.

    Raises:
        KitError: a file does not parse, imports what it does not declare, or what no bundle has.
    """
    _check_name(module, beside)
    pins, images = lockfile.load(lock), targets.known()
    for name in requires or ():
        _check_required(name, pins, images, lock)
    provided = _closure([*ALWAYS, *(requires or ())])
    known = metadata.packages_distributions()
    for name, where in _imported(files, beside):
        if name == module or name in sys.stdlib_module_names:
            if name in _PICKLES:
                raise KitError(
                    f"it imports {name}, and a pickle can run code on Kaggle",
                    where=where,
                    fix="keep weights as safetensors, as .npz (numpy), or as a state dict: torch.load(path, "
                    "weights_only=True)",
                )
            continue
        if name in OURS:
            raise KitError(
                f"it imports {name}, of which predict.py carries only what it needs itself",
                where=where,
                fix="a model needs no import of the kit: copy the few lines that it uses",
            )
        if name in _PICKLES:
            raise KitError(
                f"it imports {name}, and a pickle can run code on Kaggle",
                where=where,
                fix="use safetensors or .npz (numpy)",
            )
        distributions = [canonicalize_name(item) for item in known.get(name, ())]
        if not distributions:
            raise _unknown(name, where, beside)
        if requires is not None and not provided.intersection(distributions):
            raise KitError(
                f"it imports {name}, and the class does not say that it requires {distributions[0]}",
                where=where,
                fix=f'write requires = ["{distributions[0]}"] into the class: predict.py installs only what '
                "members require",
            )


def _check_name(module: str, beside: Path) -> None:
    """Refuse a name under which Python would find something else."""
    taken = module in sys.stdlib_module_names or module in OURS
    taken = taken or module in metadata.packages_distributions()
    if not module.isidentifier() or taken:
        why = "is the name of another module" if taken else "is no name of a Python module"
        raise KitError(
            f"{module!r} {why}",
            where=beside / f"{module}.py",
            fix="give the file another name of letters, digits and '_', such as team_segmenter.py",
        )


def _check_required(name: str, pins: Sequence[Pin], images: Sequence[Target], lock: Path) -> None:
    wanted = canonicalize_name(name)
    if wanted in {pin.name for pin in pins} or all(image.leaves_to_image(wanted) for image in images):
        return
    raise KitError(
        f"the class requires {name}, which the lock does not have, so no bundle would have it",
        where=lock,
        fix=f"write {name} into requirements.in and run `python -m bundle lock`",
    )


def _imported(files: Mapping[str, bytes], beside: Path) -> Iterator[tuple[str, str]]:
    """Yield (top-level name, file and line) of each import of other modules, inside functions, too."""
    for name, data in files.items():
        try:
            tree = ast.parse(data, name)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            raise KitError(
                f"this file is no Python: {error}",
                where=f"{beside / name}:{line}" if line else beside / name,
                fix="correct the line",
            ) from error
        for node in ast.walk(tree):
            found: list[str] = []
            if isinstance(node, ast.Import):
                found = [item.name for item in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found = [node.module or ""]
            where = f"{beside / name}:{getattr(node, 'lineno', 0)}"
            yield from ((item.partition(".")[0], where) for item in found)


def _closure(names: Iterable[str]) -> frozenset[str]:
    """Return what some distributions need in this environment, with themselves."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        needs = [Requirement(line) for line in lines]
        waiting += [
            canonicalize_name(item.name)
            for item in needs
            if item.marker is None or item.marker.evaluate({"extra": ""})
        ]
    return frozenset(found)


def _unknown(name: str, where: str, beside: Path) -> KitError:
    if (beside / f"{name}.py").is_file() or (beside / name).is_dir():
        return KitError(
            f"it imports {name}, which lies beside it and would not reach Kaggle",
            where=where,
            fix="make a package of both: a folder with __init__.py, and `from . import ...` in it",
        )
    return KitError(
        f"it imports {name}, which this Python does not have",
        where=where,
        fix="install its distribution, write it into requirements.in, run `python -m bundle lock`, and name "
        "it in `requires`",
    )
