"""Time and peak memory of one network, in a process of its own.

`measure(case)` starts the process; as a program this file reads a `Case` as JSON and prints the `Result`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.child import call, forget_peak, peak_bytes
from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build
from tests.kit.models.probing import channels_last, images, loss

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured.

    Attributes:
        network: as `kit.models.build` takes it; random weights.
        height: of the images, in pixels.
        width: of the images, in pixels.
        batch: number of images.
        ways: "float32", "bfloat16" or "float16" (autocast), "channels_last" (float32; has to be the last of
            them, because it changes the weights' layout).
        step: "predict", or "train": losses, gradients and a step of SGD with momentum.
        device: "cpu" or "cuda".
        seconds: each way is repeated for so long after one run to warm up, once at least.
        threads: of the CPU.
    """

    network: Mapping[str, Any]
    height: int
    width: int
    batch: int = 1
    ways: Sequence[str] = ("float32",)
    step: str = "predict"
    device: str = "cpu"
    seconds: float = 5.0
    threads: int = 2


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was found.

    Attributes:
        seconds: way -> median time of a step.
        peak_bytes: way -> most memory of the whole process, or that torch took from the GPU.
        matmul_flops: way -> operations a second of a large matrix product in its precision, on the same
            device and threads.
    """

    seconds: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    matmul_flops: Mapping[str, float]


def measure(case: Case, environment: Mapping[str, str] | None = None) -> Result:
    """Measure in a new process.

    Args:
        case: what.
        environment: of the process; this one's by default.

    Raises:
        KitError: the process failed.
    """
    answer = call(
        "benchmarks.measure",
        asdict(case),
        what=str(case.network["network"]),
        fix="see --only to go on without it",
        environment=environment,
    )
    return Result(**answer)


def _here(case: Case) -> Result:
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    module: Any = build(case.network)
    if case.step == "train":
        prepare(module, case.network).train()
    else:
        module.eval()
    module.to(case.device)
    x_NCHW = images(case.batch, case.height, case.width).to(case.device)
    if case.step == "predict":
        _settle(module, x_NCHW)
    seconds, peaks = {}, {}
    for way in case.ways:
        x_way = x_NCHW
        if way == "channels_last":
            channels_last(module)
            x_way = x_NCHW.contiguous(memory_format=torch.channels_last)
        step = _training(module, x_way, way) if case.step == "train" else _prediction(module, x_way, way)
        _forget_peak(case.device)
        seconds[way] = _median_seconds(step, case.device, case.seconds)
        peaks[way] = _peak_bytes(case.device)
    limits = {way: _matmul_flops(case.device, DTYPES.get(way, torch.float32)) for way in case.ways}
    return Result(seconds=seconds, peak_bytes=peaks, matmul_flops=limits)


@torch.inference_mode()
def _settle(module: Any, x_NCHW: Tensor) -> None:
    """Batch norms learn the images' statistics: fresh ones let activations grow until nothing is detected."""
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d | nn.SyncBatchNorm)):
        norm.train()
        norm.momentum = 1.0
    module(x_NCHW)
    module.eval()
    if module.spec.kind == "instance" and len(module.detect(x_NCHW)[0].scores) == 0:
        raise KitError("random weights detected nothing, so its heads would go unmeasured")


def _prediction(module: Any, x_NCHW: Tensor, way: str) -> Callable[[], Any]:
    @torch.inference_mode()
    def step() -> None:
        with torch.autocast(x_NCHW.device.type, DTYPES.get(way), enabled=way in DTYPES):
            module(x_NCHW)

    return step


def _training(module: Any, x_NCHW: Tensor, way: str) -> Callable[[], Any]:
    device = x_NCHW.device.type
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1e-6, momentum=0.9)
    scaler = torch.amp.grad_scaler.GradScaler(device, init_scale=512.0, enabled=way == "float16")

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device, DTYPES.get(way), enabled=way in DTYPES):
            value = loss(module, x_NCHW)
        scaler.scale(value).backward()
        scaler.step(optimiser)
        scaler.update()

    return step


def _median_seconds(step: Callable[[], Any], device: str, budget: float) -> float:
    def timed() -> float:
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    timed()
    runs = [timed()]
    while sum(runs) < budget:
        runs.append(timed())
    return statistics.median(runs)


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        forget_peak()


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_reserved()
    return peak_bytes()


def _matmul_flops(device: str, dtype: torch.dtype, side: int = 2048) -> float:
    left, right = torch.rand(2, side, side, device=device).to(dtype)
    return 2 * side**3 / _median_seconds(lambda: left @ right, device, 0.5)


if __name__ == "__main__":
    print(json.dumps(asdict(_here(Case(**json.load(sys.stdin))))))
