"""An order: everything that compiles one library anywhere, in one zip whose bytes say what it is."""

from __future__ import annotations

import base64
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bundle import mmcv_wheel, stored_zip
from bundle.native import units
from bundle.native.variant import Variant
from kit.artefacts import canonical_json, sha256_bytes, sha256_json

_UNITS = {"c++": "unit.cpp", "nvcc": "unit.cu"}
_EMPTY = 'ORDER = ""\n'


@dataclass(frozen=True)
class Order:
    """What is to be compiled.

    Attributes:
        variant: for what.
        identity: hex sha256 of sources, flags and variant; a library that is kept under it is never compiled
            again.
        files: path in the zip -> content.
    """

    variant: Variant
    identity: str
    files: Mapping[str, bytes]

    def write(self, path: Path, *, install: bool) -> None:
        """Write the zip that the program takes.

        Args:
            path: of the zip.
            install: whether the program may install ninja with pip.
        """
        variant = self.variant
        told = {
            "identity": self.identity,
            "install": install,
            "include": units.CSRC,
            "module": variant.module,
            "machine": variant.machine,
            "tag": variant.tag,
            "torch": variant.torch,
            "cuda": variant.cuda,
            "archs": list(variant.archs),
            "arch_list": variant.arch_list,
            "units": [name for name in _UNITS.values() if name in self.files],
            "flags": units.flags(cuda=variant.cuda is not None),
        }
        stored_zip.write(path, {"order.json": canonical_json(told).encode(), **self.files})

    def kernel_source(self) -> str:
        """Return the program with this order in it: the source of a kernel."""
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "order.zip"
            self.write(packed, install=True)
            text = base64.b64encode(zlib.compress(packed.read_bytes(), 9)).decode()
        source = program().read_text(encoding="utf-8")
        before, after = source.split(_EMPTY)  # once, or this is not our program
        return f'{before}ORDER = "{text}"\n{after}'


def program() -> Path:
    """Return the path of the program that compiles an order."""
    return Path(str(files(__package__))) / "compile_program.py"


def order_of(variant: Variant, release: mmcv_wheel.Release) -> Order:
    """Return the order of a variant.

    Args:
        variant: for what.
        release: of mmcv-full.
    """
    cuda = variant.cuda is not None
    contents = dict(units.sources_needed(release.sources))
    contents[_UNITS["c++"]] = units.cpp_unit(release.sources, cuda=cuda).encode()
    if cuda:
        contents[_UNITS["nvcc"]] = units.cuda_unit().encode()
    else:
        contents = {name: data for name, data in contents.items() if not name.endswith((".cu", ".cuh"))}
    files_of = dict(sorted(contents.items()))
    identity = sha256_json(
        {
            "mmcv": release.about.version,
            "variant": [variant.machine, variant.tag, variant.torch, variant.cuda, list(variant.archs)],
            "flags": units.flags(cuda=cuda),
            "files": {name: sha256_bytes(data) for name, data in files_of.items()},
        }
    )
    return Order(variant, identity, files_of)
