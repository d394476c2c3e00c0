"""`python -m bundle lock`: pin every distribution for every Python we support, with hashes.

pip-compile resolves only for the Python that runs it, so it runs once under each Python, oldest first. Each
result is the starting point of the next one, so that the Pythons differ only where they must. Each result is
kept under `build/lock` with a JSON that says what it was made from; a killed run goes on where it stopped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundle.pip_download import OFFLINE
from kit.artefacts import sha256_file, sha256_json, write_text
from kit.command_line import option
from kit.errors import KitError
from kit.local import lockfile
from kit.local.console import console
from kit.local.interpreters import find_python
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.local.targets import marker_environment
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.local.wording import counted

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
_UNMATCHED = re.compile(
    r"No matching distribution found for (?P<wanted>[^\s(]+)(?: \(from (?!-r )(?P<asker>[^)\s]+)\))?"
)


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
        requirements: the file with the requirements (`requirements.in`).
        out: the lock; its present pins stay where they still fit, unless `upgrade` is set.
        work: folder for environments and unfinished results.
        upgrade: forget present pins and results; take the newest release of everything.
        pythons: versions of the interpreters that resolve, oldest first.

    Returns:
        The pins in the lock.

    Raises:
        KitError: an interpreter is missing, or no set of versions fits.
    """
    if not requirements.is_file():
        raise KitError(
            "the file with the requirements is missing",
            where=requirements,
            fix="run the command in the project's folder",
        )
    if upgrade:
        shutil.rmtree(work, ignore_errors=True)
    present = lockfile.load(out) if out.exists() and not upgrade else []
    work = work.resolve()  # pip-compile runs in folders below it
    compilers = {python: _environment(python, work) for python in pythons}
    # pip-compile keeps a pin of its starting point wherever it can:
    #     Python 3.11   from the present lock   six minutes     numpy==2.4.0, tomli==2.5.0, ...
    #     Python 3.12   from the pins above     half a minute   keeps numpy==2.4.0, drops tomli
    #     Python 3.13   from the pins above     half a minute   numpy==2.5.0 if 2.4.0 has no wheel for it
    parts: dict[str, list[lockfile.Pin]] = {}
    for python in pythons:
        seed = list(lockfile.select(present, marker_environment(python), where=out).values())
        # A pin of the present lock wins over one of the former Python, so that a lock changes no more than it
        # must. What the present lock lacks, a new requirement for example, is taken from the former Python.
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
    """Return the pins for one Python; resolve them unless a former run did for the same input."""
    result = work / f"cp{python.replace('.', '')}.txt"
    config = {"python": python, "options": list(PIP_COMPILE)}
    inputs = {"requirements.in": sha256_file(requirements)}
    # The result of a former run holds as long as neither the requirements nor the options have changed.
    if sidecar_path(result).exists():
        record = read_sidecar(result, kind="lock-part")
        if record["inputs"] == inputs and record["config_sha256"] == sha256_json(config):
            console().print(f"Python {python}: done before, kept")
            return lockfile.load(result)
    console().print(f"Python {python}: resolving; this takes up to {_MINUTES_A_PYTHON} minutes ...")
    start = time.monotonic()
    draft = work / f"draft-{python}" / "requirements.lock"
    draft.parent.mkdir(parents=True, exist_ok=True)
    # pip-compile writes the path of its input into the lock as a reason, so it gets a copy beside the draft.
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
        raise _complaint(python, done.stderr, requirements)
    pins = lockfile.load(draft)
    write_text(result, draft.read_text(encoding="utf-8"))
    write_sidecar(result, kind="lock-part", config=config, inputs=inputs, code_version=COMMAND)
    console().print(f"Python {python}: {counted(len(pins), 'pin')} in {time.monotonic() - start:.0f} s")
    return pins


def _environment(python: str, work: Path) -> Path:
    """Return the path of pip-compile in an environment of one Python; make the environment on first use."""
    folder = work / f"venv-{python}"
    compiler = folder / "bin" / "pip-compile"
    if compiler.exists():
        return compiler
    shutil.rmtree(folder, ignore_errors=True)
    uv = find_uv()
    _, executable = find_python([python])
    _prepare(
        [uv, "venv", "--quiet", "--python", executable, str(folder)],
        f"an environment of Python {python} cannot be made",
    )
    _prepare(
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "pip", "pip-tools"],
        f"pip-tools cannot be installed for Python {python}",
    )
    return compiler


def registry_environment() -> dict[str, str]:
    """Return the environment without folders of local wheels: a lock must not name such wheels."""
    return {key: value for key, value in tool_environment().items() if key not in _LOCAL_WHEELS}


def _prepare(command: list[str], problem: str) -> None:
    done = subprocess.run(command, env=registry_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise KitError(
            f"{problem}: {_reason(done.stderr)}",
            fix="check the network, the proxy (HTTPS_PROXY) and the package index",
        )


def _complaint(python: str, output: str, requirements: Path) -> KitError:
    """Translate pip-compile's output into an error that says which requirement it is, and whose."""
    # One line says whether the index has other versions with wheels, and one who asks, unless it is the user:
    #     ... the requirement docopt>=0.6.2 (from num2words) (from versions: none)
    #     No matching distribution found for docopt>=0.6.2 (from num2words)
    if OFFLINE.search(output):
        return KitError(
            f"the package index cannot be reached to resolve for Python {python}",
            where=requirements,
            fix="check the network, the proxy (HTTPS_PROXY) and the index; parts already resolved are kept",
        )
    unmatched = next(reversed(list(_UNMATCHED.finditer(output))), None)
    if unmatched is None or "(from versions: none)" not in output:
        return KitError(
            f"no set of versions fits on Python {python}: {_reason(output)}",
            where=requirements,
            fix="loosen the requirement named above; parts already resolved are kept",
        )
    wanted, asker = unmatched["wanted"], unmatched["asker"]
    fix = "check its name, or write a distribution that has wheels in its place"
    if asker:
        fix = f"leave {asker} out, or write a release of it that does not need this into requirements.in"
    whose = f", which {asker} needs," if asker else ""
    return KitError(
        f"{wanted}{whose} has no wheel for Python {python} on the index; "
        "only wheels can be installed on Kaggle, which has no network to build sources",
        where=requirements,
        fix=f"{fix}; or put its sources into bundle/packages and build them with `python -m bundle wheel`",
    )


def _reason(output: str) -> str:
    """Return the lines of a tool's output that say what is wrong. pip-compile adds its own traceback."""
    lines = [line.strip() for line in output.strip().splitlines()]
    # pip's own sentences start with "ERROR: ". If there is none, show the last lines.
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return "\n".join(dict.fromkeys(said)) or "\n".join(lines[-4:])


def check(requirements: Path, out: Path) -> None:
    """Refuse a lock that does not fulfil its requirements on some Python. This needs no network.

    Raises:
        KitError: the message names the requirements that are not fulfilled.
    """
    pins = lockfile.load(out)
    text = requirements.read_text(encoding="utf-8")
    for python in lockfile.PYTHONS:
        if missing := lockfile.unmet(text, pins, marker_environment(python)):
            raise KitError(
                f"the lock does not fulfil these requirements on Python {python}: {', '.join(missing)}",
                where=out,
                fix=f"run `{COMMAND}`",
            )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Pin requirements.in for Python 3.11-3.13 with hashes."""

    requirements: Path = field(
        default=Path("requirements.in"), metadata=option("what is asked for", metavar="FILE")
    )
    out: Path = field(default=Path("requirements.lock"), metadata=option("the lock", metavar="FILE"))
    work: Path = field(default=Path("build/lock"), metadata=option("unfinished results", metavar="DIR"))
    upgrade: bool = field(default=False, metadata=option("newest of everything, not the present pins"))
    check: bool = field(default=False, metadata=option("only compare lock and requirements, offline"))


def run(options: Options) -> int:
    """Run the verb `lock`: write the lock unless it is only checked, then check it."""
    if not options.check:
        pins = lock(options.requirements, options.out, work=options.work, upgrade=options.upgrade)
        conditional = sum(bool(pin.marker) for pin in pins)
        console().print(
            f"{options.out}: {counted(len(pins), 'pin')}, {conditional} of them for some Pythons only"
        )
    check(options.requirements, options.out)
    return 0
