"""`ensemble.json`: members, rungs, thresholds, costs; written by training, read by bundle and Kaggle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from kit.artefacts import read_json, write_json
from kit.errors import KitError

SCHEMA = 1
Kind = Literal["semantic", "instance"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One trained network.

    Attributes:
        name: unique in the ensemble, e.g. "unet-regnety16-tiny.fold0".
        weights: file name of its safetensors; in the folder `weights` beside ensemble.json while local,
            found by sha256 on Kaggle.
        sha256: of that file.
        size: bytes of that file.
        network: plain dict that `kit.models.build` takes.
        inference: plain dict of the engine's settings (`SemanticSettings` or `InstanceSettings`).
        requires: distributions the network needs at run time, e.g. ["mmcv-full", "mmdet"].
    """

    name: str
    weights: str
    sha256: str
    size: int
    network: dict[str, Any]
    inference: dict[str, Any]
    requires: list[str]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One walk of one member over all images under one view.

    Attributes:
        member: index into `Ensemble.members`.
        view: name of an invertible transform in `kit.inference.views`, e.g. "identity", "hflip".
        seconds_per_megapixel: measured where the ensemble was written; a prior, measured again on Kaggle.
    """

    member: int
    view: str
    seconds_per_megapixel: float


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A prefix of the passes with everything tuned for just that prefix.

    Attributes:
        passes: how many of `Ensemble.passes` it uses, from the first.
        weights: one a pass, positive; semantic: of the probability maps (normalised to sum 1 when applied);
            instance: of the members in box fusion.
        settings: tuned for this prefix; semantic: {"threshold": float}; instance: fusion settings.
        cv: competition metric on out-of-fold predictions.
    """

    passes: int
    weights: list[float]
    settings: dict[str, Any]
    cv: float


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The whole plan of a submission.

    Attributes:
        competition: its name; `kit.competitions.of` gives the competition itself.
        kind: of the predictions.
        members: trained networks.
        passes: cheapest useful first; rungs are prefixes of this list.
        rungs: strictly growing prefixes; the last is the full ensemble.
        reserve_seconds: kept free before the deadline for writing and shutting down.
        slowdown: factor on every predicted time before a rung is started.
        inputs: name -> sha256 of what it was made from.
        definition: of a competition that a TOML file describes; None where the name says it all.
    """

    competition: str
    kind: Kind
    members: list[Member]
    passes: list[Pass]
    rungs: list[Rung]
    reserve_seconds: float = 60.0
    slowdown: float = 1.6
    inputs: dict[str, str] = field(default_factory=dict)
    definition: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise KitError(f"two members share a name: {sorted(names)}", fix="give each member its own name")
        hashes = [member.sha256 for member in self.members]
        if len(set(hashes)) != len(hashes):
            raise KitError(
                "two members share the same weights", fix="one checkpoint was listed twice; list each once"
            )
        if not self.rungs or not self.passes or not self.members:
            raise KitError("an ensemble needs at least one member, pass and rung", fix="train a recipe first")
        lengths = [rung.passes for rung in self.rungs]
        if lengths != sorted(set(lengths)) or lengths[0] < 1 or lengths[-1] != len(self.passes):
            raise KitError(f"rungs must be growing prefixes that end with all passes, not {lengths}")
        if any(item.member not in range(len(self.members)) for item in self.passes):
            raise KitError("a pass names a member that does not exist")
        for rung in self.rungs:
            if len(rung.weights) != rung.passes or not all(0 < weight < math.inf for weight in rung.weights):
                raise KitError(f"each rung needs one positive weight for every pass, not {rung.weights}")
        times = (self.reserve_seconds, *(item.seconds_per_megapixel for item in self.passes))
        if not all(0 <= seconds < math.inf for seconds in times) or not 0 < self.slowdown < math.inf:
            raise KitError("times are finite and not negative, the slowdown is above 0")
        if self.kind not in get_args(Kind):
            raise KitError(f"kind is {self.kind!r}, no kind of predictions")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value with the schema number."""
        return {"schema": SCHEMA, **asdict(self)}


def from_dict(value: Any, *, where: str | Path | None = None) -> Ensemble:
    """The ensemble of a plain JSON value.

    Raises:
        KitError: wrong schema, missing or unknown fields, or values that cannot be.
    """
    fix = "run `ensemble` again"
    if not isinstance(value, dict):
        raise KitError("not an ensemble", where=where, fix=fix)
    if value.get("schema") != SCHEMA:
        raise KitError(f"ensemble schema {value.get('schema')!r}, expected {SCHEMA}", where=where, fix=fix)
    fields = {key: item for key, item in value.items() if key != "schema"}
    for key, form in (("competition", str), ("definition", dict | None)):
        if not isinstance(item := fields.get(key), form):
            raise KitError(f"not an ensemble: {key} is {item!r}", where=where, fix=fix)
    try:
        fields["members"] = [Member(**item) for item in fields["members"]]
        fields["passes"] = [Pass(**item) for item in fields["passes"]]
        fields["rungs"] = [Rung(**item) for item in fields["rungs"]]
        return Ensemble(**fields)
    except (KeyError, TypeError) as error:
        raise KitError(f"not an ensemble: {error}", where=where, fix=fix) from error
    except KitError as error:
        raise KitError(error.problem, where=where, fix=error.fix or fix) from error


def save(path: Path, ensemble: Ensemble) -> None:
    """Write `ensemble.json` atomically."""
    write_json(path, ensemble.as_dict())


def load(path: Path) -> Ensemble:
    """Read and check `ensemble.json`.

    Raises:
        KitError: missing, damaged or of another schema.
    """
    return from_dict(read_json(path), where=path)
