"""Convert a checkpoint in a process of its own, with limits: a file from the internet cannot harm ours.

The worker (`kit.local.pretrained.worker`) gets its task as JSON on standard input and answers with JSON. It
may use no more memory, time and disk than its network can need. If it crashes, the error names the file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.local.console import console
from kit.local.pool import unseen_by_children
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.read import require_known
from kit.local.pretrained.report import Report
from kit.models import spec
from kit.typed_json import from_plain

_WORKER = "kit.local.pretrained.worker"


def convert(
    path: Path,
    config: Mapping[str, Any],
    out: Path,
    *,
    mean: bool = False,
    least: float | None = None,
    among: Iterable[str] | None = None,
    take: str | None = None,
) -> Report:
    """Do what `kit.local.pretrained.conversion.convert` does, in a process of its own.

    Raises:
        KitError: as there, or the process crashed or needed more than its limits.
    """
    task = {
        "path": str(path),
        "config": dict(config),
        "out": str(out),
        "mean": mean,
        "least": least,
        "among": None if among is None else list(among),
        "take": take,
    }
    return _run(path, task)


def check_content(path: Path, entry: Pretrained) -> None:
    """Check a file that has no published hash: it has to fill the network that it was published for.

    Raises:
        KitError: it is no checkpoint, or one of another network, or its weights are not finite numbers.
    """
    require_known(path)  # a web page of an error needs no network to be told
    network = entry.networks[0]
    if absent := [name for name in spec(network).requires if not _is_installed(name)]:
        console().print(
            f"{path.name} is not checked here, because {', '.join(absent)} is not installed",
            style="yellow",
            markup=False,
        )
        return
    task: dict[str, Any] = {"path": str(path), "config": {"network": network}, "out": None}
    _run(path, {**task, "mean": False, "least": entry.least, "among": [], "take": None})


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _run(path: Path, task: Mapping[str, Any]) -> Report:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with unseen_by_children():
        worker = subprocess.Popen(
            [sys.executable, "-m", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
    with worker:
        try:
            output, _ = worker.communicate(json.dumps(task).encode())
        except KeyboardInterrupt:
            worker.kill()
            raise
    done = subprocess.CompletedProcess(worker.args, worker.returncode, output)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise _crashed(path, done.returncode) from None
    if "error" in answer:
        raise KitError(**answer["error"])
    return from_plain(Report, answer["report"])


def _crashed(path: Path, code: int) -> KitError:
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    problem = f"the process that read the checkpoint crashed ({name}); nothing was written"
    fix = "the file is damaged or made to do harm: get another copy, best as safetensors"
    if code == -signal.SIGXCPU:
        problem = "the checkpoint took much more time than a file of its size can need; nothing was written"
    if code == -signal.SIGKILL:
        problem = "the process that read the checkpoint was killed, probably for memory; nothing was written"
        fix = "close other programs and try again; if the file is small, get another copy"
    return KitError(problem, where=path, fix=fix)
