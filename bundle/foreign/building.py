"""Build a source tree into a wheel: isolated, with a log that stays, and with the same bytes each time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from bundle.pip_download import OFFLINE
from bundle.wheelfile import write_wheel
from kit.errors import KitError
from kit.local.tool_environment import tool_environment
from kit.local.wording import counted

_EPOCH = 315532800
"""1980-01-01, the earliest time that a zip can hold; all files and the builder's clock have it."""
_SILENCE = 1800.0
"""Seconds without a word after which a build hangs; one file of a large CUDA extension takes some minutes."""
_TAIL = 25
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
_OTHER_PYTHON = re.compile(r"requires a different Python: (\S+) not in '([^']*)'")
_NO_VERSION = re.compile(r"setuptools.scm|unable to detect version|hatch.vcs|versioningit|GitVersionError")
"""In the output of backends that take a project's version from git."""


def build(project: Path, python: str, out: Path, *, log: Path, title: str, silence: float = _SILENCE) -> Path:
    """Build a project with pip in an environment of its own, which gets what its build needs.

    Args:
        project: folder with pyproject.toml or setup.py; the builder may write into it.
        python: interpreter whose wheel is wanted.
        out: folder for the wheel, on the disk of `project`.
        log: gets all that is said, while it is said; it stays.
        title: of the source, for messages.
        silence: seconds without a word after which the build is ended.

    Returns:
        The wheel; the same tree and the same build tools give the same bytes.

    Raises:
        KitError: the build failed, hangs, or gave no wheel.
    """
    for path in project.rglob("*"):
        os.utime(path, (_EPOCH, _EPOCH), follow_symlinks=False)
    raw = out / "raw"
    log.unlink(missing_ok=True)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            _command(project, python, raw),
            cwd=project,
            env=_environment(project),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            umask=0o022,
            start_new_session=True,
        )
        if not _ended(process, log, silence):
            raise KitError(
                f"{title}: the build said nothing for {silence:.0f} s and was ended, last:\n{_tail(log)}",
                where=log,
                fix="it waits for something: run `pip wheel --no-deps` on that source by hand to see it",
            )
    if process.returncode:
        raise _complaint(log, title)
    wheels = sorted(raw.glob("*.whl"))
    if len(wheels) != 1:
        raise KitError(
            f"{title}: the build gave {counted(len(wheels), 'wheel')}",
            where=log,
            fix="read the log; one source makes one wheel",
        )
    return _normalised(wheels[0], out)


def _ended(process: subprocess.Popen[bytes], log: Path, silence: float) -> bool:
    """Wait for the end of a build; end it and return False if it says nothing for some seconds."""
    size, until = 0, time.monotonic() + silence
    try:
        while time.monotonic() < until:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(1.0, silence))
                return True
            if log.stat().st_size != size:
                size, until = log.stat().st_size, time.monotonic() + silence
        return False
    finally:
        # pip's children too, also after Ctrl-C, which does not reach a session of its own.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL:])


def _command(project: Path, python: str, out: Path) -> list[str]:
    # With another interpreter, pip runs itself in that one, which needs no pip for it.
    chosen = [] if python == sys.executable else ["--python", python]
    return [
        *(sys.executable, "-m", "pip", *chosen, "wheel", "--verbose", "--no-deps", "--no-input"),
        *("--progress-bar", "off", "--disable-pip-version-check"),
        *("--wheel-dir", str(out), str(project)),
    ]


def _environment(project: Path) -> dict[str, str]:
    """Return an environment in which neither clock, locale, hash seed nor place reach the wheel."""
    # The pip that installs what the build needs is another process: it takes variables, not our options.
    kept = {"PIP_RETRIES": "2", **tool_environment()}
    # Compilers write the paths of sources into messages and debug sections.
    renamed = f"-ffile-prefix-map={project}=."
    flags = {name: f"{kept.get(name, '')} {renamed}".strip() for name in ("CFLAGS", "CXXFLAGS")}
    fixed = {"SOURCE_DATE_EPOCH": str(_EPOCH), "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    return {**kept, **flags, **fixed, "PIP_NO_COLOR": "1", "NO_COLOR": "1"}


def _complaint(log: Path, title: str) -> KitError:
    text = log.read_text(errors="replace")
    if other := _OTHER_PYTHON.search(text):
        return KitError(
            f"{title} asks for Python {other[2]}, and a target has Python {other[1]}",
            where=log,
            fix="leave out that target (--target), or widen requires-python in its pyproject.toml",
        )
    problem = f"{title}: the build failed, its last lines:\n{_tail(log)}"
    if OFFLINE.search(text):
        fix = "what the build needs cannot be downloaded: check the network and the proxy (HTTPS_PROXY)"
    elif _NO_VERSION.search(text):
        fix = (
            "its version comes from git, which a folder or archive does not bring along: write "
            "git+file:///path/to/repo@<commit> instead"
        )
    else:
        fix = "read the whole log; `pip wheel --no-deps` of that source by hand has to work first"
    return KitError(problem, where=log, fix=fix)


def _normalised(wheel: Path, out: Path) -> Path:
    """Write a wheel again: files in a fixed order, stored, with a fixed date and a RECORD of our own.

    Of a file's mode only one bit is kept: whether it may be run, as the programs in a package's folder need.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            items = [item for item in archive.infolist() if not item.is_dir()]
            files = {item.filename: archive.read(item) for item in items}
            programs = {item.filename for item in items if item.external_attr >> 16 & 0o111}
    except (zipfile.BadZipFile, OSError) as error:
        raise KitError(
            f"the build gave a file that is no wheel: {error}", where=wheel.name, fix="read the build's log"
        ) from error
    folders = {name.partition("/")[0] for name in files if name.partition("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        raise KitError(
            f"the wheel has {len(folders)} .dist-info folders", where=wheel.name, fix="read the build's log"
        )
    [dist_info] = folders
    kept = {
        name: data for name, data in files.items() if name not in {f"{dist_info}/{it}" for it in _SIGNATURES}
    }
    made = out / wheel.name
    write_wheel(made, kept, dist_info=dist_info, programs=programs)
    return made
