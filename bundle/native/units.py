"""The translation units: mmcv's sources of the operators that we use, and the flags they are compiled with.

mmcv's setup.py compiles a hundred operators in a quarter of an hour to an hour, and it fails on Python 3.13.
One unit of C++ and one of CUDA include the sources of a dozen. torch's headers take most of the time, so few
units compile faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kit.errors import KitError

CSRC = "mmcv/ops/csrc/"
_OPERATORS = ("nms", "roi_align", "deform_conv", "modulated_deform_conv")
_WITHOUT_CPU = ("ms_deform_attn", "focal_loss")
"""mmcv has kernels of these for GPUs only."""
_SOURCES = (
    *(f"pytorch/{name}.cpp" for name in (*_OPERATORS, *_WITHOUT_CPU, "info")),
    *(f"pytorch/cpu/{name}.cpp" for name in _OPERATORS),
)
_CUDA_SOURCES = tuple(f"pytorch/cuda/{name}_cuda.cu" for name in (*_OPERATORS, *_WITHOUT_CPU))
_CUDA_LAUNCHED = frozenset(
    {
        *("nms_impl", "roi_align_forward_impl", "roi_align_backward_impl"),
        *("deformable_im2col_impl", "deformable_col2im_impl", "deformable_col2im_coord_impl"),
        *("modulated_deformable_im2col_impl", "modulated_deformable_col2im_impl"),
        "modulated_deformable_col2im_coord_impl",
        *("ms_deform_attn_impl_forward", "ms_deform_attn_impl_backward"),
        *("sigmoid_focal_loss_forward_impl", "sigmoid_focal_loss_backward_impl"),
        *("softmax_focal_loss_forward_impl", "softmax_focal_loss_backward_impl"),
    }
)
"""What the sources above dispatch to a GPU; softmax_focal_loss lies in one file with the sigmoid."""
_DECLARATION = re.compile(r"^[A-Za-z][\w:<>, ]*?[ &*](\w+)\([^;{]*\);", re.MULTILINE)
_DEFINITION = re.compile(r'm\.def\(\s*"(\w+)".*?\);', re.DOTALL)
_REGISTRATIONS = re.compile(r"(?:REGISTER_DEVICE_IMPL\(\s*\w+,\s*CUDA,\s*\w+\);\s*)+")
_REGISTERED = re.compile(r"REGISTER_DEVICE_IMPL\(\s*(\w+),")


def sources_needed(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of mmcv's sources that the units include, headers with them: 0.3 of 1.6 MB."""
    wanted = {f"{CSRC}{name}" for name in (*_SOURCES, *_CUDA_SOURCES)}
    headers = (".h", ".hpp", ".cuh")
    return {
        name: data
        for name, data in sources.items()
        if name in wanted
        or (name.startswith(f"{CSRC}common/") and name.endswith(headers) and not _is_other(name))
    }


def _is_other(name: str) -> bool:
    return any(f"/{part}/" in name for part in ("mlu", "mps", "spconv", "utils"))


def cpp_unit(sources: Mapping[str, bytes], *, cuda: bool) -> str:
    """Return the C++ unit: operators, their entries of mmcv's binding, and with CUDA its registrations.

    Args:
        sources: of the release, path -> content.
        cuda: whether the CUDA unit is linked to it.
    """
    from bundle.packages.mmcv_portable import _ext  # loads torch, which --help does not need

    declarations, _, definitions = sources[f"{CSRC}pytorch/pybind.cpp"].decode().partition("PYBIND11_MODULE")
    declared = {match[1]: match[0] for match in _DECLARATION.finditer(declarations)}
    defined = {match[1]: match[0] for match in _DEFINITION.finditer(definitions)}
    return "\n".join(
        [
            "#include <torch/extension.h>",
            *(f'#include "{name}"' for name in _SOURCES),
            *(declared[name] for name in _ext.__all__),
            *(_registrations(sources[f"{CSRC}pytorch/cuda/cudabind.cpp"].decode()) if cuda else ()),
            "PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {",
            *(defined[name] for name in _ext.__all__),
            "}\n",
        ]
    )


def cuda_unit() -> str:
    """Return the CUDA unit: the kernels of the same operators and the functions that launch them."""
    return "\n".join([*(f'#include "{name}"' for name in _CUDA_SOURCES), ""])


def _registrations(text: str) -> list[str]:
    """Return the parts of mmcv's cudabind.cpp that belong to our operators."""
    # The file is one part after another: declarations of launchers, functions that call them, and at the end
    # of each part REGISTER_DEVICE_IMPL lines that enter these functions for the device CUDA.
    parts, begin, seen = [], text.index("void "), set()
    for match in _REGISTRATIONS.finditer(text):
        names = set(_REGISTERED.findall(match[0]))
        if names & _CUDA_LAUNCHED:
            parts.append(text[begin : match.end()].strip())
            seen |= names
        begin = match.end()
    if seen != _CUDA_LAUNCHED:
        differing = ", ".join(sorted(seen ^ _CUDA_LAUNCHED))
        raise KitError(
            f"mmcv's sources register other functions for the GPU than ours need: {differing}",
            where=f"{CSRC}pytorch/cuda/cudabind.cpp",
            fix="build from the pinned release of mmcv-full",
        )
    return parts


def flags(*, cuda: bool) -> dict[str, list[str]]:
    """Return the compilers' flags beside those of torch: "c++" and "nvcc"."""
    shared = ["-O2", *(["-DMMCV_WITH_CUDA"] if cuda else [])]
    return {"c++": shared, "nvcc": [*shared, "--expt-relaxed-constexpr"] if cuda else []}
