"""What the rehearsal of install.py runs inside an image: the installer as in a notebook, then the imports.

    python -P rehearsal_program.py INSTALL INPUT MODULES RESULT

INSTALL is install.py, INPUT the folder with the mounts, MODULES a JSON list of names, RESULT gets JSON. The
image has nothing of ours, so this file imports the standard library only.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.metadata
import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_TEXT = 600
_MARK = "installed.json"


def install(script: str, mounts: str) -> tuple[str | None, float]:
    """Run install.py in this process, as `%run` does in a notebook; return its error and its seconds."""
    sys.argv = [script, "--input", mounts]
    builtins.get_ipython = lambda: None  # type: ignore[attr-defined]  # what tells a notebook
    begun = time.monotonic()
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException as error:  # noqa: BLE001 - whatever ends it is the result
        return f"{type(error).__name__}: {error}"[:_TEXT], time.monotonic() - begun
    return None, time.monotonic() - begun


def imported(name: str) -> dict[str, str]:
    """Import a module in this process and in one of its children; return its file, or what fails."""
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - a library may end the process, and that is a finding
        return {"failed": f"{type(error).__name__}: {error}"[:_TEXT]}
    file = str(getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), ""))
    show = f"import {name} as m; print(getattr(m, '__file__', None) or next(iter(m.__path__), ''))"
    child = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=False)
    if child.returncode != 0:
        return {"failed": f"in a child process: {child.stderr.strip()[-_TEXT:]}"}
    if (seen := child.stdout.strip().splitlines()[-1:]) != [file]:
        return {"failed": f"a child process imports {''.join(seen) or 'nothing'}, and this one {file}"}
    return {"file": file}


def main(script: str, mounts: str, modules: str, result: str) -> None:
    """Install, import, install again; write what was seen."""
    error, seconds = install(script, mounts)
    site = next((Path(entry) for entry in sys.path if (Path(entry) / _MARK).is_file()), None)
    seen = {name: imported(name) for name in json.loads(modules)} if error is None else {}
    again, again_s, before = None, 0.0, None
    if error is None:
        before = site and (site / _MARK).stat().st_mtime_ns
        again, again_s = install(script, mounts)
        if again is None and site is not None and (site / _MARK).stat().st_mtime_ns != before:
            again = "the second run installed everything anew"
    installed: dict[str, Any] = {}
    if site is not None:
        installed = json.loads((site / _MARK).read_text(encoding="utf-8"))["installed"]
    told = {
        "python": sys.version.split()[0],
        "error": error,
        "seconds": seconds,
        "site": None if site is None else str(site),
        "installed": installed,
        "modules": seen,
        "versions": {item.name: item.version for item in importlib.metadata.distributions()}
        | {name: str(version) for name, version in installed.items()},
        "again": again,
        "again_s": again_s,
        "first_on_path": os.environ.get("PYTHONPATH", "").split(os.pathsep)[0],
    }
    Path(result).write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
