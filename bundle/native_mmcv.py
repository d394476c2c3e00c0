"""Compile the operators of mmcv-full 1.7.2 that we use, for the running Python and torch, into a wheel.

This is the alternative to the portable build, with mmcv's own kernels. We do not run mmcv's setup.py: it
compiles a hundred operators in up to an hour, and it fails on Python 3.13. Instead one translation unit
includes the CPU sources of a dozen operators. An operator that is not compiled, or that gives wrong numbers,
stays portable.
"""

from __future__ import annotations

import dataclasses
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bundle import mmcv_wheel, wheelfile
from kit.errors import KitError

SOURCE = Path(__file__).parent / "packages" / "mmcv_native"
"""Folder of our part of the wheel."""

BUILD_TAG = "1native"
"""Distinguishes this wheel from the portable build of the same version."""

_CSRC = "mmcv/ops/csrc/"
_OPERATORS = ("nms", "roi_align", "deform_conv", "modulated_deform_conv")
_SOURCES = (
    *(f"pytorch/{name}.cpp" for name in (*_OPERATORS, "ms_deform_attn", "focal_loss", "info")),
    *(f"pytorch/cpu/{name}.cpp" for name in _OPERATORS),
)
_DECLARATION = re.compile(r"^[A-Za-z][\w:<>, ]*?[ &*](\w+)\([^;{]*\);", re.MULTILINE)
_DEFINITION = re.compile(r'm\.def\(\s*"(\w+)".*?\);', re.DOTALL)
_TAIL = 1500


def build_wheel(out: Path, *, cache: Path, sdist: Path | None = None) -> Path:
    """Build the native wheel for this Python, this torch and this kind of machine. It takes about a minute.

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
    import torch

    release = mmcv_wheel.release(cache=cache, sdist=sdist)
    files = dict(release.files)
    files["mmcv/_portable_ext.py"] = files.pop("mmcv/_ext.py")
    for name in ("_ext.py", "_native_check.py"):
        files[f"mmcv/{name}"] = (SOURCE / name).read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        library = _compile(_unit(release.sources), release.sources, Path(scratch))
        files[f"mmcv/_native{sysconfig.get_config_var('EXT_SUFFIX')}"] = library.read_bytes()
    minor = ".".join(torch.__version__.split(".")[:2])
    about = dataclasses.replace(
        release.about,
        summary="OpenMMLab Computer Vision Foundation, with a subset of its operators compiled for the CPU",
        # torch's C++ interface changes with every minor release: a module for another one does not import.
        requires=(*(item for item in release.about.requires if item != "torch"), f"torch=={minor}.*"),
    )
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tag = f"{python}-{python}-linux_{platform.machine()}"
    return wheelfile.build(out, about, files, build_tag=BUILD_TAG, tag=tag)


def _unit(sources: Mapping[str, bytes]) -> str:
    """Return one translation unit: the operators' sources, and their entries of mmcv's Python binding.

    One unit compiles faster than a dozen, because torch's headers take most of the time.
    """
    from bundle.packages.mmcv_portable import _ext

    declarations, _, definitions = sources[f"{_CSRC}pytorch/pybind.cpp"].decode().partition("PYBIND11_MODULE")
    declared = {match[1]: match[0] for match in _DECLARATION.finditer(declarations)}
    defined = {match[1]: match[0] for match in _DEFINITION.finditer(definitions)}
    return "\n".join(
        [
            "#include <torch/extension.h>",
            *(f'#include "{name}"' for name in _SOURCES),
            *(declared[name] for name in _ext.__all__),
            "PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {",
            *(defined[name] for name in _ext.__all__),
            "}\n",
        ]
    )


def _compile(unit: str, sources: Mapping[str, bytes], scratch: Path) -> Path:
    """Compile a translation unit; return the path of the shared library."""
    import torch
    from torch.utils import cpp_extension

    for name, content in sources.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(content)
    (scratch / "unit.cpp").write_text(unit)
    csrc = scratch / _CSRC
    # Headers put their paths into messages. Replace the paths of this machine by names.
    folders = {scratch: "mmcv", Path(torch.__file__).parent: "torch", sysconfig.get_path("include"): "python"}
    renamed = [f"-ffile-prefix-map={folder}={name}" for folder, name in folders.items()]
    try:
        cpp_extension.load(
            name="_native",
            sources=[str(scratch / "unit.cpp")],
            extra_include_paths=[str(csrc), str(csrc / "common")],
            extra_cflags=["-O2", *renamed],
            build_directory=str(scratch),
            with_cuda=False,
        )
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise KitError(
            f"mmcv's operators could not be compiled: {str(error)[-_TAIL:]}",
            fix="install g++ (C++17), ninja and Python's headers, or leave out --native",
        ) from error
    return scratch / "_native.so"
