"""`ensemble.json`: members, rungs, thresholds, costs; written by training, read by bundle and Kaggle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.artefacts import read_json, write_json
from kit.errors import KitError
from kit.names import FileName, Hexadecimal, Name
from kit.typed_json import Checked, Fraction, above, at_least, at_most, from_plain, to_plain

SCHEMA = 2
Kind = Literal["semantic", "instance", "values"]
_AGAIN = "run `ensemble` again"

_OF_IMAGES = ("mean precision", "log loss", "multi-class log loss", "accuracy", "RMSE", "MAE")
"""Metrics that score each image alone, beside all of masks and F-beta of instances."""


@dataclass(frozen=True, kw_only=True)
class Member(Checked):
    """One trained network.

    Attributes:
        name: unique in the ensemble, e.g. "unet-regnety16-tiny.fold0".
        weights: file name of its safetensors; in the folder `weights` beside ensemble.json while local,
            found by sha256 on Kaggle.
        sha256: of that file.
        size: bytes of that file.
        network: plain dict that `kit.models.build` takes.
        inference: plain dict of the engine's settings (`SemanticSettings`, `InstanceSettings`, ...).
        requires: distributions the network needs at run time, e.g. ["mmcv-full", "mmdet"].
    """

    name: Name
    weights: FileName
    sha256: Hexadecimal
    size: Annotated[int, at_least(0)]
    network: dict[str, Any]
    inference: dict[str, Any]
    requires: list[Name]


@dataclass(frozen=True, kw_only=True)
class Pass(Checked):
    """One member under one view over all images.

    Attributes:
        member: index into `Ensemble.members`.
        view: name of an invertible transform in `kit.inference.views`, e.g. "identity", "hflip".
        seconds_per_megapixel: measured where the ensemble was made; a prior, measured again on Kaggle.
    """

    member: Annotated[int, at_least(0)]
    view: str
    seconds_per_megapixel: Annotated[float, at_least(0)] = 1.0


@dataclass(frozen=True, kw_only=True)
class EarlyStop(Checked):
    """Which images a rung is enough for: they stop there, and dearer passes skip them.

    Attributes:
        below: an image stops if the doubt of its row is below this (`kit.inference.*_doubt`).
        share: of the held-out images that came to this rung, those that stopped.
        cv: of the dearest measured rung, with the rows that images stopped with, here or elsewhere.
    """

    below: Annotated[float, above(0), at_most(1)]
    share: Fraction
    cv: float


@dataclass(frozen=True, kw_only=True)
class WindowSkip(Checked):
    """Which blocks of an image a rung is enough for: dearer passes skip windows that show nothing else.

    Attributes:
        below: a block is confident if its doubt is below this (`kit.inference.semantic_blocks`).
        share: of the windows of dearer passes over held-out images, those that were skipped.
        cv: of the dearest measured rung, with the rung's own probabilities in confident blocks.
    """

    below: Annotated[float, above(0)]
    share: Fraction
    cv: float


@dataclass(frozen=True, kw_only=True)
class Rung(Checked):
    """Some of the passes, with everything tuned for just these.

    Attributes:
        passes: which of `Ensemble.passes` it uses: their indices, ascending.
        weights: one per pass, positive; semantic: of the probability maps (normalised to sum 1 when applied);
            instance: of the members in box fusion; values: of the numbers and of the votes for words.
        settings: tuned for these passes; semantic: {"threshold": float}; others: fusion settings.
        cv: competition metric on held-out images that the tuning of this rung did not see, negated where
            lower is better, as a loss; None if nobody held images out.
        stop: which images stop at this rung; None: all go on.
        skip: which windows of images that go on are skipped after this rung; None: none is.
    """

    passes: list[Annotated[int, at_least(0)]]
    weights: list[Annotated[float, above(0)]]
    settings: dict[str, Any]
    cv: float | None
    stop: EarlyStop | None = None
    skip: WindowSkip | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.passes or self.passes != sorted(set(self.passes)):
            raise KitError(
                f"a rung needs one pass or more, each once and ascending, not {self.passes}", fix=_AGAIN
            )
        if len(self.weights) != len(self.passes):
            raise KitError(f"each rung needs one weight for every pass, not {self.weights}", fix=_AGAIN)

    def weight(self, index: int) -> float:
        """Return the weight of one of its passes, by the pass's index in `Ensemble.passes`."""
        return self.weights[self.passes.index(index)]

    @property
    def text(self) -> str:
        """Its passes as people count them: indices [0, 1, 2, 5] are "1-3, 6"."""
        parts: list[list[int]] = []
        for index in self.passes:
            if parts and parts[-1][-1] == index - 1:
                parts[-1].append(index)
            else:
                parts.append([index])
        return ", ".join(f"{part[0] + 1}-{part[-1] + 1}" if part[1:] else f"{part[0] + 1}" for part in parts)


@dataclass(frozen=True, kw_only=True)
class Ensemble(Checked):
    """The whole plan of a submission.

    Attributes:
        competition: its name; `kit.competitions.of` gives the competition itself.
        kind: of the predictions.
        members: trained networks.
        passes: cheapest useful first.
        rungs: better and dearer from one to the next; the last has all passes. Rungs that contain one another
            are a path: what one of them has done the next need not do again.
        reserve_seconds: kept free before the deadline for writing and shutting down.
        slowdown: factor on the predicted time of what failed, before it is tried again.
        inputs: name -> sha256 of what it was made from.
        definition: of a competition that a TOML file describes; None where the name says it all.
    """

    competition: Name
    kind: Kind
    members: list[Member]
    passes: list[Pass]
    rungs: list[Rung]
    reserve_seconds: Annotated[float, at_least(0)] = 60.0
    slowdown: Annotated[float, above(0)] = 1.6
    inputs: dict[Name, Hexadecimal] = field(default_factory=dict)
    definition: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
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
        if self.rungs[-1].passes != list(range(len(self.passes))):
            raise KitError(f"the last rung needs all passes, not {self.rungs[-1].passes}", fix=_AGAIN)
        if len({tuple(rung.passes) for rung in self.rungs}) < len(self.rungs):
            raise KitError("two rungs have the same passes", fix=_AGAIN)
        if any(item.member not in range(len(self.members)) for item in self.passes):
            raise KitError("a pass names a member that does not exist", fix=_AGAIN)
        if self.kind != "semantic" and any(rung.skip for rung in self.rungs):
            raise KitError("a rung skips windows; only masks have confident blocks", fix=_AGAIN)

    @property
    def main_path(self) -> list[int]:
        """The longest way to the last rung over rungs that each have all passes of the one before."""
        # Rungs [0], [0, 2], [1, 2], [0, 1, 2]: over the first and the second to the last, not over the third.
        longest: list[list[int]] = []
        for number, rung in enumerate(self.rungs):
            before = (path for path in longest if set(self.rungs[path[-1]].passes) < set(rung.passes))
            longest.append([*max(before, key=lambda path: (len(path), path), default=[]), number])
        return longest[-1]

    @property
    def rows_may_mix(self) -> bool:
        """Whether rows of different rungs may stand in one file: mean Dice scores each image alone."""
        # AP, AUC and kappa rank or count the predictions of all images together, and F-beta of values counts
        # them; nobody knows what a metric in a file does. Masks of different rungs are masks all the same.
        metric = (self.definition or {}).get("metric", {}).get("name")
        alone = metric in _OF_IMAGES or (metric, self.kind) == ("F-beta", "instance")
        return self.kind == "semantic" or alone

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value with the schema number."""
        return {"schema": SCHEMA, **to_plain(self)}


def from_dict(value: Any, *, where: str | Path | None = None) -> Ensemble:
    """The ensemble of a plain JSON value.

    Raises:
        KitError: wrong schema, missing or unknown fields, or values that cannot be.
    """
    return from_plain(Ensemble, value, where=where, fix="run `ensemble` again", schema=SCHEMA)


def save(path: Path, ensemble: Ensemble) -> None:
    """Write `ensemble.json` atomically."""
    write_json(path, ensemble.as_dict())


def load(path: Path) -> Ensemble:
    """Read and check `ensemble.json`.

    Raises:
        KitError: missing, damaged or of another schema.
    """
    return from_dict(read_json(path), where=path)
