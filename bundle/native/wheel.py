"""Wheels of mmcv-full 1.7.2 with compiled operators, one for each Python, beside the portable one.

A wheel holds the portable operators and a library for each torch and CUDA of the targets with its Python. An
operator that is not compiled, or that gives wrong numbers, stays portable.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bundle import mmcv_wheel, wheelfile
from bundle.native import compile_program, ways
from bundle.native.libraries import Library
from bundle.native.order import order_of
from bundle.native.variant import Variant
from kit.errors import KitError

SOURCE = Path(__file__).parents[1] / "packages" / "mmcv_native"
"""Folder of our part of the wheel."""

BUILD_TAG = "1native"
"""Distinguishes this wheel from the portable build of the same version."""


def build_wheel(out: Path, *, cache: Path, sdist: Path | None = None) -> Path:
    """Build a wheel for this Python, this torch and CPUs. It takes about a minute.

    Args:
        out: folder for the wheel.
        cache: folder for the downloaded source distribution.
        sdist: the source distribution, if you have downloaded it already.

    Returns:
        The wheel, e.g. `mmcv_full-1.7.2-1native-cp311-cp311-linux_x86_64.whl`.

    Raises:
        KitError: the source distribution cannot be downloaded or is not the pinned one, there is no compiler,
            or the sources do not compile.
    """
    found = compile_program.here()
    variant = Variant(machine=found["machine"], tag=found["tag"], torch=found["torch"], cuda=None, archs=())
    release = mmcv_wheel.release(cache=cache, sdist=sdist)
    order = order_of(variant, release)
    log = cache / "native" / order.identity[:32] / "wheel.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if (reason := ways.here(order, folder, log)) is not None:
            raise KitError(
                f"mmcv's operators could not be compiled: {reason}",
                fix="install g++ (C++17), ninja and Python's headers, or leave out --native",
            )
        library = Library(variant=variant, path=folder / f"{variant.module}.so", how="here")
        return assemble([library], release, out)


def wheels(libraries: Sequence[Library], release: mmcv_wheel.Release, out: Path) -> dict[str, Path]:
    """Write a wheel for each Python that some libraries are for; the same libraries give the same bytes.

    Args:
        libraries: compiled.
        release: of mmcv-full.
        out: folder for the wheels.

    Returns:
        Python tag -> wheel.
    """
    tags = sorted({library.variant.tag for library in libraries})
    return {tag: assemble([it for it in libraries if it.variant.tag == tag], release, out) for tag in tags}


def assemble(libraries: Sequence[Library], release: mmcv_wheel.Release, out: Path) -> Path:
    """Write the wheel of one Python.

    Args:
        libraries: for that Python, of different torch or CUDA.
        release: of mmcv-full.
        out: folder for the wheel.
    """
    [(tag, machine)] = {(library.variant.tag, library.variant.machine) for library in libraries}
    files = dict(release.files)
    files["mmcv/_portable_ext.py"] = files.pop("mmcv/_ext.py")
    for name in ("_ext.py", "_native_check.py"):
        files[f"mmcv/{name}"] = (SOURCE / name).read_bytes()
    for library in libraries:
        suffix = f".cpython-{tag.removeprefix('cp')}-{machine}-linux-gnu.so"
        files[f"mmcv/{library.variant.module}{suffix}"] = library.path.read_bytes()
    about = dataclasses.replace(
        release.about,
        summary="OpenMMLab Computer Vision Foundation, with a subset of its operators compiled",
    )
    return wheelfile.build(out, about, files, build_tag=BUILD_TAG, tag=f"{tag}-{tag}-linux_{machine}")
