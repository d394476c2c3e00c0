"""Our code beside the library's that does the same, in alternating runs."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import Case, measure
from kit.errors import KitError
from kit.models import tiny
from kit.models.openmmlab import quiet

SWIN_HEAD = ("Swin", "pass", "mmdet s", "cbnetv2 s", "mmdet / cbnetv2")
DETECTORS_HEAD = ("network", "native s", "portable s", "portable / native")
SWIN_B = {"depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)}


def swin_rows(*, size: int, rounds: int, small: bool) -> Iterator[list[str]]:
    """Rows under `SWIN_HEAD`: our Swin and mmdet's with the same weights, forward and with gradients.

    Args:
        size: side of the square image in pixels.
        rounds: of one run each.
        small: two blocks a stage and an eighth of the width.

    Raises:
        KitError: the two do not give the same maps, so their times would mean nothing.
    """
    width = 16 if small else 128
    depths = (2, 2, 2, 2) if small else SWIN_B["depths"]
    ours, theirs = _swins(width, depths)
    x_NCHW = torch.randn(1, 3, size, size)
    with torch.no_grad():
        for one, other in zip(ours(x_NCHW), theirs(x_NCHW), strict=True):
            if not torch.allclose(one, other, rtol=1e-3, atol=1e-3):
                raise KitError("cbnetv2's Swin and mmdet's give different maps for the same weights")
    name = f"C = {width}, blocks {'/'.join(map(str, depths))}"
    for label, run in (("forward", _forward), ("forward + backward", _backward)):
        mine, peer = _alternate(partial(run, ours, x_NCHW), partial(run, theirs, x_NCHW), rounds)
        ratio = statistics.median(b / a for a, b in zip(mine, peer, strict=True))
        yield [name, label, _shown(peer), _shown(mine), f"{ratio:.2f}"]


def detectors_rows(native: Path | None, *, size: int, rounds: int, small: bool) -> Iterator[list[str]]:
    """Rows under `DETECTORS_HEAD`: DetectoRS-R50 in prediction with portable and with compiled operators.

    Args:
        native: folder of an unpacked wheel of `python -m bundle wheel mmcv --native`, or None.
        size: side of the square image in pixels.
        rounds: of one process each.
        small: the tiny form.

    Raises:
        KitError: the folder holds no compiled operators.
    """
    if native is None:
        yield ["detectors-r50", "not built", "", ""]
        return
    if not list(native.glob("mmcv/_native*.so")):
        raise KitError(
            "no compiled operators", where=native, fix="unpack the wheel of `bundle wheel mmcv --native`"
        )
    config = tiny("detectors-r50") if small else {"network": "detectors-r50"}
    case = Case(network=config, height=size, width=size, seconds=0.1 if small else 5.0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(native.resolve()), *sys.path])}

    def seconds(variables: Mapping[str, str]) -> float:
        return measure(case, variables).seconds["float32"]

    pairs = [(seconds(os.environ), seconds(environment)) for _ in range(rounds)]
    portable, compiled = map(list, zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    yield ["detectors-r50", _shown(compiled), _shown(portable), f"{ratio:.2f}"]


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
    renamed = {
        key.removeprefix("backbone."): value for key, value in swin_converter(ours.state_dict()).items()
    }
    missing, unexpected = theirs.load_state_dict(renamed, strict=False)
    left = [key for key in (*missing, *unexpected) if "relative_position_index" not in key]
    if left:
        raise KitError(f"mmdet's Swin does not take our weights: {', '.join(left[:5])}")
    return ours, theirs


def _forward(module: nn.Module, x_NCHW: Tensor) -> None:
    module.eval()  # mmdet's returns nothing
    with torch.inference_mode():
        module(x_NCHW)


def _backward(module: nn.Module, x_NCHW: Tensor) -> None:
    module.train()
    module.zero_grad()
    maps = module(x_NCHW)
    torch.autograd.backward(torch.stack([one.square().mean() for one in maps]).sum())


def _alternate(
    mine: Callable[[], None], peer: Callable[[], None], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each run after one to warm up; the order changes from round to round."""
    times: dict[Callable[[], None], list[float]] = {mine: [], peer: []}
    for number in range(rounds + 1):
        for step in (mine, peer) if number % 2 else (peer, mine):
            began = time.perf_counter()
            step()
            times[step].append(time.perf_counter() - began)
    return times[mine][1:], times[peer][1:]


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f}"
