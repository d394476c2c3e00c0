"""Measure the dataset of wheels for each known image: how many, how large, how long it takes to make."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import made_by
from benchmarks.markdown import DOCS, table, write_block
from benchmarks.options import BundleOptions
from bundle import dataset, wheels_dataset
from bundle.companions import companions
from bundle.own_wheels import OWN_WHEELS
from bundle.roots import ROOTS
from kit.local import lockfile, targets
from kit.local.console import console
from kit.local.targets import Target
from kit.local.wording import counted

HEAD = ("image", "Python", "wheels", "MB", "seconds")


def measure(images: Sequence[Target], *, cache: Path, lock: Path) -> tuple[int, float, float]:
    """Make the dataset of wheels for some images in a temporary folder.

    Args:
        images: the targets.
        cache: folder of downloads; what it lacks is downloaded, and counts.
        lock: `requirements.lock`.

    Returns:
        Number of wheels, megabytes of the whole dataset, and seconds to resolve, verify and write it.

    Raises:
        KitError: a wheel is missing or damaged.
    """
    began = time.perf_counter()
    name, metadata = wheels_dataset.describe(images, (), prefix="hubmap-kit", owner="owner-not-set")
    closures = wheels_dataset.closures_of([], lockfile.load(lock), ROOTS, images, cache)
    contents = wheels_dataset.contents(closures, ROOTS)
    count = len(contents)
    tags = [target.tag for target in images]
    contents += companions(name, contents, tags=tags, own=OWN_WHEELS.keys())
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        folder = Path(scratch) / name
        dataset.write(folder, contents, metadata, targets=tags)
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return count, size / 1e6, seconds


def run(options: BundleOptions, command: Sequence[str], docs: Path = DOCS / "benchmarks.md") -> None:
    """Measure each known image alone, and all of them together; print the table.

    Args:
        options: of the command line; the cache is filled first, so that no download is in the times.
        command: arguments as the user gave them; they stand below the table.
        docs: document with the block.
    """
    known, cache, lock = targets.known(), options.cache, options.lock
    measure(known, cache=cache, lock=lock)
    rows = []
    for images in [*([target] for target in known), known]:
        count, megabytes, seconds = measure(images, cache=cache, lock=lock)
        name = images[0].name if len(images) == 1 else "**all of them in one dataset**"
        pythons = ", ".join(sorted({target.minor for target in images}))
        rows.append([name, pythons, str(count), f"{megabytes:.1f}", f"{seconds:.1f}"])
        console().print(f"{name}: {counted(count, 'wheel')}", markup=False)
    text = f"{table(HEAD, rows, numbers_from=2)}\n\n{made_by(command)}"
    print(text)
    if options.write_docs:
        write_block(docs, "bundle", text)
