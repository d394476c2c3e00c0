"""What a target's compiled operators have to fit."""

from dataclasses import replace

import pytest

from bundle.native.variant import Variant, variant_of
from kit.local import targets
from kit.local.targets import Gpu

KNOWN = {target.name: target for target in targets.known()}
GPU = KNOWN["kaggle-2026-10"]


@pytest.mark.parametrize(
    ("name", "module", "arch_list"),
    [
        ("kaggle-2026-09", "_native_torch2_10_cu12_8", "7.5;9.0+PTX"),
        ("kaggle-2026-10", "_native_torch2_11_cu12_8", "7.5+PTX"),
        ("kaggle-2026-10-cpu", "_native_torch2_11_cpu", ""),
        ("local-cp311", "_native_torch2_11_cpu", ""),
    ],
)
def test_known_images(name, module, arch_list):
    variant = variant_of(KNOWN[name])
    assert (variant.tag, variant.module, variant.arch_list) == (KNOWN[name].tag, module, arch_list)


def test_a_known_image_without_a_variant_says_which_fact_is_missing():
    told = {name: found for name, target in KNOWN.items() if isinstance(found := variant_of(target), str)}
    assert told["kaggle-2026-09-torch2.11"] == "the CUDA version of its torch is not known"
    assert told["kaggle-2026-09-cpu"] == "its torch is not known"


@pytest.mark.parametrize(
    ("gpus", "torch_arch", "archs"),
    [
        (["7.5"], ["sm_75", "sm_90"], ("7.5",)),
        (["7.5", "8.9"], ["sm_80", "sm_90"], ("8.9",)),  # torch does not run on the 7.5
        (["8.9", "12.0", "9.0"], None, ("8.9", "9.0", "12.0")),
        ([], ["sm_120", "sm_75", "sm_90a", "compute_120"], ("7.5", "9.0", "12.0")),
    ],
)
def test_code_is_for_the_gpus_that_torch_runs_on_or_for_all_of_torch(gpus, torch_arch, archs):
    there = [Gpu(name="x", count=1, compute_capability=capability) for capability in gpus]
    assert variant_of(replace(GPU, gpus=there, torch_arch=torch_arch)).archs == archs


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"torch": None}, "its torch is not known"),
        ({"cuda": None}, "the CUDA version of its torch is not known"),
        ({"gpus": []}, "neither its GPUs nor the kernels of its torch are known"),
    ],
)
def test_an_unknown_fact_is_named(change, told):
    assert variant_of(replace(GPU, **change)) == told


def test_it_says_what_it_is():
    variant = Variant(machine="x86_64", tag="cp312", torch="2.10", cuda="12.8", archs=("7.5", "9.0"))
    assert str(variant) == "Python 3.12, torch 2.10, CUDA 12.8 (7.5;9.0+PTX)"
