"""Measure time and peak memory of one network in a new process.

`measure(case)` starts the process. It runs this file as a program, which reads a `Case` as JSON from stdin
and prints the `Result` as JSON.
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
from benchmarks.network_probes import channels_last, images, loss
from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build

SMALL_MATMUL = 256
"""`Case.matmul_side` where the figures mean nothing: does the benchmark itself work?"""
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A measurement of one network.

    Attributes:
        network: configuration for `kit.models.build`; the weights are random.
        height: rows of the images.
        width: columns of the images.
        batch: number of images.
        ways: "float32", "bfloat16" or "float16" (autocast), "channels_last" (float32; it changes the layout
            of the weights, so it must be the last one).
        step: "predict", or "train": losses, gradients and a step of SGD with momentum.
        device: "cpu" or "cuda".
        seconds: how long each way is repeated after one run to warm up; it runs at least once more.
        threads: number of CPU threads.
        matmul_side: rows and columns of the matrices whose product shows the limit of the hardware.
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
    matmul_side: int = 2048


@dataclass(frozen=True, kw_only=True)
class Result:
    """Times and memory of one network.

    Attributes:
        seconds: way -> median time of a step.
        peak_bytes: way -> peak memory of the whole process; on a GPU the peak that torch reserved there.
        matmul_flops: way -> floating-point operations per second of a large matrix product in the precision
            of the way, on the same device with the same threads: the practical limit of the hardware.
    """

    seconds: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    matmul_flops: Mapping[str, float]


def measure(case: Case, environment: Mapping[str, str] | None = None) -> Result:
    """Measure a case in a new process.

    Args:
        case: what to measure.
        environment: variables of the process; this process's by default.

    Raises:
        KitError: the process failed.
    """
    answer = call(
        "benchmarks.measure",
        asdict(case),
        what=str(case.network["network"]),
        fix="name the other networks with --only to measure without it",
        environment=environment,
    )
    return Result(**answer)


def _here(case: Case) -> Result:
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    module: Any = build(case.network)
    if case.step == "train":
        module = prepare(module, case.network).train()
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
    limits = {way: _matmul_flops(case, DTYPES.get(way, torch.float32)) for way in case.ways}
    return Result(seconds=seconds, peak_bytes=peaks, matmul_flops=limits)


@torch.inference_mode()
def _settle(module: Any, x_NCHW: Tensor) -> None:
    """Fit the batch norms to the images, so that a network with random weights detects something.

    Raises:
        KitError: an instance network still detects nothing.
    """
    # A new batch norm assumes mean 0 and variance 1, so it changes nothing. Where each layer of random
    # weights makes the activations 2 times as large, 30 layers make them 2 ** 30 times as large; the proposal
    # head then finds no box, and the heads behind it, much of the time, would not run at all. With momentum
    # 1.0 one pass through the network replaces the running statistics by those of these images.
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d | nn.SyncBatchNorm)):
        norm.train()
        norm.momentum = 1.0
    module(x_NCHW)
    module.eval()
    if module.spec.kind == "instance" and len(module.detect(x_NCHW)[0].scores) == 0:
        raise KitError("the network detects nothing with random weights, so its heads would not be measured")


def _prediction(module: Any, x_NCHW: Tensor, way: str) -> Callable[[], None]:
    @torch.inference_mode()
    def step() -> None:
        with torch.autocast(x_NCHW.device.type, DTYPES.get(way), enabled=way in DTYPES):
            module(x_NCHW)

    return step


def _training(module: Any, x_NCHW: Tensor, way: str) -> Callable[[], None]:
    device = x_NCHW.device.type
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1e-6, momentum=0.9)
    # The weights may hardly move: the step is repeated for seconds, and random weights at a usual learning
    # rate could soon give NaN. float16 ends at 65504 and loses gradients below 6e-8: the scaler multiplies
    # the loss by 512 before `backward` and divides the gradients again before the step.
    scaler = torch.amp.grad_scaler.GradScaler(device, init_scale=512.0, enabled=way == "float16")

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device, DTYPES.get(way), enabled=way in DTYPES):
            value = loss(module, x_NCHW)
        scaler.scale(value).backward()  # type: ignore[no-untyped-call]  # torch leaves it open
        scaler.step(optimiser)
        scaler.update()

    return step


def _median_seconds(step: Callable[[], object], device: str, budget: float) -> float:
    def timed() -> float:
        began = time.perf_counter()
        step()
        # A GPU works while Python goes on: without waiting, only the launch of the kernels would be timed.
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    timed()  # warm up: allocations, and choices that libraries make at the first call
    times = [timed()]
    while sum(times) < budget:
        times.append(timed())
    return statistics.median(times)


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        forget_peak()


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_reserved()
    return peak_bytes()


def _matmul_flops(case: Case, dtype: torch.dtype) -> float:
    # Each of the side ** 2 results takes `side` multiplications and as many additions: 2 * 2048 ** 3 = 17.2
    # GFLOP. A CPU that cannot multiply bfloat16 takes a minute for them.
    side = case.matmul_side
    left, right = torch.rand(2, side, side, device=case.device).to(dtype)
    return 2 * side**3 / _median_seconds(lambda: left @ right, case.device, 0.5)


if __name__ == "__main__":
    print(json.dumps(asdict(_here(Case(**json.load(sys.stdin))))))
