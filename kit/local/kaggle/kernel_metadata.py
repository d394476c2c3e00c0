"""What a kernel is asked to be: the request that saves it, made fresh and complete each time.

Metadata that was pulled from another notebook carries its private image and its settings; and a field that is
left out gets a default that differs between Kaggle's client and its documentation (internet!). So every field
is written here, and what Kaggle would refuse or silently change is refused before anything is sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.artefacts import read_text, sha256_bytes, sha256_json
from kit.errors import KitError
from kit.local.kaggle_limits import KERNEL_SOURCE_BYTES, KERNEL_TITLE_LENGTHS

GPU_PREFIX, TPU_PREFIX = "Nvidia", "Tpu"
RETIRED = {
    "NvidiaTeslaP100": "NvidiaTeslaT4",
    "TpuV38": "TpuV5E8",
    "Tpu1VmV38": "TpuV5E8",
    "TpuV232": "no accelerator",
    "TpuV2256": "no accelerator",
}
"""Accelerators that Kaggle silently replaces, and what a session gets instead (September 2026)."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_TITLE = re.compile(r"[A-Za-z0-9 -]+")
_WORD = re.compile(r"[a-z0-9]+")
_SOURCES = {
    "datasets": (re.compile(f"{_NAME}/{_NAME}"), "owner/name"),
    "models": (
        re.compile(rf"{_NAME}/{_NAME}/{_NAME}/{_NAME}/\d+"),
        "owner/model/framework/variation/version",
    ),
    "kernels": (re.compile(f"{_NAME}/{_NAME}"), "owner/name"),
    "competitions": (re.compile(_NAME), "the name in its address"),
}
_IMAGE = re.compile(r"[a-z0-9.-]+/\S+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel as it shall be on Kaggle.

    Attributes:
        owner: Kaggle user name.
        title: 5 to 50 letters, digits, spaces and hyphens. The address of a new kernel comes from it.
        source: the script (.py) or notebook (.ipynb).
        kind: of the source.
        datasets: "owner/name" each.
        models: "owner/model/framework/variation/version" each.
        competitions: names in their addresses.
        kernels: whose output is attached, "owner/name" each.
        accelerator: Kaggle's name of the machine, e.g. "NvidiaTeslaT4"; None for a CPU session.
        internet: whether the session may reach it.
        image: full container reference with digest; None for Kaggle's present default.
        private: whether only the owner sees it. Kaggle honours this at the first push only.
        timeout_s: seconds after which Kaggle ends the session; None for Kaggle's own limit.
    """

    owner: str
    title: str
    source: Path
    kind: Literal["script", "notebook"]
    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    competitions: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()
    accelerator: str | None = None
    internet: bool = False
    image: str | None = None
    private: bool = True
    timeout_s: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.owner):
            raise KitError(
                f"{self.owner!r} is no Kaggle user name",
                where="--owner",
                fix="use the name in your profile's URL",
            )
        slug(self.title)
        _check_accelerator(self.accelerator)
        _check_image(self.image)
        for name, (form, words) in _SOURCES.items():
            _check_sources(name, getattr(self, name), form, words)

    @property
    def id(self) -> str:
        """The kernel's address, "owner/name"."""
        return f"{self.owner}/{slug(self.title)}"


def slug(title: str) -> str:
    """Return the name that Kaggle gives a new kernel of this title: "Probe T4" gives "probe-t4".

    Kaggle cuts titles at 50 characters without a word and makes the name from what is left; the id in the
    request counts for existing kernels only. Only titles are taken for which all rules give the same name,
    that of Kaggle's own client (python-slugify) among them.

    Raises:
        KitError: the title is too short or too long, or has other characters than ASCII letters, digits,
            spaces and hyphens.
    """
    if len(title) not in KERNEL_TITLE_LENGTHS:
        raise KitError(
            f"the title {title!r} has {len(title)} characters; Kaggle takes 5 to 50 and cuts longer ones",
            where="--title",
            fix="give another --title",
        )
    made = "-".join(_WORD.findall(title.lower()))
    if not _TITLE.fullmatch(title) or len(made) < KERNEL_TITLE_LENGTHS.start:
        raise KitError(
            f"the name that Kaggle makes of the title {title!r} is not certain",
            where="--title",
            fix="use ASCII letters, digits, spaces and hyphens only",
        )
    return made


def source_text(kernel: Kernel) -> str:
    """Return the text of a kernel as the server takes it; outputs of a notebook's cells are left out.

    Raises:
        KitError: the file cannot be read, is no notebook, or is too large for Kaggle.
    """
    try:
        text = read_text(kernel.source)
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"the kernel's source cannot be read: {error}", where=kernel.source, fix="render it again"
        ) from error
    if kernel.kind == "notebook":
        text = _notebook_text(text, kernel.source)
    if (size := len(text.encode())) >= KERNEL_SOURCE_BYTES:
        raise KitError(
            f"the kernel's source has {size} bytes; Kaggle takes fewer than {KERNEL_SOURCE_BYTES}",
            where=kernel.source,
            fix="choose fewer members and render again",
        )
    return text


def request(kernel: Kernel, text: str) -> dict[str, Any]:
    """Return the fields of the call SaveKernel, all written.

    Args:
        kernel: what is wanted.
        text: its source, of `source_text`.
    """
    machine = kernel.accelerator or ""
    fields: dict[str, Any] = {
        "slug": kernel.id,
        "newTitle": kernel.title,
        "text": text,
        "language": "python",
        "kernelType": kernel.kind,
        "isPrivate": kernel.private,
        # Kaggle's documentation calls these two old and asks for machineShape; servers of both ages are told
        # the same.
        "enableGpu": machine.startswith(GPU_PREFIX),
        "enableTpu": machine.startswith(TPU_PREFIX),
        "enableInternet": kernel.internet,
        "datasetDataSources": list(kernel.datasets),
        "competitionDataSources": list(kernel.competitions),
        "kernelDataSources": list(kernel.kernels),
        "modelDataSources": list(kernel.models),
        "categoryIds": [],
        "kernelExecutionType": "SAVE_AND_RUN_ALL",
    }
    optional = {
        "machineShape": kernel.accelerator,
        "dockerImage": kernel.image,
        "sessionTimeoutSeconds": kernel.timeout_s,
    }
    return fields | {name: value for name, value in optional.items() if value is not None}


def request_identity(fields: dict[str, Any]) -> str:
    """Return the sha256 of everything that a request asks for, source included."""
    return sha256_json(fields)


def text_identity(text: str) -> str:
    """Return the sha256 of a source as it comes back: line ends and spaces at the end do not count."""
    # The web editor and the server change line ends; a notebook's JSON comes back with other spaces.
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict) and "cells" in value:
        return sha256_json(value)
    return sha256_bytes("\n".join(line.rstrip() for line in text.splitlines()).strip().encode())


def _notebook_text(text: str, where: Path) -> str:
    try:
        body = json.loads(text)
        cells = body["cells"]
        for cell in cells:
            if cell["cell_type"] == "code":
                cell["outputs"] = []
            # nbformat allows a list of lines; the server takes one text only.
            if isinstance(cell.get("source"), list):
                cell["source"] = "".join(cell["source"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KitError(f"this is no notebook: {error}", where=where, fix="render it again") from error
    return json.dumps(body)


def _check_accelerator(name: str | None) -> None:
    if name is None:
        return
    instead = {old.lower(): new for old, new in RETIRED.items()}.get(name.lower())
    if instead is not None:
        raise KitError(
            f"Kaggle has no {name} any more; the session would silently get {instead}",
            where="--accelerator",
            fix="ask for NvidiaTeslaT4 or cpu",
        )
    if not re.fullmatch(r"(Nvidia|Tpu)[A-Za-z0-9]+", name):
        raise KitError(
            f"{name!r} is not the name of an accelerator on Kaggle",
            where="--accelerator",
            fix="write it as Kaggle does: NvidiaTeslaT4, NvidiaL4, TpuV5E8, ...; or cpu",
        )


def _check_image(image: str | None) -> None:
    if image is None:
        return
    if not _IMAGE.fullmatch(image):
        raise KitError(
            f"{image!r} names no image for certain: a tag may be another image tomorrow",
            where="--image",
            fix="give the full reference with its digest, as `probe` finds it: .../python@sha256:...",
        )
    if "private-byod" in image:
        raise KitError(
            f"{image!r} is the private name of an image; Kaggle refuses it with an empty 403",
            where="--image",
            fix="write kaggle-gpu-images or kaggle-images for kaggle-private-byod; keep the digest",
        )


def _check_sources(kind: str, names: Sequence[str], form: re.Pattern[str], words: str) -> None:
    for name in names:
        if not form.fullmatch(name):
            raise KitError(f"{name!r} cannot be attached to a kernel", where=kind, fix=f"its form is {words}")
    if len(set(names)) != len(names):
        raise KitError(f"one of {', '.join(names)} is attached twice", where=kind, fix="name it once")
