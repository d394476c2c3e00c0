"""Compile one order: sources and flags become a library for the Python and torch that run this file.

    python compile_program.py --order order.zip --out DIR

The same text runs in three places: on this machine, in a target's container, and as a kernel on Kaggle, where
`ORDER` holds the order. It needs torch, a compiler and the standard library of Python 3.8 or later. DIR gets
the library and `compiled.json`, which says for what it was compiled.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import io
import json
import os
import platform
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

ORDER = ""
"""In a kernel: the order, compressed, as base64."""
RESULT = "compiled.json"
ANOTHER_PLACE, NO_TOOLS = 3, 4
"""Exit codes: this is not the Python, torch or CUDA that the order is for; there is no compiler."""
_WORKING = "/kaggle/working"
_TOOLKIT = ("bin/nvcc", "include/cuda_runtime_api.h")


def main() -> int:
    """Compile the order of the command line, or the one in this file; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--order", type=Path)
    parser.add_argument("--out", type=Path, default=Path(_WORKING) if ORDER else None)
    arguments, _ = parser.parse_known_args()
    if arguments.out is None or (arguments.order is None and not ORDER):
        parser.error("--order and --out are needed, because this file holds no order")
    if arguments.order is None:
        packed = zlib.decompress(base64.b64decode(ORDER))
    else:
        packed = arguments.order.read_bytes()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(scratch)
        order = json.loads((scratch / "order.json").read_text())
        found = here()
        if wrong := [
            f"{key} is {found[key]}, not {order[key]}"
            for key in ("machine", "tag", "torch")
            if found[key] != order[key]
        ]:
            return refuse("; ".join(wrong), ANOTHER_PLACE)
        if order["cuda"] is not None and found["cuda"] != order["cuda"]:
            return refuse(f"cuda is {found['cuda']}, not {order['cuda']}", ANOTHER_PLACE)
        if absent := tools(order):
            return refuse(f"there is no {', no '.join(absent)}", NO_TOOLS)
        began = time.monotonic()
        library = build(order, scratch)
        arguments.out.mkdir(parents=True, exist_ok=True)
        target = arguments.out / f"{order['module']}.so"
        shutil.copyfile(str(library), str(target))
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        result = {**found, "module": order["module"], "cuda": order["cuda"], "archs": order["archs"]}
        result.update(order=order["identity"], sha256=digest, seconds=round(time.monotonic() - began, 1))
        (arguments.out / RESULT).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        print(f"{RESULT}: {json.dumps(result)}", flush=True)
    return 0


def refuse(why: str, code: int) -> int:
    """Say why nothing is compiled; returns the exit code."""
    print(f"NOT COMPILED: {why}", flush=True)
    return code


def here() -> dict[str, Any]:
    """Return what a library that is compiled here fits."""
    import torch

    return {
        "tag": f"cp{sys.version_info[0]}{sys.version_info[1]}",
        "python": platform.python_version(),
        "torch": ".".join(torch.__version__.split(".")[:2]),
        "cuda": torch.version.cuda,
        "machine": platform.machine(),
        "glibc": platform.libc_ver()[1],
    }


def tools(order: dict[str, Any]) -> list[str]:
    """Return the tools that are missing; ninja is installed where the order allows it."""
    if order["install"] and shutil.which("ninja") is None and importlib.util.find_spec("ninja") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "ninja"], check=False)
    # The wheel of ninja puts its program beside Python's, or in the user's folder where that is read-only;
    # neither need be on PATH.
    programs = [str(Path(sys.executable).parent), str(Path(site.getuserbase(), "bin"))]
    os.environ["PATH"] = os.pathsep.join([*programs, os.environ.get("PATH", "")])
    wanted = ["c++", "ninja"]
    absent = [name for name in wanted if shutil.which(name) is None]
    if order["cuda"] is not None and not absent:
        from torch.utils import cpp_extension

        # An nvcc on PATH may be a link or a script: torch would look for headers beside it, in /usr/local.
        places = [Path(place) for place in (cpp_extension.CUDA_HOME, "/usr/local/cuda") if place]
        whole = [place for place in places if all((place / name).is_file() for name in _TOOLKIT)]
        if not whole:
            absent.append("CUDA toolkit with nvcc and headers")
        else:
            cpp_extension.CUDA_HOME = str(whole[0])
    return absent


def build(order: dict[str, Any], scratch: Path) -> Path:
    """Compile and load the library; returns its path."""
    import torch
    from torch.utils import cpp_extension

    csrc = scratch / order["include"]
    # Headers put their paths into messages. Replace the paths of this machine by names.
    folders = {str(scratch): "mmcv", str(Path(torch.__file__).parent): "torch"}
    folders[sysconfig.get_path("include")] = "python"
    renamed = [f"-ffile-prefix-map={folder}={name}" for folder, name in folders.items()]
    cuda = order["cuda"] is not None
    if cuda:
        # Without it torch compiles for the GPUs that this machine has, or for all there are.
        os.environ["TORCH_CUDA_ARCH_LIST"] = order["arch_list"]
    # torch's headers include those of cuBLAS and others: a toolkit may lack them, torch's wheels bring them.
    site = Path(torch.__file__).parents[1]
    libraries = [str(path) for path in sorted(site.glob("nvidia/*/include"))] if cuda else []
    made = scratch / "build"
    made.mkdir()
    cpp_extension.load(
        name=order["module"],
        sources=[str(scratch / name) for name in order["units"]],
        extra_include_paths=[str(csrc), str(csrc / "common"), str(csrc / "common" / "cuda"), *libraries],
        extra_cflags=[*order["flags"]["c++"], *renamed],
        extra_cuda_cflags=[*order["flags"]["nvcc"], *(f"-Xcompiler={flag}" for flag in renamed)]
        if cuda
        else [],
        build_directory=str(made),
        with_cuda=cuda,
    )
    return made / f"{order['module']}.so"


if __name__ == "__main__" and (code := main()):
    sys.exit(code)
