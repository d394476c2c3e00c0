"""Decide which archive of a dataset carries which file.

Kaggle asks for at most 50 entries at the top of a dataset, and there are 68 wheels. So the wheels travel in a
few zip archives that we write ourselves. Two other ways were weighed:

- Plain folders: the official client skips folders unless it is told `--dir-mode zip`, with `--quiet` without
  a word. With that option it deflates each folder into a new temporary file. That takes a minute for 2 GB of
  weights (33 MB/s), and the upload cannot be resumed, because the file has another name each time.
- Archives that Kaggle does not recognise (".bin"): these always stay packed, but nobody can look into them on
  the dataset's page.

An archive of ours is a file like any other for every client: its upload can be resumed, its bytes compared.
Kaggle usually unpacks it. The restorer on Kaggle finds each file by its content in both cases.

Weights stay files of their own as long as they fit: then they are hard links and cost no disk space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kit.local.kaggle_limits import TOP_LEVEL_ENTRIES
from kit.manifest import ARCHIVE_SUFFIX

_PYTHON_TAG = re.compile(r"cp3\d+")
_BESIDE_WEIGHTS = 4
"""`ensemble.json`, `manifest.json`, `sbom.json` and `verify.py` lie at the top too; `dataset-metadata.json`
is not uploaded."""


def place_wheel(file: str, tags: Sequence[str]) -> str:
    """Return a wheel's path in the dataset.

    A wheel that fits one Python only goes into that Python's archive, every other one into a common archive.

    Args:
        file: the wheel's name.
        tags: its compatibility tags, expanded.
    """
    # The second part of a tag, the ABI, says whether a wheel fits one Python only:
    #     cp313-cp313-manylinux_2_28_x86_64   wheels-cp313.zip
    #     cp310-abi3-manylinux_2_17_x86_64    wheels-common.zip, because it fits Python 3.10 and later
    #     py3-none-any                        wheels-common.zip
    pythons = {tag.split("-")[0] for tag in tags if _PYTHON_TAG.fullmatch(tag.split("-")[1])}
    group = pythons.pop() if len(pythons) == 1 else "common"
    return f"wheels-{group}{ARCHIVE_SUFFIX}/{file}"


def place_weights(files: Sequence[str]) -> list[str]:
    """Return the paths of weights in the dataset, in the given order.

    Up to 46 files lie at the top. More files share archives, as small ones as the limit allows, so that an
    interrupted upload repeats little.

    Args:
        files: their names, all different.
    """
    room = TOP_LEVEL_ENTRIES - _BESIDE_WEIGHTS
    if len(files) <= room:
        return list(files)
    # Rounded up: 64 files give 32 archives of 2, 200 files give 40 archives of 5.
    each = -(-len(files) // room)
    return [f"weights-{number // each + 1:02d}{ARCHIVE_SUFFIX}/{file}" for number, file in enumerate(files)]
