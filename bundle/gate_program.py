"""What the gate runs inside a bare image: import everything of the inference path, run each family once.

    python -P gate_program.py SITE CODE RESULT [MODULES]

SITE is the folder into which the wheels were installed, CODE the folder with `kit` and `submission`. MODULES
is a JSON list: of a bundle of wheels alone only these are imported, and no network is run. RESULT gets what
was tried and what failed, as JSON; what libraries print goes where it will. own.json beside RESULT lists the
models of one's own, if there are some: config of the network, and side of its input. The image has nothing of
ours, so this file imports the standard library only.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_TEXT = 300
_SIDE = 64
"""Pixels of the image that each network is run on: their strides are at most 32."""
_NO_PACKAGES = frozenset({"bin", "etc", "include", "share"})
"""Folders in which installers put what is no module."""


def kit_modules(code: Path) -> Iterator[str]:
    """Yield the modules that predict.py may carry."""
    for package in ("kit", "submission"):
        for info in pkgutil.walk_packages([str(code / package)], f"{package}."):
            if not info.name.endswith(".__main__"):
                yield info.name


def wheel_modules(site: Path) -> Iterator[tuple[str, str]]:
    """Yield (distribution, module) for each package and module of each wheel that is in no other one."""
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        files = [file.parts for file in distribution.files or ()]
        found = list(outermost(files)) or list(loose(files))
        yield from ((distribution.metadata["Name"], ".".join(name)) for name in found)


def outermost(files: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the packages and modules of a wheel that lie in no other one, each as the parts of its name."""
    # RECORD lists "scipy/__init__.py", "six.py" and "_x.cpython-313-x86_64-linux-gnu.so": scipy, six, _x.
    # Of "team/models/__init__.py" without "team/__init__.py" it is team.models: team is a namespace.
    packages = {parts[:-1] for parts in files if parts[-1] == "__init__.py"}
    modules = {(parts[0].partition(".")[0],) for parts in files if len(parts) == 1 and _is_module(parts[0])}
    for name in sorted({*packages, *modules}):
        inside = any(name[:depth] in packages for depth in range(1, len(name)))
        if name and not inside and all(part.isidentifier() for part in name):
            yield name


def loose(files: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the modules of a wheel that has no package and none at its top: "team/net.py" is team.net."""
    for *folders, file in files:
        name = (*folders, file.partition(".")[0])
        if _is_module(file) and name[0] not in _NO_PACKAGES and all(part.isidentifier() for part in name):
            yield name


def _is_module(file: str) -> bool:
    return file.endswith((".py", ".so"))


def run_networks() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield a network of each family with a function that builds its tiny form and predicts one image."""
    import torch

    from kit import models

    seen = set()
    for name in models.names():
        if (family := models.family(name)) in seen:
            continue
        seen.add(family)

        def forward(name: str = name) -> None:
            torch.manual_seed(0)
            network = models.build(models.tiny(name)).eval()
            with torch.inference_mode():
                network(torch.rand(1, 3, _SIDE, _SIDE) * 255)

        yield name, forward


def run_own(listed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield each model of one's own with a function that builds it and predicts one image."""
    import numpy as np
    import torch

    from kit import models

    for item in listed:

        def forward(config: Mapping[str, Any] = item["network"], side: int = item["side"]) -> None:
            torch.manual_seed(0)
            network = models.build(config).eval()
            if config.get("file"):
                return  # without its weights a class that reads its own file may not be able to predict
            with torch.inference_mode():
                if config.get("kind") == "values":
                    network(np.zeros((side, side, 3), np.uint8))
                else:
                    network(torch.rand(1, 3, side, side) * 255)

        yield f"{item['network']['module']}.{item['network']['class_name']}", forward


def compiled_operators() -> tuple[list[str], list[str]]:
    """Return mmcv's compiled operators that run here, and why portable ones run in place of others.

    Both are empty if the portable wheel was installed.
    """
    extension = importlib.import_module("mmcv._ext")
    if not hasattr(extension, "TOLD"):
        return [], []
    # The function imports them and compares their numbers.
    taken = sorted(extension._operators("cpu"))  # noqa: SLF001 - this module is ours
    return taken, list(extension.TOLD)


def main(
    site: Path,
    code: Path,
    wanted: Sequence[str] | None = None,
    own: Sequence[Mapping[str, Any]] = (),
) -> dict[str, object]:
    """Try everything; return what was tried and what failed, name -> reason.

    Args:
        site: the folder of the wheels.
        code: the folder of `kit` and `submission`.
        wanted: the modules to try; None: all, and a network of each family.
        own: models of one's own: "network", the config, and "side" of the image that each gets.
    """
    failed: dict[str, str] = {}

    def attempt(name: str, what: Callable[[], object]) -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001 - a library may end the process, and that is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            failed[name] = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"[:_TEXT]

    sys.path[:0] = [str(site), str(code)]
    modules = list(dict.fromkeys(kit_modules(code))) if wanted is None else list(wanted)
    wheels = list(dict.fromkeys(wheel_modules(site))) if wanted is None else []
    for name in modules:
        attempt(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for distribution, name in wheels:
        attempt(f"{name} of {distribution}", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    networks: list[str] = []
    compiled: list[str] = []
    told: list[str] = []
    if not failed and wanted is None:
        for name, forward in (*run_networks(), *run_own(own)):
            networks.append(name)
            attempt(f"network {name}", forward)
        compiled, told = compiled_operators()
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "modules": len(modules) + len(wheels),
        "networks": networks if wanted is None else None,
        "compiled": compiled,
        "told": told,
        "failed": failed,
    }


if __name__ == "__main__":
    asked = json.loads(sys.argv[4]) if len(sys.argv) > 4 else None
    listed = Path(sys.argv[3]).with_name("own.json")
    own_models = json.loads(listed.read_text()) if listed.is_file() else ()
    told_all = main(Path(sys.argv[1]), Path(sys.argv[2]), asked, own_models)
    Path(sys.argv[3]).write_text(json.dumps(told_all))
