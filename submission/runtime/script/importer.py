"""The importer inside predict.py: it makes modules of the script's parts, then starts the program.

predict.py executes this file before any other part can be imported: it imports nothing of the kit at the top.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import linecache
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import CodeType, ModuleType, TracebackType


class EmbeddedFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules among `parts`.

    Tracebacks show the original file name, line number and source line. The lines are put where `linecache`
    looks first, because a file of that name below the working directory would win otherwise.
    """

    def __init__(self, parts: Mapping[str, str]) -> None:
        self.parts = parts
        self.paths: dict[str, str] = {}
        for path in parts:
            if path.endswith(".py"):
                name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                self.paths[name] = path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Spec of an embedded module, None for all others."""
        del path, target
        if fullname not in self.paths:
            return None
        origin = self.paths[fullname]
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=origin, is_package=self.is_package(fullname)
        )
        spec.has_location = True
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether the module is a package."""
        return self.paths[fullname].endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        """The module's original text."""
        return self.parts[self.paths[fullname]][1:]  # as `script.text.part_text`, which is not importable yet

    def get_code(self, fullname: str) -> CodeType:
        """The compiled module; as a side effect its lines are known to tracebacks."""
        path, source = self.paths[fullname], self.get_source(fullname)
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        return compile(source, path, "exec", dont_inherit=True)


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Python before 3.13 prints an uncaught error from C, which reads lines from files only.
    traceback.print_exception(kind, error, trace)


def run(header: str, parts: Mapping[str, str], file: str | None) -> None:
    """Start the embedded program; called by predict.py's last line.

    Args:
        header: the script's docstring.
        parts: as in the script.
        file: the script's own path, None when it was piped or pasted.

    Raises:
        SystemExit: with the program's exit code; not after success in a notebook, whose cell it would fail.
    """
    finder = EmbeddedFinder(parts)
    sys.meta_path.insert(0, finder)
    for name in finder.paths:
        sys.modules.pop(name, None)  # of the script that another cell of this notebook ran
    sys.excepthook = _show
    # These exist only once the finder does.
    from submission.runtime.main import main
    from submission.runtime.script.script import Script, in_notebook
    from submission.runtime.script.text import part_text

    texts = {path: part_text(part) for path, part in parts.items()}
    own_arguments = file is not None or not in_notebook()  # `%run` gives both a file and its arguments
    code = main(Script(header, texts, file), sys.argv[1:] if own_arguments else [])
    if code != 0 or not in_notebook():
        sys.exit(code)
