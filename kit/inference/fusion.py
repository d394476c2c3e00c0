"""Fuse the results of passes into one prediction of an image, with the engine of the ensemble's kind.

This needs no torch, because processes that fuse run beside those that predict.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.ensemble import Kind, Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.predictions import Prediction


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """The stored result of one pass over one image.

    Attributes:
        file: the path that `kit.inference.runner.run_pass` returned.
        weight: weight of the pass in the rung, positive.
        member: member of the pass.
    """

    file: Path
    weight: float
    member: Member


@dataclass(frozen=True)
class Fused:
    """What passes over an image become.

    Attributes:
        prediction: a mask or instances.
        doubt: of the prediction, in [0, 1] (`kit.inference.*_doubt`).
        left: for each member the share of its windows that it would still have to look at; empty where no
            confident blocks are kept.
    """

    prediction: Prediction
    doubt: float
    left: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeepConfident:
    """What to keep of the confident blocks of a mask, for the passes after it.

    Attributes:
        below: a block is confident if its doubt is below this (`kit.inference.semantic_blocks`).
        file: gets the blocks.
        members: those whose windows are counted.
    """

    below: float
    file: Path
    members: Sequence[Member]


def fuse(
    results: Sequence[PassResult],
    settings: Mapping[str, Any],
    size: tuple[int, int],
    *,
    kind: Kind,
    image_id: str,
    info: ImageInfo | None = None,
    keep: KeepConfident | None = None,
) -> Fused:
    """Return the prediction of one rung for one image, and its doubt.

    Semantic: the weighted mean of the probability maps, cut at the threshold. Values: the weighted mean of
    numbers, and the word with most weight. Instance: NMS merges the views
    of each member, then weighted boxes fusion joins the members. A member's weight is the mean of the weights
    of its passes. Example: passes of member a with weights 1 and 3 and of member b with weight 4 give two
    lists of detections, of weight 2 and 4.

    Args:
        results: in the order of the ensemble's passes. Leave out the passes of a dropped member: the weights
            of the others count alone.
        settings: settings of the rung, as in ensemble.json.
        size: (height, width) of the image.
        kind: kind of the ensemble.
        image_id: for messages.
        info: what is known of the image; a semantic rung may have thresholds by organ and source.
        keep: what to keep of confident blocks (semantic only).

    Raises:
        KitError: there are no results, a file is damaged or of another size, or detections are not numbers.
    """
    if not results:
        raise KitError("no pass of this rung has a result", where=image_id, fix="run its passes first")
    # Imported by name, because predict.py holds only the engine of its own kind.
    engine = importlib.import_module(f"kit.inference.{engine_of(results[0].member, kind)}")
    fused: Fused = engine.fuse(results, settings, size, image_id=image_id, info=info, keep=keep)
    return fused


def engine_of(member: Member, kind: str) -> str:
    """Return the module of this package that runs a member: the one of its kind, or what its config names."""
    return str(member.network.get("engine") or f"{kind}_engine")


def require_size(found: tuple[int, ...], size: tuple[int, int], result: PassResult, image_id: str) -> None:
    """Refuse a stored result of another size than the image.

    Args:
        found: rows and columns of the stored result.
        size: (height, width) of the image.
        result: the result, for messages.
        image_id: for messages.

    Raises:
        KitError: the sizes differ.
    """
    if tuple(found) != tuple(size):
        raise KitError(
            f"a result of image {image_id} is {found[0]} x {found[1]}, the image {size[0]} x {size[1]}",
            where=result.file,
            fix="delete the scratch folder of passes and run again",
        )
