"""Run by the kit's own environment: its packages beside the lock, and a kernel on each GPU. Prints JSON."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kit.local import lockfile
from kit.local.targets import marker_environment
from kit.local.version import root

_NUMBERS = 1 << 20
_SIDE = 64


def look() -> dict[str, Any]:
    """Return what the environment has."""
    import torch

    pins = lockfile.select(
        lockfile.load(root() / "requirements.lock"),
        marker_environment(platform.python_version()),
        where="requirements.lock",
    )
    other, absent = {}, []
    for name, pin in pins.items():
        try:
            if (has := version(name)) != pin.version:
                other[name] = (has, pin.version)
        except PackageNotFoundError:
            absent.append(name)
    gpus = [_gpu(number) for number in range(torch.cuda.device_count())]
    return {
        "pins": len(pins),
        "other": other,
        "absent": absent,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "gpus": gpus,
    }


def _gpu(number: int) -> dict[str, Any]:
    """Compute on one GPU what has a known answer."""
    import torch

    found: dict[str, Any] = {"torch_name": torch.cuda.get_device_name(number)}
    try:
        device = torch.device("cuda", number)
        # 1 + 2 + ... + n of int64 is exact, and so is a product of small whole numbers in float32.
        total = int(torch.arange(1, _NUMBERS + 1, device=device).sum())
        square = torch.arange(_SIDE * _SIDE, dtype=torch.float32).reshape(_SIDE, _SIDE) % 7
        product = (square.to(device) @ square.to(device)).cpu()
        right = total == _NUMBERS * (_NUMBERS + 1) // 2 and torch.equal(product, square @ square)
        found["kernel"] = "right" if right else "wrong numbers"
    except RuntimeError as error:  # out of memory, no kernel for this chip, a driver that is too old
        found["kernel"] = str(error).splitlines()[0]
    return found


if __name__ == "__main__":
    print(json.dumps(look()))
