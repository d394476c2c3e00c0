"""Source distributions of an index: downloaded with pip, checked, and built like foreign sources."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bundle.foreign.sdist_file import ENDINGS, Sdist
from bundle.foreign.wheels import ForeignWheel, build_sources
from bundle.pip_download import OFFLINE
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local.lockfile import Pin
from kit.local.targets import Target
from kit.local.tool_environment import tool_environment

_TAIL = 600


def built(pin: Pin, images: Sequence[Target], cache: Path) -> ForeignWheel:
    """Return the wheel of a release that has none, for some images.

    Args:
        pin: the release, with the hashes of its files.
        images: the targets that need it.
        cache: folder of downloads; source distributions go to `sdists` in it.

    Raises:
        KitError: it cannot be downloaded or built, or its wheel does not run on a target.
    """
    path = _downloaded(pin, cache / "sdists")
    source = Sdist(path=path, subdirectory="", where=f"{path.name}, which the index has in place of a wheel")
    return build_sources([source], images, cache)[0]


def _downloaded(pin: Pin, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.name.endswith(ENDINGS) and sha256_file(path) in pin.hashes:
            return path
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as name:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"),
                # pip builds its metadata with the Python that runs here, whichever one the wheel is for.
                *("--ignore-requires-python", "--no-binary", pin.name, "--dest", name),
                f"{pin.name}=={pin.version}",
            ],
            env=tool_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        files = [path for path in Path(name).iterdir() if path.name.endswith(ENDINGS)]
        if done.returncode or len(files) != 1:
            raise KitError(
                f"the sources of {pin.name} {pin.version} cannot be had:\n{output.strip()[-_TAIL:]}",
                fix="check the network and the proxy (HTTPS_PROXY)"
                if OFFLINE.search(output)
                else f"ask for another release of {pin.name}, or give its source with `--package`",
            )
        if sha256_file(files[0]) not in pin.hashes:
            raise KitError(
                f"pip downloaded another {files[0].name} than the index announces",
                fix="check the package index, then run the command again",
            )
        return files[0].replace(folder / files[0].name)
