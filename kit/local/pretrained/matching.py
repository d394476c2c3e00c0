"""Match the state dicts of a checkpoint with a network: by names and shapes first, then with their values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.local.pretrained import state_dicts
from kit.local.pretrained.checkpoint_formats import CheckpointFormat, Reset, recognise
from kit.local.pretrained.read import no_tensors
from kit.local.pretrained.registry import by_file
from kit.local.pretrained.renaming import Tensors
from kit.local.pretrained.report import Report
from kit.local.pretrained.state_dicts import Candidate
from kit.models import build

SEED = 0
"""Seed of the random values of reset tensors: the same checkpoint always gives the same bytes."""
_NUMBERED = ("running_mean", "running_var")
_SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Fit:
    """How well one state dict of a checkpoint fits a network.

    Attributes:
        candidate: the state dict.
        format: that its names have.
        report: of the match, made from names and shapes alone.
        threshold: share that has to load.
    """

    candidate: Candidate
    format: CheckpointFormat
    report: Report
    threshold: float

    @property
    def share(self) -> float:
        """The smaller of both shares: of the network that is filled, of the checkpoint that is used."""
        return min(self.report.share, self.report.used)

    @property
    def fits(self) -> bool:
        """Whether enough loads."""
        return self.share >= self.threshold


def ranked(
    value: Any,
    wanted: Mapping[str, Tensor],
    path: Path,
    *,
    mean: bool = False,
    least: float | None = None,
    take: str | None = None,
) -> list[Fit]:
    """Match every state dict of a checkpoint with a network by names and shapes, and sort: the best first.

    Args:
        value: of the opened file.
        wanted: the network's state dict; shapes and types are enough.
        path: of the file.
        mean: prefer a running mean of the weights to the weights.
        least: share that has to load, instead of the format's own.
        take: label of the only one to look at.

    Raises:
        KitError: the file has no named tensors, or none under `take`.
    """
    candidates = state_dicts.find(value, wanted)
    if take is not None:
        labels = dict.fromkeys(candidate.label for candidate in candidates)
        candidates = [candidate for candidate in candidates if candidate.label == take]
        if labels and not candidates:
            raise KitError(
                f"the file has no weights under {take!r}", where=path, fix=f"use one of: {', '.join(labels)}"
            )
    if not candidates:
        raise no_tensors(path)
    entry = by_file(path.name)
    fits, failed = [], None
    for candidate in candidates:
        form = recognise(candidate.tensors)
        # The command line decides first, then the registry's entry for this file, then the format.
        threshold = least if least is not None else (entry.least if entry else None) or form.least
        given = {name: tensor.meta() for name, tensor in candidate.tensors.items()}
        try:
            _, report = match(form, given, wanted, "")
        except KitError as error:
            failed = error
            continue
        fits.append(Fit(candidate, form, report, threshold))
    if not fits:
        assert failed is not None, "there is a candidate"
        raise KitError(failed.problem, where=path, fix=failed.fix)
    # What fits comes first, the weights before their running mean. A tenth of a per cent more (a counter
    # that only one of them has) does not decide; then the outermost is taken.
    return sorted(
        fits,
        key=lambda fit: (
            not fit.fits,
            fit.fits and fit.candidate.mean != mean,
            -round(fit.share, 2),
            fit.candidate.depth,
            -fit.candidate.numel,
        ),
    )


def unpacked_limit(wanted: Mapping[str, Tensor]) -> int:
    """Return the most bytes that a checkpoint of a network may have unpacked.

    A checkpoint may hold the weights, their running mean and two moments of an optimiser, in double
    precision; published files also have index tables. The rest is for heads with many classes.
    """
    size = sum(value.numel() * value.element_size() for value in wanted.values())
    return 8 * size + _SPARE_BYTES


def shapes(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict of a network without values: names, shapes and types."""
    with torch.device("meta"):
        return build(config).network.state_dict()


def match(
    checkpoint_format: CheckpointFormat, given: Tensors, wanted: Mapping[str, Tensor], network: str
) -> tuple[Tensors, Report]:
    """Match the tensors of a checkpoint with those of a network.

    Args:
        checkpoint_format: of the checkpoint.
        given: the checkpoint's tensors by its own names.
        wanted: the network's state dict; shapes and types are enough.
        network: registered name of the network, for the report.

    Returns:
        The tensors of the part of the network that this format fills, by the network's names; and the report.

    Raises:
        KitError: the file has another format than its names promised, or a package that renames is missing.
    """
    try:
        renamed = checkpoint_format.rename(given, wanted)
    except ValueError as error:
        raise KitError(
            f"this is not a {checkpoint_format.name} checkpoint after all: {error}",
            fix="name the network that the checkpoint was made for, with --network",
        ) from error
    except ImportError as error:
        raise KitError(
            f"a {checkpoint_format.name} checkpoint cannot be converted without {error.name}",
            fix="install it: `python -m bundle wheel` builds our own packages, pip has the others",
        ) from error
    groups: dict[str, list[str]] = {
        key: [] for key in ("loaded", "resized", "reset", "reshaped", "missing", "unexpected", "dropped")
    }
    tensors: Tensors = {}
    values = filled = 0
    for name, target in wanted.items():
        if not checkpoint_format.fills(name):
            continue
        group, line, value = _take(checkpoint_format, name, target, renamed)
        groups[group].append(line)
        if value is not None:
            tensors[name] = value.to(target.dtype).contiguous()
        # The share counts what training would change: neither reset heads nor the statistics of batch norms.
        if group != "reset" and target.is_floating_point() and not name.endswith(_NUMBERED):
            values += target.numel()
            filled += target.numel() if value is not None else 0
    for name in sorted(renamed.keys() - wanted.keys()):
        groups["dropped" if checkpoint_format.dropped(name) else "unexpected"].append(name)
    groups["unexpected"] += sorted(
        name for name in renamed.keys() & wanted.keys() if not checkpoint_format.fills(name)
    )
    unused = sum(renamed[name].numel() for name in groups["unexpected"])
    report = Report(
        kind=checkpoint_format.name,
        network=network,
        taken=state_dicts.WHOLE,
        others=(),
        part=checkpoint_format.part,
        values=values,
        filled=filled,
        unused=unused,
        **groups,
    )
    return tensors, report


def _take(
    checkpoint_format: CheckpointFormat, name: str, target: Tensor, renamed: Tensors
) -> tuple[str, str, Tensor | None]:
    """Return a tensor's group in the report, its line there, and its value; None keeps the network's own."""
    # Conversion of a COCO detector (81 outputs) for 1 class:
    #   backbone.conv1.weight          loaded
    #   bbox_head.0.fc_cls.weight      reset     "... (normal, std 0.01; (81, 1024) -> (2, 1024))"
    #   a table of relative positions  resized   "... (169, 4) -> (729, 4)"
    value, reset = renamed.get(name), checkpoint_format.reset(name, renamed.keys())
    if value is not None and target.is_floating_point() and not value.is_floating_point():
        # Weights of 8 bits lack their scale here: as they are, they would be 100 times too large.
        return "reshaped", f"{name} ({value.dtype} instead of {target.dtype})", None
    if value is not None and value.shape == target.shape:
        return "loaded", name, value
    change = "" if value is None else f"{tuple(value.shape)} -> {tuple(target.shape)}"
    if value is not None and (fitted := checkpoint_format.fit(name, value, target)) is not None:
        return "resized", f"{name} {change}", fitted
    if reset is not None:
        return (
            "reset",
            f"{name} ({'; '.join(filter(None, (str(reset), change)))})",
            _begin(reset, name, target),
        )
    return ("missing", name, None) if value is None else ("reshaped", f"{name} {change}", None)


def _begin(reset: Reset, name: str, target: Tensor) -> Tensor:
    """Return the first values of a tensor. Random values depend on the tensor's name and `SEED` only."""
    tensor = torch.zeros(target.shape, dtype=target.dtype)
    digest = hashlib.sha256(f"{SEED} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    if reset.draw == "one":
        tensor.fill_(1)
    elif reset.draw == "normal":
        tensor.normal_(0, reset.std, generator=generator)
    elif reset.draw == "kaiming":
        nn.init.kaiming_normal_(tensor, mode="fan_out", nonlinearity="relu", generator=generator)
    return tensor
