"""Orders: the same order is the same bytes, and another one has another identity."""

import ast
import dataclasses
import json
import subprocess
import sys
import zipfile

import pytest

from bundle import mmcv_wheel
from bundle.native.order import order_of, program
from bundle.native.variant import Variant
from kit.local.kaggle_limits import KERNEL_SOURCE_BYTES

GPU = Variant(machine="x86_64", tag="cp312", torch="2.11", cuda="12.8", archs=("7.5", "9.0"))
CPU = dataclasses.replace(GPU, cuda=None, archs=())


@pytest.fixture(scope="module")
def release(mmcv_sdist):
    return mmcv_wheel.release(cache=mmcv_sdist.parent, sdist=mmcv_sdist)


def test_every_fact_of_the_variant_is_part_of_its_identity(release):
    others = [
        {"machine": "aarch64"},
        {"tag": "cp313"},
        {"torch": "2.10"},
        {"cuda": "12.6"},
        {"archs": ("7.5",)},
    ]
    variants = [GPU, CPU, *(dataclasses.replace(GPU, **change) for change in others)]
    assert len({order_of(variant, release).identity for variant in variants}) == len(variants)
    assert order_of(GPU, release).identity == order_of(GPU, release).identity


def test_the_zip_says_what_is_to_be_compiled(release, tmp_path):
    order = order_of(GPU, release)
    order.write(tmp_path / "a.zip", install=False)
    order.write(tmp_path / "b.zip", install=False)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        told = json.loads(archive.read("order.json"))
        assert set(archive.namelist()) == {"order.json", *order.files}
    assert told["units"] == ["unit.cpp", "unit.cu"]
    assert (told["module"], told["arch_list"]) == ("_native_torch2_11_cu12_8", "7.5;9.0+PTX")
    assert order.identity == told["identity"]


def test_without_cuda_no_cuda_source_goes_along(release, tmp_path):
    order = order_of(CPU, release)
    assert not [name for name in order.files if name.endswith((".cu", ".cuh"))]
    order.write(tmp_path / "a.zip", install=False)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert json.loads(archive.read("order.json"))["units"] == ["unit.cpp"]


def test_as_a_kernel_it_is_one_python_file_that_kaggle_takes(release):
    text = order_of(GPU, release).kernel_source()
    assert len(text.encode()) < KERNEL_SOURCE_BYTES
    ast.parse(text, feature_version=(3, 8))


def test_the_program_without_an_order_says_what_it_needs(tmp_path):
    done = subprocess.run(
        [sys.executable, program(), "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--order and --out are needed" in done.stderr
