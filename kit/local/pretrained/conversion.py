"""A published checkpoint into a safetensors file with the names and shapes of one of our networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.artefacts import atomic_file, canonical_json, sha256_file, sha256_json
from kit.errors import KitError
from kit.local.pretrained.checkpoint_formats import Kind, Reset, recognise
from kit.local.pretrained.read import read_tensors
from kit.local.pretrained.registry import by_file
from kit.local.pretrained.renaming import Tensors
from kit.local.pretrained.report import Report
from kit.models import build, names

HEADER = "pretrained"
"""Key of the file's metadata; its value says as JSON what the file was made from and how."""
SCHEMA = 1
SEED = 0
"""Seed for heads that get new random weights: the same checkpoint always gives the same bytes."""
_NUMBERED = ("running_mean", "running_var")
_WORTH_NAMING = 0.5


def convert(
    path: Path,
    config: Mapping[str, Any],
    out: Path,
    *,
    mean: bool = False,
    least: float | None = None,
    among: Iterable[str] | None = None,
) -> Report:
    """Write what a checkpoint gives to a network as safetensors, atomically.

    The file holds the tensors of the part of the network that this kind of checkpoint fills, heads of another
    number of classes begun anew by a declared rule. Equal inputs give equal bytes.

    Args:
        path: the checkpoint, see `read_tensors` for formats.
        config: the network's plain dict for `kit.models.build`.
        out: file to write.
        mean: take the running mean of the weights where the checkpoint has one.
        least: share that has to load, instead of the kind's own.
        among: networks to look for a better fit when too little loads; all registered ones by default.

    Returns:
        What became of every tensor.

    Raises:
        KitError: the checkpoint cannot be read, is another network's, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    given = read_tensors(path, mean=mean)
    kind = recognise(given)
    wanted = shapes(config)
    tensors, report = match(kind, given, wanted, str(config["network"]))
    entry = by_file(path.name)
    threshold = least if least is not None else (entry.least if entry and entry.least else kind.least)
    if min(report.share, report.used) < threshold:
        raise _another(path, given, report, threshold, among=names() if among is None else among)
    header = {
        "schema": SCHEMA,
        "source": path.name,
        "source_sha256": sha256_file(path),
        "kind": kind.name,
        "network": report.network,
        "config_sha256": sha256_json(dict(config)),
        "part": list(kind.part),
        "share": round(report.share, 6),
        "mean": mean,
        "seed": SEED,
        "reset": list(report.reset),
        "missing": [name for name in wanted if name.startswith(kind.part) and name not in tensors],
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
    """Copy tensors that share memory or are parts of others, which safetensors refuses; keep the rest."""
    seen: set[int] = set()
    result = {}
    for name, value in tensors.items():
        memory = value.untyped_storage()
        alone = memory.data_ptr() not in seen and memory.nbytes() == value.nbytes
        seen.add(memory.data_ptr())
        result[name] = value if alone else value.clone()
    return result


def shapes(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """State dict of a network without values: names, shapes and types."""
    with torch.device("meta"):
        return build(config).network.state_dict()


def match(kind: Kind, given: Tensors, wanted: Mapping[str, Tensor], network: str) -> tuple[Tensors, Report]:
    """What a checkpoint gives to a network.

    Args:
        kind: of the checkpoint.
        given: its tensors, by its own names.
        wanted: the network's state dict; shapes and types are enough.
        network: its registered name, for the report.

    Returns:
        Tensors of the part of the network that this kind fills, by the network's names; and the report.

    Raises:
        KitError: the kind's renaming finds the file to be something else, or needs a package that is absent.
    """
    try:
        renamed = kind.rename(given, wanted)
    except ValueError as error:
        raise KitError(f"not a {kind.name} checkpoint after all: {error}") from error
    except ImportError as error:
        raise KitError(
            f"a {kind.name} checkpoint cannot be converted without {error.name}",
            fix="`python -m bundle wheel` builds our own packages, pip installs others",
        ) from error
    groups: dict[str, list[str]] = {
        key: [] for key in ("loaded", "resized", "reset", "reshaped", "missing", "unexpected", "dropped")
    }
    tensors: Tensors = {}
    values = filled = 0
    for name, target in wanted.items():
        if not kind.fills(name):
            continue
        group, line, value = _take(kind, name, target, renamed)
        groups[group].append(line)
        if value is not None:
            tensors[name] = value.to(target.dtype).contiguous()
        if group != "reset" and target.is_floating_point() and not name.endswith(_NUMBERED):
            values += target.numel()
            filled += target.numel() if value is not None else 0
    for name in sorted(renamed.keys() - wanted.keys()):
        groups["dropped" if kind.dropped(name) else "unexpected"].append(name)
    groups["unexpected"] += sorted(name for name in renamed.keys() & wanted.keys() if not kind.fills(name))
    unused = sum(renamed[name].numel() for name in groups["unexpected"])
    report = Report(
        kind=kind.name, network=network, part=kind.part, values=values, filled=filled, unused=unused, **groups
    )
    return tensors, report


def _take(kind: Kind, name: str, target: Tensor, renamed: Tensors) -> tuple[str, str, Tensor | None]:
    """The group of the report that a tensor of the network is in, its line there, and its value."""
    value, reset = renamed.get(name), kind.reset(name, renamed.keys())
    if value is not None and value.shape == target.shape:
        return "loaded", name, value
    change = "" if value is None else f"{tuple(value.shape)} -> {tuple(target.shape)}"
    if value is not None and (fitted := kind.fit(name, value, target)) is not None:
        return "resized", f"{name} {change}", fitted
    if reset is not None:
        return (
            "reset",
            f"{name} ({'; '.join(filter(None, (str(reset), change)))})",
            _begin(reset, name, target),
        )
    return ("missing", name, None) if value is None else ("reshaped", f"{name} {change}", None)


def _begin(reset: Reset, name: str, target: Tensor) -> Tensor:
    """First values of a tensor; those that are drawn depend on its name and the seed only."""
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
    """Return the error for a checkpoint of another network; it names the network that fits, if any."""
    kind = recognise(given)
    best, share = "", max(min(report.share, report.used), _WORTH_NAMING)
    for name in among:
        try:
            _, other = match(kind, given, shapes({"network": name}), name)
        except KitError:
            continue  # its libraries are not installed here
        if min(other.share, other.used) > share:
            best, share = name, min(other.share, other.used)
    if best:
        fix = f"it fits {best} ({share:.0%}): convert it with --network {best}"
    else:
        fix = "`python -m kit.models pretrained` lists the checkpoints of each network"
    return KitError(
        f"the {kind.name} checkpoint fills {report.share:.1%} of {report.network}, which takes "
        f"{report.used:.1%} of it; at least {threshold:.1%} is asked for: {report.summary()}",
        where=path,
        fix=fix,
    )
