"""Which wheels run on which target."""

import zipfile
from dataclasses import replace

import pytest

from bundle import wheelinfo
from bundle.foreign.fitting import misfit
from kit.local import targets

(TARGET,) = targets.choose(["kaggle-2026-10"], targets.known())


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("py3-none-any", None),
        ("py2.py3-none-any", None),
        ("cp313-cp313-linux_x86_64", None),
        ("cp311-abi3-linux_x86_64", None),
        ("cp313-none-manylinux_2_28_x86_64", None),
        ("cp313-cp313-manylinux_2_35_x86_64", "it is compiled for cp313-cp313-manylinux_2_35_x86_64"),
        ("cp311-cp311-linux_x86_64", "it is compiled for cp311-cp311-linux_x86_64"),
        ("cp314-abi3-linux_x86_64", "it is compiled for cp314-abi3-linux_x86_64"),
        ("cp313-cp313-linux_aarch64", "it is compiled for cp313-cp313-linux_aarch64"),
        ("py2-none-any", "it is compiled for py2-none-any"),
    ],
)
def test_tags_decide(tmp_path, tag, reason):
    assert misfit(wheel(tmp_path, tag), TARGET) == reason


def wheel(folder, tag="cp313-cp313-linux_x86_64", *, python="", library=b"", program=b""):
    path = folder / f"x-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.cpython-313-x86_64-linux-gnu.so", library)
        archive.writestr("x/bin/tool", program)
        archive.writestr("x-1.0.dist-info/METADATA", f"Name: x\nRequires-Python: {python}\n\n")
    return wheelinfo.read(path)


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        (">=3.11", None),
        ("", None),
        (">=3.14", "it asks for Python >=3.14"),
        ("new", "its Requires-Python is 'new'"),
    ],
)
def test_the_python_that_it_asks_for_decides(tmp_path, python, reason):
    assert misfit(wheel(tmp_path, python=python), TARGET) == reason


def test_the_c_library_that_its_libraries_ask_for_decides(tmp_path):
    needs = b"\0GLIBC_2.2.5\0GLIBC_2.4\0GLIBC_2.34\0"
    reason = "it needs glibc 2.34, and the image surely has no newer one than 2.28"
    assert misfit(wheel(tmp_path, library=needs), TARGET) == reason
    assert misfit(wheel(tmp_path, program=b"\x7fELF" + needs), TARGET) == reason
    assert misfit(wheel(tmp_path, library=needs), replace(TARGET, glibc="2.34")) is None
    assert misfit(wheel(tmp_path, "cp313-cp313-manylinux_2_28_x86_64", library=needs), TARGET) is None
