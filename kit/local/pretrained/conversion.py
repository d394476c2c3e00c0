"""Convert a published checkpoint into a safetensors file with the names and shapes of one of our networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.artefacts import atomic_file, canonical_json, sha256_file, sha256_json
from kit.errors import KitError
from kit.local.pretrained.checkpoint_formats import CheckpointFormat, Reset, recognise
from kit.local.pretrained.read import read_tensors
from kit.local.pretrained.registry import by_file
from kit.local.pretrained.renaming import Tensors
from kit.local.pretrained.report import Report
from kit.models import build, names

HEADER = "pretrained"
"""Key of the file's metadata; its value is JSON that says what the file was made from, and how."""
SCHEMA = 1
SEED = 0
"""Seed of the random values of reset tensors: the same checkpoint always gives the same bytes."""
_NUMBERED = ("running_mean", "running_var")
_WORTH_NAMING = 0.5
"""Share from which an error message recommends another network for the checkpoint."""


def convert(
    path: Path,
    config: Mapping[str, Any],
    out: Path,
    *,
    mean: bool = False,
    least: float | None = None,
    among: Iterable[str] | None = None,
) -> Report:
    """Write the tensors that a checkpoint gives to a network as safetensors, atomically.

    The file holds the part of the network that a checkpoint of this format fills. A head with another number
    of classes gets new values by a declared rule. Equal inputs give equal bytes.

    Args:
        path: the checkpoint, see `read_tensors` for the formats.
        config: the network's plain dict for `kit.models.build`.
        out: file to write.
        mean: take the running mean of the weights if the checkpoint has one.
        least: share from 0 to 1 that has to load, instead of the format's own.
        among: names of the networks to try if too little loads, so that the message can recommend one; by
            default all registered networks.

    Returns:
        A report that says what became of every tensor.

    Raises:
        KitError: the checkpoint cannot be read or belongs to another network, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    given = read_tensors(path, mean=mean)
    checkpoint_format = recognise(given)
    wanted = shapes(config)
    tensors, report = match(checkpoint_format, given, wanted, str(config["network"]))
    entry = by_file(path.name)
    # The command line decides first, then the registry's entry for this file, then the format.
    own = entry.least if entry and entry.least else checkpoint_format.least
    threshold = own if least is None else least
    if min(report.share, report.used) < threshold:
        raise _another(path, given, report, threshold, among=names() if among is None else among)
    header = {
        "schema": SCHEMA,
        "source": path.name,
        "source_sha256": sha256_file(path),
        "kind": checkpoint_format.name,
        "network": report.network,
        "config_sha256": sha256_json(dict(config)),
        "part": list(checkpoint_format.part),
        "share": round(report.share, 6),
        "mean": mean,
        "seed": SEED,
        "reset": list(report.reset),
        "missing": [
            name for name in wanted if name.startswith(checkpoint_format.part) and name not in tensors
        ],
    }
    try:
        with atomic_file(out) as temporary:
            save_file(_apart(tensors), temporary, metadata={HEADER: canonical_json(header)})
    except SafetensorError as error:
        raise KitError(
            f"cannot write {out.name}: {error}", where=out.parent, fix="free space on that disk"
        ) from error
    return report


def _apart(tensors: Tensors) -> Tensors:
    """Give each tensor memory of its own, which safetensors asks for; copy only where that is necessary."""
    # Two names may share one tensor: a ResNet goes into both passes of the pyramid. A tensor may also be a
    # slice of a larger one: 4 bytes in a storage of 16. safetensors refuses to write either.
    seen: set[int] = set()
    result = {}
    for name, value in tensors.items():
        memory = value.untyped_storage()
        alone = memory.data_ptr() not in seen and memory.nbytes() == value.nbytes
        seen.add(memory.data_ptr())
        result[name] = value if alone else value.clone()
    return result


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
        raise KitError(f"this is not a {checkpoint_format.name} checkpoint after all: {error}") from error
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


def _another(
    path: Path, given: Tensors, report: Report, threshold: float, *, among: Iterable[str]
) -> KitError:
    """Return the error for a checkpoint of another network; it recommends the network that fits, if any."""
    checkpoint_format = recognise(given)
    best, share = "", max(min(report.share, report.used), _WORTH_NAMING)
    for name in among:
        try:
            _, other = match(checkpoint_format, given, shapes({"network": name}), name)
        except KitError:
            continue  # its libraries are not installed here
        if min(other.share, other.used) > share:
            best, share = name, min(other.share, other.used)
    if best:
        fix = f"it fits {best} ({share:.0%}): convert it with --network {best}"
    else:
        fix = "`python -m kit.models pretrained` lists the checkpoints of each network"
    return KitError(
        f"the {checkpoint_format.name} checkpoint fills {report.share:.1%} of {report.network}, which takes "
        f"{report.used:.1%} of it; both have to be at least {threshold:.1%}: {report.summary()}",
        where=path,
        fix=fix,
    )
