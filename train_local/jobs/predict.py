"""Predicts unlabelled images with a trained teacher: the job between a training and a round of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, write_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import runner
from kit.local.console import track
from kit.local.sidecars import read_sidecar
from kit.typed_json import from_plain, to_plain
from train_local.claims import claim
from train_local.data.prepared import Prepared
from train_local.engine.fabric import make_fabric
from train_local.options import Options

NAME = "predictions.json"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What `predictions.json` says.

    Attributes:
        identity: of the job that made them.
        member: the teacher.
        files: image id -> view -> stored result, below the folder.
    """

    identity: str
    member: Member
    files: dict[str, dict[str, str]]


def images_of(prepared: Prepared, dataset: int | None, wsis: Sequence[str] | None) -> list[str]:
    """Return the ids of the unlabelled images of a round.

    Args:
        prepared: the data.
        dataset: their number.
        wsis: slides they were cut from; None takes all.

    Raises:
        KitError: there is none.
    """
    ids = [
        image.id
        for image in prepared.unlabelled.values()
        if image.dataset == dataset and (wsis is None or image.group in wsis)
    ]
    if not ids:
        raise KitError(
            f"the prepared data has no unlabelled image of dataset {dataset}"
            + (f" and slide {', '.join(wsis)}" if wsis else ""),
            where=prepared.root,
            fix="download the competition's whole train folder and prepare again",
        )
    return sorted(ids)


def predict(
    folder: Path,
    identity: str,
    *,
    weights: Path,
    prepared: Prepared,
    ids: Sequence[str],
    views: Sequence[str],
    options: Options,
) -> None:
    """Predict images under all views with the engine that runs on Kaggle; killed and run again, it goes on.

    Args:
        folder: of the results.
        identity: of the job.
        weights: of the teacher; the JSON beside them says what network they are of.
        prepared: where the images are.
        ids: of the images.
        views: to predict under.
        options: say on which device.

    Raises:
        KitError: the weights are damaged, an image cannot be read, or the disk is full.
    """
    member = _member(weights)
    claim(folder, identity, {"member": member.name, "views": list(views)})
    device = make_fabric(options.device, "32-true").device
    runner.configure(device)
    module = runner.open_member(member, weights, device)
    files: dict[str, dict[str, str]] = {}
    for image_id in track(ids, total=len(ids), description=f"{member.name}: unlabelled images"):
        image = prepared.image(image_id)
        for view in views:
            path = runner.run_pass(
                module,
                member,
                view,
                image_id,
                prepared.image_path(image_id),
                folder,
                device=device,
                info=image.info,
                reading=prepared.source.reading,
            )
            files.setdefault(image_id, {})[view] = path.relative_to(folder).as_posix()
    write_json(folder / NAME, to_plain(Predictions(identity=identity, member=member, files=files)))


def read(folder: Path) -> Predictions:
    """Read what `predict` wrote.

    Raises:
        KitError: it is not finished, or a file of it is missing.
    """
    path = folder / NAME
    found = from_plain(Predictions, read_json(path), where=path, fix="run `train-all` again")
    for of_image in found.files.values():
        for name in of_image.values():
            if not (folder / name).is_file():
                raise KitError(
                    "a stored prediction is missing",
                    where=folder / name,
                    fix=f"delete {path} and run `train-all` again; it predicts what is missing",
                )
    return found


def _member(weights: Path) -> Member:
    record: Mapping[str, Any] = read_sidecar(weights, kind="weights")
    name = f"{record['recipe']}.fold{record['fold']}"
    return Member(
        name=name,
        weights=f"{name}.safetensors",
        sha256=record["sha256"],
        size=record["size"],
        network=record["network"],
        inference=record["inference"],
        requires=record["requires"],
    )
