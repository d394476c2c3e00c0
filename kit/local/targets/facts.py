"""What is known of a target and what is not, one fact a row of the table that `bundle targets` prints."""

from __future__ import annotations

from dataclasses import dataclass

from kit.local.targets import Target
from kit.local.wording import counted

NOT_KNOWN = "not known"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact of a target.

    Attributes:
        name: what it is, in a few words.
        value: as text; None if it is not known.
    """

    name: str
    value: str | None


def facts(target: Target) -> list[Fact]:
    """Return the facts of a target in a fixed order, the unknown ones too.

    A GPU's facts (driver, CUDA, GPUs, kernels) are left out where the sessions have none.
    """
    listed = [
        # A version without its patch level is not the whole version: "3.13" says nothing of 3.13.15.
        Fact(name="Python", value=target.python),
        Fact(name="wheel tag", value=target.tag),
        Fact(name="newest glibc of wheels", value=target.glibc),
        *(
            Fact(name=name, value=getattr(target, name) or target.packages().get(name))
            for name in ("torch", "torchvision", "numpy")
        ),
    ]
    if target.accelerator != "cpu":
        gpus = ", ".join(f"{gpu.name} x{gpu.count} (sm_{_sm(gpu.compute_capability)})" for gpu in target.gpus)
        listed += [
            Fact(name="CUDA of torch", value=target.cuda),
            Fact(name="kernels of torch", value=_joined(target.torch_arch)),
            Fact(name="driver", value=target.driver),
            Fact(name="GPUs", value=gpus or None),
        ]
    disks = [f"{folder} {size:g} GB" for folder, size in (target.disks or {}).items()]
    return [
        *listed,
        Fact(name="memory", value=None if target.ram_gb is None else f"{target.ram_gb:g} GB"),
        Fact(name="cores", value=None if target.cores is None else str(target.cores)),
        Fact(name="disks", value=_joined(disks)),
        Fact(name="container", value=target.image),
        Fact(
            name="pip freeze",
            value=None if target.freeze is None else counted(len(target.freeze), "distribution"),
        ),
        Fact(name="seen", value=target.observed),
        Fact(name="source", value=target.source),
    ]


def _sm(compute_capability: str) -> str:
    return compute_capability.replace(".", "")


def _joined(items: list[str] | None) -> str | None:
    return ", ".join(items) if items else None
