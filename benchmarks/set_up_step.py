"""One set-up in a process of its own: JSON on standard input, the seconds of its parts as JSON.

The functions are those that predict.py carries. With `megabytes_per_s` each thread is a slow stream: a read
takes at least as long as its bytes take at that speed, as on Kaggle's mounts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kit import manifest as manifests
from kit.artefacts import open_regular
from submission.runtime.inputs.install import install
from submission.runtime.inputs.mounts import find_datasets
from submission.runtime.inputs.restore import Restorer

_BLOCK = 2 << 20
"""Bytes of a read, as in predict.py: small enough that all streams end at about the same time."""


def throttle(megabytes_per_s: float) -> None:
    """Make every `os.pread` of this process a read of a slow stream; threads do not slow each other down."""
    pread = os.pread

    def slow(handle: int, size: int, offset: int) -> bytes:
        until = time.perf_counter()
        data = pread(handle, size, offset)
        until += len(data) / (megabytes_per_s * 1e6)
        time.sleep(max(0.0, until - time.perf_counter()))
        return data

    os.pread = slow


def set_up(root: Path, scratch: Path, *, with_install: bool) -> dict[str, float]:
    """Find, verify and restore all wheels below a root, and install them.

    Returns:
        Seconds of each part: "find", "restore", "install".

    Raises:
        KitError: a wheel is lost, or cannot be installed.
    """
    # predict.py carries its manifests, so reading them is not counted.
    listed = [manifests.load(path) for path in sorted(root.rglob(manifests.NAME))]
    entries = [entry for manifest in listed for entry in manifest.files if entry.wheel is not None]
    began = time.perf_counter()
    datasets = find_datasets(root, listed, None)
    found_at = time.perf_counter()
    found, errors = Restorer(datasets.files, scratch, listed, datasets.rest).restore(entries)
    restored_at = time.perf_counter()
    for error in errors.values():
        raise error
    parts = {"find": found_at - began, "restore": restored_at - found_at}
    if with_install:
        tried: list[dict[str, Any]] = []
        if install(found, scratch / "site", scratch, timeout=600, on_end=tried.append) != "uv":
            raise RuntimeError(f"it was not uv that installed the wheels: {tried}")
        parts["install"] = time.perf_counter() - restored_at
    return parts


def read(root: Path, streams: int) -> float:
    """Read all files below a root with so many threads; return the seconds."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    began = time.perf_counter()
    handles = {path: open_regular(path) for path in files}
    blocks = [(handles[path], start) for path in files for start in range(0, path.stat().st_size, _BLOCK)]
    with ThreadPoolExecutor(streams) as pool:
        # Looked up at the call: `throttle` may have replaced it.
        for _ in pool.map(lambda block: len(os.pread(block[0], _BLOCK, block[1])), blocks):
            pass
    seconds = time.perf_counter() - began
    for handle in handles.values():
        os.close(handle)
    return seconds


def main(request: Mapping[str, Any]) -> dict[str, float]:
    """Do what a request asks for.

    Returns:
        Seconds of each part; with `megabytes_per_s` also those of the processors ("cpu").
    """
    root = Path(request["root"])
    if "megabytes_per_s" not in request:
        return set_up(root, Path(request["scratch"]), with_install=request["install"])
    throttle(request["megabytes_per_s"])
    began = time.process_time()
    if "streams" in request:
        found = {"read": read(root, request["streams"])}
    else:
        found = set_up(root, Path(request["scratch"]), with_install=request["install"])
    return {**found, "cpu": time.process_time() - began}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
