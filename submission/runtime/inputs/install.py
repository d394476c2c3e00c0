"""Installs wheels into a folder of our own with uv, else pip, else by unzipping. The image stays as it is.

uv is much quicker than pip (`nox -s bench -- set-up`), and pip without compiling quicker than with it.
Unzipping comes last because it checks nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from kit.artefacts import open_to_read
from kit.errors import KitError
from submission.runtime.inputs.patience import end, wait
from submission.runtime.inputs.restore import Found
from submission.runtime.inputs.wheels import canonical_name, installed_version, is_protected

_TAIL = 400
_INTERPRETER = (
    *("PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONIOENCODING"),
    *("PYTHONDEVMODE", "PYTHONSAFEPATH"),
)


def has_pip() -> bool:
    """Return whether this interpreter has pip, from its metadata: setuptools hooks into `import pip`."""
    return installed_version("pip") is not None


def offline_environment(environment: Mapping[str, str], scratch: Path, site: Path) -> dict[str, str]:
    """Return the environment for every process we start: offline, caches in scratch, our packages first.

    Args:
        environment: of this process.
        scratch: for caches and settings of libraries.
        site: the folder with the installed packages.
    """
    # A constraint or required hashes of the image would refuse our wheels.
    result = {name: value for name, value in environment.items() if not name.startswith(("PIP_", "UV_"))}
    # Let workers write bytecode into our folder. Otherwise each of them compiles all modules again.
    # Settings of this interpreter that would change what libraries do go, too.
    for name in (*_INTERPRETER, "PYTHONDONTWRITEBYTECODE", "PYTHONHOME"):
        result.pop(name, None)
    result.update(
        PYTHONUTF8="1",
        TMPDIR=str(scratch),  # pip unpacks there, and the usual place may be full
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        NO_ALBUMENTATIONS_UPDATE="1",  # its update check stalls an import by 63 s without a network
        WANDB_MODE="offline",
        PIP_NO_INDEX="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_CONFIG_FILE=os.devnull,
        UV_OFFLINE="1",
        UV_NO_CONFIG="1",
        UV_CACHE_DIR=str(scratch / "uv"),
        MPLBACKEND="Agg",
        MPLCONFIGDIR=str(scratch / "matplotlib"),
        TORCH_HOME=str(scratch / "torch"),
        HF_HOME=str(scratch / "hf"),
        XDG_CACHE_HOME=str(scratch / "cache"),
        PYTHONHASHSEED="0",
    )
    inherited = environment.get("PYTHONPATH")
    result["PYTHONPATH"] = str(site) + (os.pathsep + inherited if inherited else "")
    return result


def link_wheels(found: Sequence[Found], folder: Path) -> list[Path]:
    """Make links to the wheels, named as installers want them: Kaggle may have renamed the files."""
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for item in found:
        link = folder / canonical_name(item.entry)
        link.unlink(missing_ok=True)
        link.symlink_to(item.path)
        links.append(link)
    return links


def install(
    found: Sequence[Found],
    site: Path,
    scratch: Path,
    *,
    timeout: float,
    on_start: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
    on_end: Callable[[dict[str, Any]], None] = lambda _: None,
) -> str:
    """Install wheels without their dependencies: the caller has listed them all.

    Args:
        found: verified wheels.
        site: target folder; it is made, and what it held is deleted.
        scratch: for links and caches.
        timeout: seconds a tool may take before the next one is tried.
        on_start: called with the process of each tool, so that the caller can end it with `end`.
        on_end: called with what came of each tool: its name, the number of wheels, the seconds that it took,
            and the last lines of its error, None if it has installed them.

    Returns:
        The tool: "uv", "pip" or "unzip"; "nothing" if the image has everything.

    Raises:
        KitError: every tool failed.
    """
    site.mkdir(parents=True, exist_ok=True)
    if not found:
        return "nothing"
    for item in found:
        assert item.entry.wheel is not None
        if is_protected(item.entry.wheel.name):
            raise KitError(f"{item.entry.wheel.name} belongs to the image and is never replaced", where=site)
    links = link_wheels(found, scratch / "wheels")
    notes: list[str] = []
    for name in _tools():
        # Each tool has a folder of its own. One that cannot be killed may wake up later and go on writing.
        target = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
        environment = offline_environment(os.environ, scratch, target)
        begin = time.monotonic()
        problem: str | None = None
        try:
            if name == "unzip":
                unzip(links, target)
            else:
                with (scratch / f"{name}.log").open("w+b") as log:
                    _run([*_command(name, target), *map(str, links)], environment, timeout, log, on_start)
            check(found, target)
        except KitError as error:
            problem = error.problem
            notes.append(f"{name}: {problem}")
            shutil.rmtree(target, ignore_errors=True)
        else:
            shutil.rmtree(site, ignore_errors=True)
            target.rename(site)
        seconds = round(time.monotonic() - begin, 2)
        on_end({"tool": name, "wheels": len(links), "seconds": seconds, "error": problem})
        if problem is None:
            return name
    raise KitError(
        "the bundle's wheels could not be installed: " + "; ".join(notes),
        where=site,
        fix="check the free space of the temporary folder, or point TMPDIR to another disk; the wheels "
        "themselves were verified",
    )


def _tools() -> list[str]:
    """Return what can install here, the best first."""
    return [*(["uv"] if shutil.which("uv") else []), *(["pip"] if has_pip() else []), "unzip"]


def _command(name: str, target: Path) -> list[str]:
    common = ["install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    if name == "uv":
        return [shutil.which("uv") or "uv", "pip", *common, "--offline", "--python", sys.executable]
    # -P: a file pip.py or logging.py in the current folder must not be taken for the library.
    return [sys.executable, "-P", "-m", "pip", *common, "--no-compile"]


def check(found: Sequence[Found], site: Path) -> None:
    """Check that every wheel's distribution is in the folder with its version.

    Raises:
        KitError: one is missing or has another version.
    """
    for item in found:
        wheel = item.entry.wheel
        assert wheel is not None
        version = installed_version(wheel.name, [str(site)])
        if version != wheel.version:
            raise KitError(
                f"{wheel.name} {wheel.version} was not installed (found: {version or 'nothing'})", where=site
            )


def unzip(wheels: Sequence[Path], site: Path) -> None:
    """Unpack wheels. Code in their `.data` folders goes where an installer puts it; scripts are dropped.

    Raises:
        KitError: a wheel cannot be unpacked.
    """
    try:
        for wheel in wheels:
            with open_to_read(wheel) as stream, zipfile.ZipFile(stream) as archive:
                archive.extractall(site)
                for item in archive.infolist():
                    if item.external_attr >> 16 & 0o111:  # a program, which zipfile forgets
                        (site / item.filename).chmod(0o755)
        # tool-1.0.data/purelib/tool/x.py  ->  tool/x.py
        # tool-1.0.data/scripts/tool       ->  dropped: nobody calls it
        for data in site.glob("*.data"):
            for scheme in ("purelib", "platlib"):
                if (data / scheme).is_dir():
                    shutil.copytree(data / scheme, site, dirs_exist_ok=True)
            shutil.rmtree(data)
    except (OSError, zipfile.BadZipFile) as error:
        raise KitError(f"a wheel cannot be unpacked: {error}", where=site) from error


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    timeout: float,
    log: IO[bytes],
    on_start: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    # The log is a file: a pipe is at its end only when everything the tool has started has closed it.
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        on_start(process)
        problem = wait(process, timeout)
    except OSError as error:
        raise KitError(f"{Path(command[0]).name} did not start: {error}") from error
    if problem is not None:
        end(process, patience=1.0)
        raise KitError(f"{Path(command[0]).name} did not finish: {problem}")
    if process.returncode != 0:
        log.seek(0)
        text = log.read().decode(errors="replace").strip()
        raise KitError(text[-_TAIL:] or f"exit code {process.returncode}")
