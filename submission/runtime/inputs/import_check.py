"""Imports what the networks need, once, in a process of its own: metadata alone may be wrong.

Seen in images: a `*.dist-info` that an upgrade left over, an OpenCV that needs a libGL that is not there,
a matplotlib that was compiled for another numpy. The process may raise, crash or hang without harm to the
run; what failed is named and can be replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from submission.runtime.inputs.patience import end, wait

_TEXT = 300
_FRAME = re.compile(r'File "(.+?)", line')
_PATIENCE = 2.0
_STDERR = 2
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_CALLED_FROM_C: list[object] = []


@dataclass(frozen=True)
class Failure:
    """Something that cannot be imported.

    Attributes:
        module: what a part of this script imports.
        problem: what happened.
        blamed: packages at fault, the most likely one first.
        hung: it did not end; on a busy machine that may be wrong.
    """

    module: str
    problem: str
    blamed: list[str]
    hung: bool = False


@dataclass(frozen=True)
class Result:
    """What an import check showed.

    Attributes:
        failures: what cannot be imported.
        versions: package -> what it calls its version.
        problem: why the check itself failed, None if it did not.
    """

    failures: list[Failure] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


class ImportCheck:
    """A process that imports everything; it starts at once.

    Args:
        command: starts this script; the name of a file for the result is added.
        environment: of the workers.
        file: for the result; a log lies beside it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], file: Path) -> None:
        self.file, self.log = file, file.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.problem: str | None = None
        try:
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [*command, str(file)],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            self.problem = str(error)

    def end(self) -> None:
        """Kill the process if it still runs."""
        if self.process is not None:
            end(self.process)

    def result(self, work: float) -> Result:
        """Wait for the process and return what it found.

        Args:
            work: seconds of processor time it may use: on a busy machine an import takes long without harm.
        """
        if self.process is None:
            return Result(problem=self.problem)
        stuck = wait(self.process, work=work)
        if stuck is not None:
            # Python's fault handler writes where it hangs, if the process can still receive a signal.
            self.process.send_signal(signal.SIGABRT)
            wait(self.process, _PATIENCE)
            end(self.process, patience=_PATIENCE)
        lines = _lines(self.file)
        failures = [Failure(**line["failure"]) for line in lines if "failure" in line]
        versions = next((line["versions"] for line in lines if "versions" in line), None)
        if versions is not None:
            return Result(failures, versions)
        code = self.process.returncode
        begun = [line["begin"] for line in lines if "begin" in line]
        if not begun or (code == -signal.SIGKILL and stuck is None):
            # The kernel kills a process when memory runs out: that says nothing about the packages.
            return Result(failures, problem=f"it ended with code {code}: {self._tail()}")
        what = stuck or _ending(code)
        frames = _FRAME.findall(self._text())  # the innermost one comes first
        blamed = [*_packages(frames), begun[-1].partition(".")[0]]
        failures.append(Failure(begun[-1], what, list(dict.fromkeys(blamed)), hung=stuck is not None))
        return Result(failures)

    def _text(self) -> str:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _tail(self) -> str:
        return self._text()[-_TEXT:].strip()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"it crashes the interpreter ({signal.Signals(-code).name})"
    return f"it ends the interpreter (exit code {code})"


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]
    except (OSError, ValueError):
        return []


def try_imports(imports: Mapping[str, Sequence[str]], file: Path) -> int:
    """Import what this script needs and write what fails, one JSON value per line.

    Args:
        imports: module -> names that are used.
        file: for the result; each line is written at once, as the process may crash at any moment.
    """
    faulthandler.enable()
    gc.disable()  # it would look through all that is imported again and again
    with contextlib.suppress(OSError, AttributeError):  # the kernel ends it when its supervisor is killed
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    _show_where_it_ends()
    sys.stdout = sys.stderr
    with file.open("w", encoding="utf-8", buffering=1) as out:
        for module, names in imports.items():
            print(json.dumps({"begin": module}), file=out)
            try:
                _import(module, names)
            except BaseException as error:  # noqa: BLE001 - SystemExit too; the process is there to fail
                failure = {"module": module, "problem": _told(error), "blamed": _blamed(error, module)}
                print(json.dumps({"failure": failure}), file=out)
        # A start-up hook may put anything there: None blocks an import.
        modules = {str(name): item for name, item in sys.modules.items() if isinstance(item, ModuleType)}
        versions = {
            name: version
            for name, module in sorted(modules.items())
            if "." not in name and isinstance(version := vars(module).get("__version__"), str)
        }
        print(json.dumps({"versions": versions}), file=out)
    os._exit(0)  # libraries may crash when the interpreter ends


def _show_where_it_ends() -> None:
    """Let a library that ends the process write the lines that led to it, as a crash does."""
    leave = os._exit

    def show(*_: object) -> None:
        faulthandler.dump_traceback(_STDERR)

    def end(status: int) -> NoReturn:
        show()
        leave(status)

    os._exit = end
    # MKL calls C's exit() when one of its files is missing: of Python, only this still runs.
    with contextlib.suppress(Exception):
        _CALLED_FROM_C.append(ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)(show))
        ctypes.CDLL(None).on_exit(_CALLED_FROM_C[0], None)


def _import(module: str, names: Iterable[str]) -> None:
    imported_module = importlib.import_module(module)
    for name in names:
        if not hasattr(imported_module, name):
            importlib.import_module(f"{module}.{name}")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_TEXT]


def _blamed(error: BaseException, module: str) -> list[str]:
    # `import timm` fails in yaml/__init__.py, which timm imports: yaml, then timm. When a name is missing
    # that yaml should have, the error itself names yaml. An error may be raised from another one.
    named: list[str] = []
    files: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ImportError) and chain.name:
            named.insert(0, chain.name.partition(".")[0])
        owner = getattr(chain, "obj", None) if isinstance(chain, AttributeError) else None
        if owner is not None and (name := getattr(owner, "__name__", None)) in sys.modules:
            named.insert(0, str(name).partition(".")[0])
        files = [*reversed([frame.filename for frame in traceback.extract_tb(chain.__traceback__)]), *files]
        chain = chain.__cause__ or chain.__context__
    return list(dict.fromkeys([*named, *_packages(files), module.partition(".")[0]]))


def _packages(files: Iterable[str]) -> list[str]:
    """Return the packages that files belong to: "/usr/lib/python3/dist-packages/yaml/x.py" gives "yaml"."""
    folders = sorted((str(Path(entry).resolve()) for entry in sys.path if entry), key=len, reverse=True)
    found = []
    for file in files:
        folder = next((entry for entry in folders if file.startswith(entry + os.sep)), None)
        inside = re.split(r"/(?:site|dist)-packages/|/site/", file)
        rest = inside[-1] if len(inside) > 1 else file.removeprefix(f"{folder}{os.sep}") if folder else ""
        top = rest.partition(os.sep)[0].partition(".")[0]
        if top and top not in sys.stdlib_module_names and top not in {"kit", "submission"}:
            found.append(top)
    return list(dict.fromkeys(found))
