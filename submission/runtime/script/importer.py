"""The importer inside predict.py: makes modules of the script's parts, then starts the program.

predict.py executes this file before other parts can be imported; nothing of the kit is imported at its top.

    PARTS["kit/errors.py"] = text     ->     import kit.errors     ->     traceback: kit/errors.py, line 12
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, ModuleType, TracebackType

LEFT_OUT = re.compile(r"^ *# \+(\d+)\n", re.MULTILINE)
"""The mark of `submission.shortening`: "# +4" stands for 4 lines that predict.py leaves out."""
_PLACE = "predict.py/"
"""Begins every entry of an embedded package's `__path__`."""


class EmbeddedFolder:
    """Lists the modules of one embedded package, for `pkgutil.iter_modules`, with which registries look."""

    def __init__(self, modules: Mapping[str, bool]) -> None:
        self.modules = modules

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """Yield the name of each module, and whether it is a package; called by `pkgutil.iter_modules`."""
        for name, is_package in sorted(self.modules.items()):
            yield prefix + name, is_package

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> None:
        """Find nothing: `EmbeddedFinder` was asked before."""


class EmbeddedFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports the modules among `parts`.

    Tracebacks show the original file name, line number and source line. The lines are put into the cache of
    `linecache`: without them, Python would show lines of a file with that name below the working directory.
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
        """Return the spec of an embedded module, None for all others."""
        del path, target
        if fullname not in self.paths:
            return None
        origin = self.paths[fullname]
        spec = importlib.machinery.ModuleSpec(
            fullname, self, origin=origin, is_package=self.is_package(fullname)
        )
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(_PLACE + origin.removesuffix("/__init__.py"))
        return spec

    def is_package(self, fullname: str) -> bool:
        """Whether the module is a package."""
        return self.paths[fullname].endswith("/__init__.py")

    def get_source(self, fullname: str) -> str:
        """Return the module's text; each line of code has the number that it has in the repository."""
        text = self.parts[self.paths[fullname]][1:]  # as `script.text.part_text`, which is not importable yet
        return full_length(text)

    def folder(self, place: str) -> EmbeddedFolder:
        """Return the lister of an embedded package; a hook in `sys.path_hooks`.

        Args:
            place: entry of a package's `__path__`, e.g. "predict.py/kit/models/families".

        Raises:
            ImportError: a place on the disk.
        """
        if not place.startswith(_PLACE):
            raise ImportError
        package = place.removeprefix(_PLACE).replace("/", ".")
        inside = {name: name.rpartition(".") for name in self.paths}
        return EmbeddedFolder(
            {last: self.is_package(name) for name, (parent, _, last) in inside.items() if parent == package}
        )

    def get_code(self, fullname: str) -> CodeType:
        """Return the compiled module, and make its lines known to tracebacks."""
        path, source = self.paths[fullname], self.get_source(fullname)
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        # The renderer leaves `from __future__ import annotations` out: all modules have it.
        code: CodeType = compile(source, path, "exec", annotations.compiler_flag, dont_inherit=True)
        return code


def full_length(text: str) -> str:
    """Put blank lines where the renderer left out lines of a docstring or comment: 4 lines for "# +4".

    Args:
        text: of a module, as `submission.shortening` shortened it.
    """
    return LEFT_OUT.sub(lambda found: "\n" * int(found[1]), text)


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    # Python before 3.13 prints an uncaught error with C code, which reads source lines from files only.
    traceback.print_exception(kind, error, trace)


def embed(parts: Mapping[str, str]) -> EmbeddedFinder:
    """Let this process import the modules among `parts`."""
    finder = EmbeddedFinder(parts)
    sys.meta_path.insert(0, finder)
    sys.path_hooks.insert(0, finder.folder)
    for name in finder.paths:
        sys.modules.pop(name, None)  # another cell of this notebook may have run such a script
    for place in [place for place in sys.path_importer_cache if place.startswith(_PLACE)]:
        del sys.path_importer_cache[place]  # as with the modules
    return finder


def run(header: str | None, parts: Mapping[str, str], file: str | None, main: str) -> None:
    """Start the embedded program; called by predict.py's last line.

    Args:
        header: the script's docstring; None under `python -OO`.
        parts: as in the script.
        file: the script's own path, None when it was piped or pasted.
        main: name of the module whose `main` takes the script and its arguments.

    Raises:
        SystemExit: in a notebook, with the program's exit code. After success nothing is raised, because the
            cell would be shown as failed. Elsewhere the process ends here.
    """
    embed(parts)
    sys.excepthook = _show
    # These can be imported only now, through the finder.
    from submission.runtime.script import process
    from submission.runtime.script.script import Script, in_notebook
    from submission.runtime.script.text import IMPORTER, part_text

    def program() -> int:
        own_arguments = file is not None or not in_notebook()  # `%run` in a notebook sets both
        texts = {path: part_text(part) for path, part in parts.items()}
        arguments = sys.argv[1:] if own_arguments else []
        return int(importlib.import_module(main).main(Script(header or "", texts, file), arguments))

    if "--worker" in sys.argv:
        process.let_signals_in()
        sys.exit(program())
    if not in_notebook():
        process.run_process(program, file, IMPORTER)
    with process.STOP.at_signals():
        code = program()
    if code != 0:
        sys.exit(code)
