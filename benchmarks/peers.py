"""Compare our Swin with mmdet's, and our portable operators with mmcv's compiled ones."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Case, measure
from benchmarks.rounds import in_turns, median_ratio
from kit.errors import KitError
from kit.models import tiny
from kit.models.openmmlab import quiet

SWIN_HEAD = ("Swin", "pass", "mmdet s", "cbnetv2 s", "mmdet / cbnetv2")
DETECTORS_HEAD = ("network", "native s", "portable s", "portable / native")
SWIN_B = {"depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)}


def swin_rows(*, size: int, rounds: int, small: bool) -> Iterator[list[str]]:
    """Yield rows under `SWIN_HEAD`: our Swin and mmdet's with the same weights, with and without gradients.

    Args:
        size: side of the square image in pixels.
        rounds: number of rounds; each Swin runs once per round.
        small: use two blocks per stage and an eighth of the width.

    Raises:
        KitError: the two Swins give different maps, so their times would mean nothing.
    """
    width = 16 if small else 128
    depths = (2, 2, 2, 2) if small else SWIN_B["depths"]
    ours, theirs = _swins(width, depths)
    x_NCHW = torch.randn(1, 3, size, size)
    with torch.no_grad():
        for one, other in zip(ours(x_NCHW), theirs(x_NCHW), strict=True):
            if not torch.allclose(one, other, rtol=1e-3, atol=1e-3):
                raise KitError("the Swins of cbnetv2 and mmdet give different maps for the same weights")
    name = f"C = {width}, blocks {'/'.join(map(str, depths))}"
    for label, run in (("forward", _forward), ("forward + backward", _backward)):
        steps = {"ours": partial(run, ours, x_NCHW), "mmdet": partial(run, theirs, x_NCHW)}
        times = in_turns(steps, rounds)
        ratio = median_ratio(times["mmdet"], times["ours"])
        yield [name, label, _median(times["mmdet"]), _median(times["ours"]), f"{ratio:.2f}"]


def detectors_rows(native: Path | None, *, size: int, rounds: int, small: bool) -> Iterator[list[str]]:
    """Yield rows under `DETECTORS_HEAD`: DetectoRS-R50 predicts with portable and with compiled operators.

    Args:
        native: folder of an unpacked wheel of `python -m bundle wheel mmcv --native`; None gives a row that
            says "not built".
        size: side of the square image in pixels.
        rounds: number of rounds; each one starts a process per kind of operators.
        small: measure the tiny form.

    Raises:
        KitError: the folder holds no compiled operators, or a measurement failed.
    """
    if native is None:
        yield ["detectors-r50", "not built", "", ""]
        return
    if not list(native.glob("mmcv/_native*.so")):
        raise KitError(
            "no compiled operators in this folder",
            where=native,
            fix="make a wheel with `python -m bundle wheel mmcv --native --out DIR` and unpack it there",
        )
    config = tiny("detectors-r50") if small else {"network": "detectors-r50"}
    case = Case(network=config, height=size, width=size, seconds=0.1 if small else 5.0)
    # Both builds are a package named `mmcv`, and Python imports the first one on its path. The folder stands
    # first in the second process, so that one gets the compiled operators; the first process gets the
    # installed, portable ones.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(native.resolve()), *sys.path])}

    def seconds(variables: Mapping[str, str]) -> float:
        return measure(case, variables).seconds["float32"]

    pairs = [(seconds(os.environ), seconds(environment)) for _ in range(rounds)]
    portable, compiled = map(list, zip(*pairs, strict=True))
    ratio = median_ratio(portable, compiled)
    yield ["detectors-r50", _median(compiled), _median(portable), f"{ratio:.2f}"]


def _swins(width: int, depths: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    with quiet():
        from cbnetv2.swin import SwinTransformer as Ours
        from mmdet.models.backbones.swin import SwinTransformer as Theirs
        from mmdet.models.backbones.swin import swin_converter
    torch.manual_seed(0)
    heads = SWIN_B["num_heads"]
    ours: Any = Ours(embed_dim=width, depths=depths, num_heads=heads, drop_path_rate=0.0)
    ours.init_weights()
    theirs: Any = Theirs(embed_dims=width, depths=depths, num_heads=heads, drop_path_rate=0.0)
    # mmdet's own converter reads checkpoints of the original Swin, whose names ours has. Both keep the table
    # that says which offset each pair of positions has ("relative_position_index"); it follows from the
    # window's size and is no weight, so it may differ in name.
    renamed = {
        key.removeprefix("backbone."): value for key, value in swin_converter(ours.state_dict()).items()
    }
    missing, unexpected = theirs.load_state_dict(renamed, strict=False)
    left = [key for key in (*missing, *unexpected) if "relative_position_index" not in key]
    if left:
        raise KitError(f"the Swin of mmdet does not fit our weights: {', '.join(left[:5])}")
    return ours, theirs


def _forward(module: nn.Module, x_NCHW: Tensor) -> None:
    module.eval()  # on a line of its own: the method of mmdet's class returns None
    with torch.inference_mode():
        module(x_NCHW)


def _backward(module: nn.Module, x_NCHW: Tensor) -> None:
    module.train()
    module.zero_grad()
    maps = module(x_NCHW)
    torch.autograd.backward(torch.stack([one.square().mean() for one in maps]).sum())


def _median(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}"
