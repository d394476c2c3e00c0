"""The process in which `limited` converts a checkpoint: a task on stdin, an answer on stdout."""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.matching import shapes, unpacked_limit
from kit.typed_json import to_plain

_SPARE_MEMORY = 4 << 30
"""Address space beyond twice the tensors: libraries that an error message loads, and thread stacks."""
_SPARE_FILE = 64 << 20
_SPARE_SECONDS = 120
_SLOWEST = 4 << 20
"""Bytes of a checkpoint that even a slow machine converts in one second."""


def limit(unpacked: int, size: int) -> None:
    """Limit what this process may still use; call it when all libraries are loaded.

    Args:
        unpacked: most bytes that the checkpoint may have unpacked.
        size: bytes of the file.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    used = resource.getrusage(resource.RUSAGE_SELF)
    limits = {
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + _SPARE_SECONDS + size // _SLOWEST,
        resource.RLIMIT_FSIZE: unpacked + _SPARE_FILE,
        resource.RLIMIT_CORE: 0,
    }
    if pages:
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + 2 * unpacked + _SPARE_MEMORY
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Convert the checkpoint of a task and return the answer: a report or an error."""
    path, config = Path(task["path"]), task["config"]
    try:
        if path.is_file():
            limit(unpacked_limit(shapes(config)), path.stat().st_size)
        report = convert(
            path,
            config,
            None if task["out"] is None else Path(task["out"]),
            mean=task["mean"],
            least=task["least"],
            among=task["among"],
            take=task["take"],
        )
    except KitError as error:
        return {"error": {"problem": error.problem, "where": error.where, "fix": error.fix}}
    except MemoryError:
        return {
            "error": {
                "problem": "the conversion needs more memory than there is",
                "where": str(path),
                "fix": "close other programs; if the file is small, get another copy",
            }
        }
    except Exception as error:  # noqa: BLE001  a file from the internet may be wrong in any way
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        return {
            "error": {
                "problem": f"the checkpoint cannot be converted: {type(error).__name__}: {error} ({place})",
                "where": str(path),
                "fix": "the file is damaged or of a form that is not known here: get it as safetensors",
            }
        }
    return {"report": to_plain(report)}


def main() -> int:
    """Read the task, work, and write the answer; what libraries print goes to standard error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with answer:
        json.dump(work(json.load(sys.stdin)), answer)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
