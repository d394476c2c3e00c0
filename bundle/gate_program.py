"""What the gate runs inside a bare image: import everything of the inference path, run each family once.

    python -P gate_program.py SITE CODE RESULT

SITE is the folder into which the wheels were installed, CODE the folder with `kit` and `submission`. RESULT
gets what was tried and what failed, as JSON; what libraries print goes where it will. The image has nothing
of ours, so this file imports the standard library only.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

_TEXT = 300
_SIDE = 64
"""Pixels of the image that each network is run on: their strides are at most 32."""


def kit_modules(code: Path) -> Iterator[str]:
    """Yield the modules that predict.py may carry."""
    for package in ("kit", "submission"):
        for info in pkgutil.walk_packages([str(code / package)], f"{package}."):
            if not info.name.endswith(".__main__"):
                yield info.name


def wheel_modules(site: Path) -> Iterator[tuple[str, str]]:
    """Yield (distribution, module) for each importable name at the top of each installed wheel."""
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        # RECORD lists "scipy/__init__.py", "six.py" and "_x.cpython-313-x86_64-linux-gnu.so": scipy, six, _x.
        # A top folder without __init__.py is data, or a namespace that other wheels fill.
        for file in distribution.files or ():
            top, *rest = file.parts
            if rest == ["__init__.py"]:
                name = top
            elif not rest and top.endswith((".py", ".so")):
                name = top.partition(".")[0]
            else:
                continue
            if name.isidentifier():
                yield distribution.metadata["Name"], name


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


def main(site: Path, code: Path) -> dict[str, object]:
    """Try everything; return what was tried and what failed, name -> reason."""
    failed: dict[str, str] = {}

    def attempt(name: str, what: Callable[[], object]) -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001 - a library may end the process, and that is a finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            failed[name] = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"[:_TEXT]

    sys.path[:0] = [str(site), str(code)]
    modules = list(dict.fromkeys(kit_modules(code)))
    wheels = list(dict.fromkeys(wheel_modules(site)))
    for name in modules:
        attempt(name, lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    for distribution, name in wheels:
        attempt(f"{name} of {distribution}", lambda name=name: importlib.import_module(name))  # type: ignore[misc]
    networks: list[str] = []
    if not failed:
        for name, forward in run_networks():
            networks.append(name)
            attempt(f"network {name}", forward)
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "modules": len(modules) + len(wheels),
        "networks": networks,
        "failed": failed,
    }


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
