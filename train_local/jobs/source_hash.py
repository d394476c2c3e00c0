"""Hash of the source that a job runs: the modules that its entry modules import, directly or through others.

    train_local.engine.train -> train_local.engine.loop -> train_local.engine.ema    all of them count
    train_local.recipes.unet     nobody imports it; what it says is in the resolved config
    a comment, a blank line      don't count: the syntax tree is hashed
    kit.local.console            decides nothing (`DECIDE_NOTHING`) and does not count
    torch, mmdet, ...            count by their versions

The files are parsed, not imported, so this takes a second and no torch.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from kit.artefacts import sha256_json

PACKAGES = ("kit", "train_local", "cbnetv2", "vit_adapter")
"""Packages whose files count one by one."""
LIBRARIES = (
    "albumentations",
    "imagecodecs",
    "lightning-fabric",
    "mmcv-full",
    "mmdet",
    "mmsegmentation",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pycocotools",
    "scipy",
    "segmentation-models-pytorch",
    "tifffile",
    "timm",
    "torch",
    "torchvision",
)
"""Distributions that read images or compute results; they count by their versions, for every job."""
DECIDE_NOTHING: Mapping[str, str] = {
    "kit.competitions.toml_file": "a competition's definition counts by its values, however they were read",
    "kit.local.console": "how bars and tables look",
    "kit.local.narrow_tables": "how tables look on a narrow terminal",
    "kit.local.wording": "words around numbers that people read",
}
"""Module that jobs import -> why no result can depend on it: after a change of it nothing is done again."""
OWN_WHEELS = ("mmcv-full",)
"""Distributions of these that are built here: their files change while the version stays."""


@dataclass(frozen=True)
class _Module:
    digest: str
    imports: tuple[str, ...]


class Sources:
    """The source files of some packages; each is read once.

    Args:
        roots: package -> its folder.
        versions: library -> its version.

    Attributes:
        versions: library -> its version; of our own wheels with a hash of their files.
    """

    def __init__(self, roots: Mapping[str, Path], versions: Mapping[str, str]) -> None:
        self._roots = roots
        self.versions = dict(versions)
        self._read: dict[str, _Module | None] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def hash_of(self, entries: Sequence[str]) -> str:
        """Return the hash of everything that some modules import, themselves included.

        Args:
            entries: dotted names. A package stands for its `__init__.py`.
        """
        key = tuple(sorted(set(entries)))
        if key not in self._hashes:
            modules = {name: module.digest for name, module in sorted(self.closure(key).items())}
            self._hashes[key] = sha256_json({"modules": modules, "libraries": self.versions})
        return self._hashes[key]

    def modules_in(self, package: str) -> list[str]:
        """Return the names of the modules in a package's folder."""
        first, *inner = package.split(".")
        files = self._roots[first].joinpath(*inner).glob("*.py")
        return sorted(f"{package}.{path.stem}" for path in files if path.stem != "__init__")

    def closure(self, entries: Sequence[str]) -> dict[str, _Module]:
        """Return the modules that some modules import, directly or through others, by name.

        Those of `DECIDE_NOTHING` are left out, with what only they import.
        """
        found: dict[str, _Module] = {}
        waiting = list(entries)
        while waiting:
            name = waiting.pop()
            if name in found or name in DECIDE_NOTHING or (module := self._module(name)) is None:
                continue
            found[name] = module
            waiting += module.imports
            # Whoever imports kit.images.tiff runs the __init__.py of kit and of kit.images, too.
            waiting += [name.rpartition(".")[0]] if "." in name else []
        return found

    def _module(self, name: str) -> _Module | None:
        if name not in self._read:
            self._read[name] = None
            if (path := self._path(name)) is not None:
                tree = ast.parse(path.read_bytes())
                digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                self._read[name] = _Module(digest, tuple(_imports(tree, package)))
        return self._read[name]

    def _path(self, name: str) -> Path | None:
        """The file of a module; None for a name that is no module of the packages."""
        package, *inner = name.split(".")
        if package not in self._roots or not all(part.isidentifier() for part in inner):
            return None
        place = self._roots[package].joinpath(*inner)
        for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if path.is_file() and (inner or path.name == "__init__.py"):
                return path
        return None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Every name that may be a module: of import statements anywhere, and texts that look like one.

    `from kit.masks import rle` gives kit.masks and kit.masks.rle; one that is no module has no file and is
    left out later. Texts count since `import_module("kit.models.weights")` takes one, and so do the modules
    of `optional_module`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield node.value
        elif (asked := optional_name(node)) is not None:
            yield from (f"{package}.{name}" for name in ([asked] if asked else _words(tree)))


def optional_name(node: ast.AST) -> str | None:
    """Return the name in a call of `kit.optional.optional_module`: "volume" of (__package__, "volume").

    Returns:
        "" for a name that is known only when it is called, as in (__package__, name); None for any other
        node.
    """
    match node:
        case ast.Call(func=ast.Name(id="optional_module"), args=[ast.Name(id="__package__"), name]):
            return str(name.value) if isinstance(name, ast.Constant) else ""
    return None


def _words(tree: ast.Module) -> Iterator[str]:
    """Every text of a file that could be a module's name: one of them is what a call's variable holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


@cache
def installed() -> Sources:
    """Return the sources of this installation, as they were when they were first asked for."""
    roots = {}
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            roots[package] = Path(found.origin).parent
    return Sources(roots, {name: _version(name) for name in LIBRARIES})


def _version(distribution: str) -> str:
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return "none"
    if distribution not in OWN_WHEELS:
        return found.version
    # A line of RECORD is "mmcv/_ext.py,sha256=6cacw-2G7G8pI6...,5508".
    lines = (found.read_text("RECORD") or "").splitlines()
    return f"{found.version} {sha256_json(sorted(line for line in lines if '.py,sha256=' in line))}"
