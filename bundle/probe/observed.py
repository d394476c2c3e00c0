"""What a probe saw becomes a target: what it did not see is null, and a note says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.targets import Gpu, Target, marker_environment
from kit.typed_json import Checked, from_plain

SCHEMA = 1
_MANYLINUX = re.compile(r"manylinux_2_(\d+)_")
_OLDEST_ACCEPTED = "2.28"
"""glibc that targets take wheels for where the image's own is not known: the oldest of torch's own wheels."""


@dataclass(frozen=True, kw_only=True)
class TorchGpu(Checked):
    """A GPU as torch sees it; `computes` is the result of a real operation on it."""

    name: str
    compute_capability: str
    memory_bytes: int
    computes: bool
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Torch(Checked):
    """What torch says of itself; with a `problem` it said nothing."""

    version: str | None = None
    cuda: str | None = None
    arch_list: list[str] = field(default_factory=list)
    gpus: list[TorchGpu] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Disk(Checked):
    """The disk behind a folder."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, kw_only=True)
class Observed(Checked):
    """`observed.json` of `probe_kernel.py`; its functions say what each field is."""

    kind: str
    date: str
    python: str
    implementation: str
    machine: str
    tags: list[str]
    glibc: str | None
    freeze: dict[str, str]
    requires: dict[str, list[str]]
    torch: Torch
    driver: str | None
    ram_bytes: int | None
    cores: int | None
    disks: dict[str, Disk | None]
    image: str | None
    run_type: str | None
    git_commit: str | None
    build_date: str | None
    environment: list[str]
    mounts: list[str]
    tools: dict[str, bool]


def load(path: Path) -> Observed:
    """Read observed.json.

    Raises:
        KitError: it is missing or damaged, or of another version of the kit.
    """
    return from_plain(Observed, read_json(path), where=path, fix="run the probe again", schema=SCHEMA)


def to_target(seen: Observed, name: str, like: Sequence[Target]) -> Target:
    """Return the target that a probe describes.

    Args:
        seen: what it saw.
        name: of the target.
        like: the known targets. What is never shipped, and which packages a simulated image has, are
            decisions of the kit and not facts of an image, so they are taken from these.

    Raises:
        KitError: the Python is not CPython, or its version is no version.
    """
    if seen.implementation != "CPython":
        raise KitError(
            f"the Python there is {seen.implementation}, and the kit's wheels are for CPython",
            fix="probe an image with CPython",
        )
    working = [gpu for gpu in seen.torch.gpus if gpu.computes]
    notes = [f"Seen by a probe on {seen.date}{_where(seen)}; what it could not see is null."]
    if seen.torch.problem is not None:
        notes.append(f"torch could not be asked: {seen.torch.problem.strip().splitlines()[-1]}")
    notes += [
        f"GPU {number} ({gpu.name}) does not compute: {gpu.problem}"
        for number, gpu in enumerate(seen.torch.gpus)
        if not gpu.computes
    ]
    if seen.disks:
        notes.append(
            "Disk sizes are those of the disk behind a folder; a session's share of it may be smaller."
        )
    on_kaggle = seen.run_type is not None or seen.image is not None
    facts = {
        "notes": notes,
        "machine": seen.machine,
        "glibc": seen.glibc or _glibc_of_tags(seen.tags) or _OLDEST_ACCEPTED,
        "gpus": _gpus(working),
        "image": seen.image,
        "accelerator": ("gpu" if seen.torch.gpus or seen.driver else "cpu") if on_kaggle else None,
        "driver": seen.driver,
        "torch_arch": seen.torch.arch_list or None,
        "ram_gb": None if seen.ram_bytes is None else round(seen.ram_bytes / 1e9, 1),
        "cores": seen.cores,
        "disks": {path: round(disk.total_bytes / 1e9, 1) for path, disk in seen.disks.items() if disk}
        or None,
        "requires": {key: sorted(needs) for key, needs in seen.requires.items()},
        "observed": seen.date,
        "source": "probe",
    }
    target = _target(name, seen.python, seen.freeze, like, facts)
    return target if seen.torch.cuda is None else replace(target, cuda=seen.torch.cuda)


def from_freeze(
    freeze: Mapping[str, str],
    unknown: Sequence[str],
    *,
    name: str,
    python: str,
    like: Sequence[Target],
    source: str,
) -> Target:
    """Return the target that a list of packages describes; everything else of it is null.

    Args:
        freeze: name -> version.
        unknown: names without a version.
        name: of the target.
        python: version of its Python, which such a list does not tell.
        like: as in `to_target`.
        source: who made the list.

    Raises:
        KitError: `python` is no version.
    """
    notes = [
        (
            f"Packages: {source}. Such a list says nothing of glibc (taken as {_OLDEST_ACCEPTED}), GPUs, "
            "memory, disks and the image's digest; `probe` finds them out."
        )
    ]
    if unknown:
        notes.append(f"Installed from a folder or a repository, version unknown: {', '.join(unknown)}.")
    facts = {
        "notes": notes,
        "machine": "x86_64",
        "glibc": _OLDEST_ACCEPTED,
        "gpus": [],
        "image": None,
        "source": source,
    }
    return _target(name, python, freeze, like, facts)


def _target(
    name: str, python: str, freeze: Mapping[str, str], like: Sequence[Target], facts: Mapping[str, Any]
) -> Target:
    marker_environment(python)
    # "2.11.0+cu128" is torch 2.11.0 built for CUDA 12.8; wheels ask for the public version.
    public = {key: version.partition("+")[0] for key, version in freeze.items()}
    kept = {key for target in like for key in target.image_has} & freeze.keys()
    return Target(
        name=name,
        python=python,
        tag="cp" + "".join(python.split(".")[:2]),
        since="",
        until="",
        torch=public.get("torch"),
        torchvision=public.get("torchvision"),
        numpy=public.get("numpy"),
        cuda=_cuda_of_build(freeze.get("torch", "")),
        freeze=dict(sorted(freeze.items())),
        never_ship=list(dict.fromkeys(pattern for target in like for pattern in target.never_ship)),
        image_has={key: public[key] for key in sorted(kept)},
        **facts,
    )


def _where(seen: Observed) -> str:
    facts = (("image", seen.image), ("built", seen.build_date), ("commit", seen.git_commit))
    known = [f"{name} {value}" for name, value in facts if value]
    return f" ({', '.join(known)})" if known else ""


def _glibc_of_tags(tags: Sequence[str]) -> str | None:
    """The newest glibc that the tags allow: "cp313-cp313-manylinux_2_35_x86_64" gives "2.35"."""
    found = [int(match.group(1)) for tag in tags if (match := _MANYLINUX.search(tag))]
    return f"2.{max(found)}" if found else None


def _gpus(found: Sequence[TorchGpu]) -> list[Gpu]:
    # Two T4 are one line with count 2, as the other targets have it.
    kinds: dict[tuple[str, str], int] = {}
    for gpu in found:
        key = (gpu.name.removeprefix("NVIDIA ").removeprefix("Tesla "), gpu.compute_capability)
        kinds[key] = kinds.get(key, 0) + 1
    return [Gpu(name=name, count=count, compute_capability=cc) for (name, cc), count in kinds.items()]


def _cuda_of_build(version: str) -> str | None:
    """CUDA of a torch version's build tag: "2.11.0+cu128" gives "12.8", "2.11.0+cpu" and "2.11.0" None."""
    match = re.search(r"\+cu(\d+)(\d)$", version)
    return f"{match.group(1)}.{match.group(2)}" if match else None
