"""For what a library of compiled operators is made: Python, torch, CUDA, and the GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kit.local.targets import Target


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a compiled library fits.

    Attributes:
        machine: hardware name, e.g. "x86_64".
        tag: of the Python, e.g. "cp312".
        torch: its minor version, e.g. "2.11": torch's C++ interface changes with each.
        cuda: version that torch was built for, e.g. "12.8"; None: operators of the CPU alone.
        archs: compute capabilities that the library has code for, oldest first, e.g. ("7.5", "9.0").
    """

    machine: str
    tag: str
    torch: str
    cuda: str | None
    archs: tuple[str, ...]

    @property
    def module(self) -> str:
        """Name of the module in the wheel, which `mmcv._ext` looks for: "_native_torch2_11_cu12_8"."""
        device = "cpu" if self.cuda is None else "cu" + self.cuda.replace(".", "_")
        return f"_native_torch{self.torch.replace('.', '_')}_{device}"

    @property
    def arch_list(self) -> str:
        """TORCH_CUDA_ARCH_LIST: code for these GPUs, and for later ones code that their driver compiles."""
        return ";".join(self.archs) + "+PTX" if self.archs else ""

    def __str__(self) -> str:
        device = "CPU" if self.cuda is None else f"CUDA {self.cuda} ({self.arch_list})"
        return f"Python 3.{self.tag.removeprefix('cp3')}, torch {self.torch}, {device}"


def variant_of(target: Target) -> Variant | str:
    """Return what a target needs, or which of its facts is missing for that, in half a sentence."""
    if target.torch is None:
        return "its torch is not known"
    torch = ".".join(target.torch.split(".")[:2])
    if target.accelerator == "cpu" or (target.cuda is None and not target.gpus):
        return Variant(machine=target.machine, tag=target.tag, torch=torch, cuda=None, archs=())
    if target.cuda is None:
        return "the CUDA version of its torch is not known"
    archs = _archs(target)
    if not archs:
        return "neither its GPUs nor the kernels of its torch are known"
    return Variant(machine=target.machine, tag=target.tag, torch=torch, cuda=target.cuda, archs=archs)


def _archs(target: Target) -> tuple[str, ...]:
    """Return the compute capabilities of the sessions' GPUs that torch runs on, or else those of torch."""
    # "sm_75" -> "7.5", "sm_120" -> "12.0", "sm_90a" -> "9.0"; "compute_90" is code for later GPUs.
    named = (re.fullmatch(r"sm_(\d+)(\d)[a-z]?", name) for name in target.torch_arch or ())
    torch = {f"{match[1]}.{match[2]}" for match in named if match}
    gpus = {gpu.compute_capability for gpu in target.gpus}
    # T4 is 7.5: a torch whose list begins with 8.0 does not run there, so code for it would be of no use.
    chosen = {gpu for gpu in gpus if not torch or gpu in torch or any(_same(gpu, arch) for arch in torch)}
    return tuple(sorted(chosen or torch, key=lambda arch: tuple(map(int, arch.split(".")))))


def _same(gpu: str, arch: str) -> bool:
    """Return whether code for `arch` runs on a GPU: 8.0 runs on 8.6, but neither 8.6 nor 7.5 on 8.0."""
    major, minor = map(int, gpu.split("."))
    other_major, other_minor = map(int, arch.split("."))
    return major == other_major and other_minor <= minor
