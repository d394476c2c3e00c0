"""The units that are compiled, as text: which of mmcv's sources, entries and registrations are in them."""

import re

import pytest

from bundle import mmcv_wheel
from bundle.native import units
from bundle.packages.mmcv_portable import _ext
from kit.errors import KitError


@pytest.fixture(scope="module")
def sources(mmcv_sdist):
    return mmcv_wheel.release(cache=mmcv_sdist.parent, sdist=mmcv_sdist).sources


def included(text):
    return re.findall(r'#include "(.+?)"', text)


@pytest.mark.parametrize("cuda", [False, True])
def test_the_cpp_unit_binds_exactly_the_operators_of_the_portable_build(sources, cuda):
    text = units.cpp_unit(sources, cuda=cuda)
    assert sorted(re.findall(r'm\.def\(\s*"(\w+)"', text)) == sorted(_ext.__all__)
    assert all(f"{units.CSRC}{name}" in sources for name in included(text) if name.startswith("pytorch/"))
    assert ("REGISTER_DEVICE_IMPL" in text) == cuda


def test_with_cuda_every_operator_with_kernels_is_registered_for_gpus(sources):
    text = units.cpp_unit(sources, cuda=True)
    registered = dict(re.findall(r"REGISTER_DEVICE_IMPL\(\s*(\w+),\s*CUDA,\s*(\w+)\)", text))
    assert set(registered) == units._CUDA_LAUNCHED
    launchers = set(re.findall(r"(\w+CUDAKernelLauncher\w*|ms_deform_attn_cuda_\w+)\(", text))
    kernels = b"".join(sources[f"{units.CSRC}{name}"] for name in included(units.cuda_unit())).decode()
    missing = {name for name in launchers if not re.search(rf"\b{name}\(", kernels)}
    assert missing == set(), "declared in the C++ unit, defined in none of the CUDA sources"
    assert all(re.search(rf"\b{function}\(", text) for function in registered.values())


def test_the_cuda_unit_holds_one_file_for_each_operator_with_kernels(sources):
    names = included(units.cuda_unit())
    assert len(names) == 6
    assert all(f"{units.CSRC}{name}" in sources for name in names)


def test_what_the_units_include_goes_along_and_little_else(sources):
    needed = units.sources_needed(sources)
    waiting = [
        f"{units.CSRC}{name}" for name in included(units.cpp_unit(sources, cuda=True) + units.cuda_unit())
    ]
    seen = set()
    while waiting:
        name = waiting.pop()
        assert name in needed
        if name not in seen:
            seen.add(name)
            for item in included(needed[name].decode()):
                here = [f"{units.CSRC}common/{item}", f"{units.CSRC}common/cuda/{item}"]
                waiting += [path for path in here if path in sources]
    assert sum(map(len, needed.values())) < 600_000 < sum(map(len, sources.values()))


def test_flags():
    assert units.flags(cuda=False) == {"c++": ["-O2"], "nvcc": []}
    both = units.flags(cuda=True)
    assert "-DMMCV_WITH_CUDA" in both["c++"]
    assert "-DMMCV_WITH_CUDA" in both["nvcc"]


def test_a_release_that_registers_other_operators_is_told():
    with pytest.raises(KitError, match="register other functions for the GPU than ours need: "):
        units._registrations("void other(int a);\n")
