"""`python -m bundle lock`: pin everything for every Python we serve, with hashes.

pip-compile resolves for the Python it runs under and nothing else, so it runs once under each, oldest first.
Each result is handed to the next as its starting point: pip-compile keeps a given pin wherever it can, so the
Pythons differ only where they must, and the later ones take half a minute instead of six. Each result is
kept under `build/lock` with a JSON of what it was made from; a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from kit.artefacts import read_sidecar, sha256_file, sha256_json, sidecar_path, write_sidecar, write_text
from kit.errors import KitError
from kit.local import lockfile
from kit.local.console import console
from kit.local.targets import marker_environment
from kit.local.uv import find_uv

COMMAND = "python -m bundle lock"
PIP_COMPILE = (
    "--generate-hashes",
    "--allow-unsafe",  # pip and setuptools too: with hashes it is all or nothing
    "--strip-extras",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-options",
    "--annotation-style=line",
    "--pip-args=--only-binary :all:",
)
_LOCAL_WHEELS = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_EXTRA_INDEX_URL", "UV_INDEX")
_MINUTES_A_PYTHON = 7


def lock(
    requirements: Path,
    out: Path,
    *,
    work: Path,
    upgrade: bool = False,
    pythons: Sequence[str] = lockfile.PYTHONS,
) -> list[lockfile.Pin]:
    """Write the lock of a requirements file for all Pythons.

    Args:
        requirements: what we ask for (`requirements.in`).
        out: the lock; its present pins are kept where they still fit, unless `upgrade`.
        work: folder for environments and unfinished results.
        upgrade: forget present pins and results, take the newest of everything.
        pythons: which interpreters to resolve under, oldest first.

    Returns:
        The pins written.

    Raises:
        KitError: an interpreter is not found, or no set of versions fits.
    """
    if not requirements.is_file():
        raise KitError("requirements file is missing", where=requirements, fix="run in the project's folder")
    if upgrade:
        shutil.rmtree(work, ignore_errors=True)
    present = lockfile.load(out) if out.exists() and not upgrade else []
    work = work.resolve()  # pip-compile runs in folders below it
    compilers = {python: _environment(python, work) for python in pythons}
    parts: dict[str, list[lockfile.Pin]] = {}
    for python in pythons:
        seed = list(lockfile.select(present, marker_environment(python), where=out).values())
        newest_done = next(reversed(parts.values()), [])
        known = {pin.name for pin in seed}
        seed += [pin for pin in newest_done if pin.name not in known]
        parts[python] = _compile(python, compilers[python], requirements, seed, work)
    merged = lockfile.merge(parts)
    write_text(out, lockfile.render(merged, command=COMMAND, pythons=pythons))
    return merged


def _compile(
    python: str, compiler: Path, requirements: Path, seed: Sequence[lockfile.Pin], work: Path
) -> list[lockfile.Pin]:
    """The pins for one Python: read when a former run finished them, else resolved."""
    result = work / f"cp{python.replace('.', '')}.txt"
    config = {"python": python, "options": list(PIP_COMPILE)}
    inputs = {"requirements.in": sha256_file(requirements)}
    if sidecar_path(result).exists():
        record = read_sidecar(result, kind="lock-part")
        if record["inputs"] == inputs and record["config_sha256"] == sha256_json(config):
            console().print(f"Python {python}: done before, kept")
            return lockfile.load(result)
    console().print(f"Python {python}: resolving, usually {_MINUTES_A_PYTHON} minutes or less ...")
    start = time.monotonic()
    draft = work / f"draft-{python}" / "requirements.lock"
    draft.parent.mkdir(parents=True, exist_ok=True)
    # A copy beside the draft: pip-compile writes the path it was given into its reasons.
    shutil.copyfile(requirements, draft.parent / "requirements.in")
    write_text(draft, lockfile.render(sorted(seed), command=COMMAND))
    done = subprocess.run(
        [compiler, *PIP_COMPILE, f"--output-file={draft.name}", "requirements.in"],
        cwd=draft.parent,
        env=registry_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise KitError(
            f"no set of versions fits on Python {python}: {_reason(done.stderr)}",
            where=requirements,
            fix="loosen the requirement named above; parts already resolved are kept",
        )
    pins = lockfile.load(draft)
    write_text(result, draft.read_text(encoding="utf-8"))
    write_sidecar(result, kind="lock-part", config=config, inputs=inputs, code_version=COMMAND)
    console().print(f"Python {python}: {len(pins)} pins in {time.monotonic() - start:.0f} s")
    return pins


def _environment(python: str, work: Path) -> Path:
    """pip-compile in an environment of one Python; made on first use, complete or absent."""
    folder = work / f"venv-{python}"
    compiler = folder / "bin" / "pip-compile"
    if compiler.exists():
        return compiler
    shutil.rmtree(folder, ignore_errors=True)
    uv = find_uv()
    _prepare([uv, "venv", "--quiet", "--python", python, str(folder)], f"no Python {python} found")
    _prepare(
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "pip", "pip-tools"],
        f"cannot install pip-tools for Python {python}",
    )
    return compiler


def registry_environment() -> dict[str, str]:
    """This process's environment without folders of local wheels, whose builds a lock must not name."""
    kept = {key: value for key, value in os.environ.items() if key not in _LOCAL_WHEELS}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PYTHONNOUSERSITE": "1"}


def _prepare(command: list[str], problem: str) -> None:
    done = subprocess.run(command, env=registry_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise KitError(
            f"{problem}: {_reason(done.stderr)}",
            fix="install the Pythons (`uv python install 3.11 3.12 3.13`) and check the network",
        )


def _reason(output: str) -> str:
    """What a tool said was wrong; pip-compile buries it in tracebacks of its own."""
    lines = [line.strip() for line in output.strip().splitlines()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return "\n".join(dict.fromkeys(said)) or "\n".join(lines[-4:])


def check(requirements: Path, out: Path) -> None:
    """Refuse a lock that does not fulfil its requirements on some Python; no network.

    Raises:
        KitError: naming the requirements that are not met.
    """
    pins = lockfile.load(out)
    text = requirements.read_text(encoding="utf-8")
    for python in lockfile.PYTHONS:
        if missing := lockfile.unmet(text, pins, marker_environment(python)):
            raise KitError(
                f"the lock does not fulfil on Python {python}: {', '.join(missing)}",
                where=out,
                fix=f"run `{COMMAND}`",
            )


def add_lock_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `lock [--upgrade] [--check]` to a command line."""
    parser = verbs.add_parser("lock", help="pin requirements.in for Python 3.11-3.13 with hashes")
    parser.add_argument("--requirements", type=Path, default=Path("requirements.in"), metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("requirements.lock"), metavar="FILE")
    parser.add_argument(
        "--work", type=Path, default=Path("build/lock"), metavar="DIR", help="unfinished results"
    )
    parser.add_argument("--upgrade", action="store_true", help="newest of everything, not the present pins")
    parser.add_argument("--check", action="store_true", help="only compare lock and requirements, offline")
    parser.set_defaults(run=_run_command)


def _run_command(arguments: argparse.Namespace) -> int:
    if not arguments.check:
        pins = lock(arguments.requirements, arguments.out, work=arguments.work, upgrade=arguments.upgrade)
        conditional = sum(bool(pin.marker) for pin in pins)
        console().print(f"{arguments.out}: {len(pins)} pins, {conditional} of them for some Pythons only")
    check(arguments.requirements, arguments.out)
    return 0
