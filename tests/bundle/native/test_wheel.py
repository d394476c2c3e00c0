"""The native build of mmcv's operators: compiled here, proven before use, else the portable ones."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bundle import wheelinfo
from bundle.native import wheel as native
from bundle.packages.mmcv_native._native_check import proven
from bundle.packages.mmcv_portable import _ext
from tests.bundle.fresh_python import layer_over
from tests.once import once

VERSIONS = {"get_compiler_version", "get_compiling_cuda_version"}
OPERATORS = set(_ext.__all__) - VERSIONS
STEP = Path(__file__).parents[1] / "detectors_htc_step.py"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PORTABLE_ON_CPU = {f"{name}_{way}" for name in ("ms_deform_attn", "sigmoid_focal_loss") for way in
                   ("forward", "backward")}  # fmt: skip
"""mmcv has no CPU kernels of these."""


@pytest.fixture
def portable(ops):
    return importlib.import_module("mmcv._ext")


# --- the proof, on operators that need no compiler ---


def compiled_like(portable, **changed):
    return SimpleNamespace(**{name: changed.get(name, getattr(portable, name)) for name in OPERATORS})


def test_operators_with_the_right_numbers_are_all_taken(portable):
    assert set(proven(compiled_like(portable), portable, torch.device("cpu"))) == OPERATORS


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_operator_with_wrong_numbers_is_left_out_and_told(portable, name):
    def wrong(*tensors, **options):
        result = getattr(portable, name)(*tensors, **options)
        for tensor in (result,) if isinstance(result, torch.Tensor) else tensors:
            tensor.mul_(2)
        return result

    with pytest.warns(UserWarning, match=f"operator {name} gives wrong numbers on cpu and is not used"):
        found = proven(compiled_like(portable, **{name: wrong}), portable, torch.device("cpu"))
    assert set(found) == OPERATORS - {name}


def test_an_operator_without_a_kernel_for_the_device_is_left_out_in_silence(portable):
    def absent(*tensors, **options):
        raise RuntimeError("implementation for device cpu not found")

    found = proven(compiled_like(portable, nms=absent), portable, torch.device("cpu"))
    assert set(found) == OPERATORS - {"nms"}


def test_an_operator_that_is_absent_or_takes_other_arguments_is_left_out_in_silence(portable):
    compiled = compiled_like(portable, roi_align_forward=lambda: None)
    del compiled.nms
    found = proven(compiled, portable, torch.device("cpu"))
    assert set(found) == OPERATORS - {"nms", "roi_align_forward"}


def test_the_proof_leaves_the_callers_random_numbers_alone(portable):
    state = torch.get_rng_state()
    proven(compiled_like(portable), portable, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), state)


# --- the built wheel ---

LOOK = """
import json, warnings
warnings.filterwarnings("ignore", message="On January 1, 2023")
import torch
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import mmcv.ops, mmcv._ext as chosen, mmcv._portable_ext as portable
    told.clear()
    taken = sorted(chosen._operators("cpu"))
    boxes = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]])
    kept = mmcv.ops.nms(boxes, torch.tensor([.9, .8, .7]), .5)
    half = torch.rand(2, 4, 8, 8).bfloat16()
    pooled = mmcv.ops.roi_align(half, torch.tensor([[0., 0, 0, 6, 6]]).bfloat16(), 2)
    try:
        mmcv.ops.nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)
    except NotImplementedError as error:
        refused = str(error)
print(json.dumps([taken, kept[1].tolist(), str(pooled.dtype), refused, mmcv.ops.get_compiler_version(),
                  [str(item.message) for item in told]]))
"""


@pytest.fixture(scope="module")
def native_wheel(mmcv_sdist, tmp_path_factory):
    for tool in ("c++", "ninja"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")

    def make(folder):
        native.build_wheel(folder, cache=mmcv_sdist.parent, sdist=mmcv_sdist)

    [wheel] = once(tmp_path_factory, "native-wheel", make).iterdir()
    return wheel


@pytest.fixture
def make_python(native_wheel, python_with_ours):
    """Make an environment of our wheels in which the compiled operators lie over the portable ones."""
    below = python_with_ours(VERSION)
    return lambda folder, *names: layer_over(
        below, folder / "python", version=VERSION, names=names, wheels=[native_wheel]
    )


@pytest.fixture
def python(make_python, tmp_path_factory):
    """One beside mmseg; read only, please."""
    made = once(tmp_path_factory, "native-python", lambda folder: make_python(folder, "mmsegmentation"))
    return made / "python" / "bin" / "python"


def run(python, *arguments):
    done = subprocess.run(
        [python, "-I", *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_it_is_for_this_python_and_names_this_torch(native_wheel):
    info = wheelinfo.read(native_wheel)
    python = f"cp{VERSION.replace('.', '')}"
    assert native_wheel.name.startswith(f"mmcv_full-1.7.2-1native-{python}-{python}-linux_")
    assert "torch" in map(str, info.requires), "the wheel looks for the right library itself"
    with zipfile.ZipFile(native_wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        version = "_".join(torch.__version__.split(".")[:2])
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        assert libraries == [f"mmcv/_native_torch{version}_cpu{suffix}"]
        assert str(Path(torch.__file__).parent).encode() not in archive.read(libraries[0])


@pytest.mark.slow
def test_its_compiled_operators_prove_right_and_are_taken(python):
    taken, kept, dtype, refused, compiler, told = run(python, "-c", LOOK)
    assert set(taken) == OPERATORS - PORTABLE_ON_CPU
    assert kept == [0, 2]
    assert dtype == "torch.bfloat16"
    assert "operator nms_rotated is not part of this portable mmcv-full" in refused
    assert compiler.startswith("GCC")
    assert told == []


@pytest.mark.slow
def test_detectors_htc_trains_and_detects_on_compiled_operators(python):
    seen = run(python, STEP)
    assert seen["ops"].startswith("GCC")
    assert seen["finite"]
    assert seen["still"] == []
    assert seen["detections"] > 0


@pytest.mark.slow
def test_a_library_that_does_not_load_leaves_the_portable_operators_and_says_so(make_python, tmp_path):
    python = make_python(tmp_path)
    [library] = python.parents[1].glob("lib/python*/site-packages/mmcv/_native_torch*.so")
    library.unlink()  # linked from uv's cache: writing into it would change that
    library.write_bytes(b"not a library")
    taken, kept, *_, compiler, told = run(python, "-c", LOOK)
    assert (taken, kept, compiler) == ([], [0, 2], "none (portable build)")
    assert len(told) == 1
    assert told[0].startswith("mmcv runs on its portable operators: ")


@pytest.mark.slow
def test_a_machine_without_a_compiler_is_told_what_to_install(mmcv_sdist, tmp_path):
    script = (
        "import sys; from pathlib import Path; from bundle.native import wheel as native\n"
        "from kit.errors import KitError\n"
        "try:\n    native.build_wheel(Path(sys.argv[1]), cache=Path(sys.argv[1]), sdist=Path(sys.argv[2]))\n"
        "except KitError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, mmcv_sdist],
        cwd=Path(__file__).parents[3],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "mmcv's operators could not be compiled" in done.stdout
    assert "install g++ (C++17), ninja" in done.stdout
