"""Convert a published checkpoint into a safetensors file with the names and shapes of one of our networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from kit.artefacts import atomic_file, canonical_json, sha256_file, sha256_json
from kit.errors import KitError
from kit.local.pretrained.matching import SEED, Fit, match, ranked, shapes, unpacked_limit
from kit.local.pretrained.read import load, opened
from kit.local.pretrained.renaming import Tensors
from kit.local.pretrained.report import Report
from kit.models import names

HEADER = "pretrained"
"""Key of the file's metadata; its value is JSON that says what the file was made from, and how."""
SCHEMA = 1
_SHOWN = 5
_WORTH_NAMING = 0.5
"""Share from which an error message recommends another network for the checkpoint."""


def convert(
    path: Path,
    config: Mapping[str, Any],
    out: Path | None,
    *,
    mean: bool = False,
    least: float | None = None,
    among: Iterable[str] | None = None,
    take: str | None = None,
) -> Report:
    """Write the tensors that a checkpoint gives to a network as safetensors, atomically.

    The file holds the part of the network that a checkpoint of this format fills. A head with another number
    of classes gets new values by a declared rule. Equal inputs give equal bytes.

    Args:
        path: the checkpoint, see `read.opened` for the formats.
        config: the network's plain dict for `kit.models.build`.
        out: file to write; None only reads and checks.
        mean: take the running mean of the weights if the checkpoint has one.
        least: share from 0 to 1 that has to load, instead of the format's own.
        among: names of the networks to try if too little loads, so that the message can recommend one; by
            default all registered networks.
        take: label of the state dict to take, if the file has several.

    Returns:
        A report that says what became of every tensor.

    Raises:
        KitError: the checkpoint cannot be read, belongs to another network or has weights that are not finite
            numbers, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    wanted = shapes(config)
    with opened(path, limit=unpacked_limit(wanted)) as value:
        found = ranked(value, wanted, path, mean=mean, least=least, take=take)
        best = found[0]
        if best.share < best.threshold:
            raise _another(path, best, str(config["network"]), among=names() if among is None else among)
        tensors, report = match(best.format, load(best.candidate), wanted, str(config["network"]))
    require_finite(tensors, path)
    places = best.candidate.places
    others = [item for item in found[1:] if item.fits and not item.candidate.places <= places]
    report = replace(
        report,
        taken=best.candidate.label,
        others=tuple(dict.fromkeys(item.candidate.label for item in others)),
    )
    if out is None:
        return report
    header = {
        "schema": SCHEMA,
        "source": path.name,
        "source_sha256": sha256_file(path),
        "kind": best.format.name,
        "network": report.network,
        "config_sha256": sha256_json(dict(config)),
        "part": list(best.format.part),
        "share": round(report.share, 6),
        "taken": report.taken,
        "mean": best.candidate.mean,
        "seed": SEED,
        "reset": list(report.reset),
        "missing": [name for name in wanted if name.startswith(best.format.part) and name not in tensors],
    }
    try:
        with atomic_file(out) as temporary:
            save_file(_apart(tensors), temporary, metadata={HEADER: canonical_json(header)})
    except SafetensorError as error:
        raise KitError(
            f"cannot write {out.name}: {error}", where=out.parent, fix="free space on that disk"
        ) from error
    return report


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not finite numbers; a network with one of them predicts nothing.

    Raises:
        KitError: it names the tensors and counts their values.
    """
    bad = {
        name: int(value.numel() - value.isfinite().sum())
        for name, value in tensors.items()
        if value.is_floating_point() and not value.isfinite().all()
    }
    if bad:
        shown = ", ".join(
            f"{name} ({count:,} of {tensors[name].numel():,})" for name, count in list(bad.items())[:_SHOWN]
        )
        raise KitError(
            f"{len(bad)} of {len(tensors)} tensors have values that are not finite numbers (NaN, infinity): "
            f"{shown}{', ...' if len(bad) > _SHOWN else ''}",
            where=path,
            fix="the training that saved them had failed, or the file is damaged: take an earlier checkpoint",
        )


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


def _another(path: Path, fit: Fit, network: str, *, among: Iterable[str]) -> KitError:
    """Return the error for a checkpoint of another network; it recommends the network that fits, if any."""
    given = {name: value.meta() for name, value in fit.candidate.tensors.items()}
    best, share = "", max(fit.share, _WORTH_NAMING)
    for name in among:
        try:
            _, other = match(fit.format, given, shapes({"network": name}), name)
        except KitError:
            continue  # its libraries are not installed here
        if min(other.share, other.used) > share:
            best, share = name, min(other.share, other.used)
    if best:
        fix = f"it fits {best} ({share:.0%}): convert it with --network {best}"
    else:
        fix = "`python -m kit.models pretrained` lists the checkpoints of each network"
    return KitError(
        f"the {fit.format.name} checkpoint fills {fit.report.share:.1%} of {network}, which takes "
        f"{fit.report.used:.1%} of it; both have to be at least {fit.threshold:.1%}: {fit.report.summary()}",
        where=path,
        fix=fix,
    )
