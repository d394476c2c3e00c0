"""From what a probe saw to a target: facts are taken over, what is unknown is null."""

from dataclasses import replace

import pytest

from bundle.probe.observed import Disk, Observed, Torch, TorchGpu, from_freeze, to_target
from kit.errors import KitError
from kit.local import targets

T4 = TorchGpu(name="Tesla T4", compute_capability="7.5", memory_bytes=15_835_660_288, computes=True)
SEEN = Observed(
    kind="observed", date="2026-11-29", python="3.13.15", implementation="CPython", machine="x86_64",
    tags=["cp313-cp313-manylinux_2_35_x86_64", "cp313-cp313-manylinux_2_17_x86_64"], glibc="2.35",
    freeze={"torch": "2.11.0+cu128", "numpy": "2.4.1", "pillow": "12.0.0", "a-package-of-kaggle": "1.0"},
    requires={"torch": ["sympy>=1.13", "filelock"]},
    torch=Torch(version="2.11.0+cu128", cuda="12.8", arch_list=["sm_75", "sm_90"], gpus=[T4, T4]),
    driver="580.159.04", ram_bytes=31_000_000_000, cores=4,
    disks={"/kaggle/working": Disk(total_bytes=21_000_000_000, free_bytes=20_000_000_000)},
    image="host/kaggle-gpu-images/python@sha256:00", run_type="Batch", git_commit="78aaa43",
    build_date="20261001", environment=["PATH"], mounts=[], tools={"uv": True},
)  # fmt: skip


@pytest.fixture(scope="module")
def known():
    return targets.known()


def test_facts_of_a_gpu_session(known):
    target = to_target(SEEN, "seen", known)
    assert (target.python, target.tag, target.glibc) == ("3.13.15", "cp313", "2.35")
    assert (target.torch, target.cuda, target.driver) == ("2.11.0", "12.8", "580.159.04")
    assert target.gpus == [targets.Gpu(name="T4", count=2, compute_capability="7.5")]
    assert (target.accelerator, target.torch_arch, target.cores) == ("gpu", ["sm_75", "sm_90"], 4)
    assert target.image == SEEN.image
    assert target.freeze == SEEN.freeze
    assert target.requires["torch"] == ["filelock", "sympy>=1.13"]
    # What is never shipped is the kit's decision; of the image's packages a simulation has the usual ones.
    assert target.leaves_to_image("torch")
    assert target.image_has["pillow"] == "12.0.0"
    assert "a-package-of-kaggle" not in target.image_has


def test_what_was_not_seen_is_null_and_a_note_says_why(known):
    seen = replace(
        SEEN, torch=Torch(problem="Traceback\nImportError: libcudart"), driver=None, glibc=None, image=None,
        run_type=None, ram_bytes=None, disks={"/kaggle/tmp": None}, freeze={"six": "1.17.0"},
    )  # fmt: skip
    target = to_target(seen, "seen", known)
    unknown = ("torch", "cuda", "driver", "torch_arch", "ram_gb", "disks", "image", "accelerator")
    assert [getattr(target, name) for name in unknown] == [None] * len(unknown)
    assert target.glibc == "2.35", "the newest that the tags allow"
    assert any("ImportError: libcudart" in note for note in target.notes)


def test_a_gpu_that_does_not_compute_is_none(known):
    p100 = replace(T4, name="Tesla P100", computes=False, problem="no kernel image is available")
    target = to_target(replace(SEEN, torch=replace(SEEN.torch, gpus=[p100])), "seen", known)
    assert target.gpus == []
    assert any("no kernel image" in note for note in target.notes)


def test_a_freeze_tells_packages_and_nothing_else(known):
    packages = {"torch": "2.10.0+cu128", "numpy": "2.0.2"}
    target = from_freeze(packages, ["sam"], name="theirs", python="3.12.13", like=known, source="a friend")
    assert (target.torch, target.cuda, target.tag) == ("2.10.0", "12.8", "cp312")
    unknown = ("image", "driver", "ram_gb", "cores", "requires", "observed")
    assert [getattr(target, name) for name in unknown] == [None] * len(unknown)
    assert any("sam" in note for note in target.notes)


def test_another_python_is_no_target(known):
    with pytest.raises(KitError, match="PyPy"):
        to_target(replace(SEEN, implementation="PyPy"), "seen", known)
    with pytest.raises(KitError, match="not a version of Python 3"):
        from_freeze({}, [], name="x", python="three", like=known, source="")
