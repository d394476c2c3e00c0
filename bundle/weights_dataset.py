"""The dataset of one ensemble's weights: its description, the checks of its members, its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bundle import dataset_metadata, weights
from bundle.archives import place_weights
from bundle.dataset import Content, entry_of
from bundle.shards import shards
from bundle.weights import CheckedWeights
from bundle.weights_form import WeightsForm, shipped
from kit.artefacts import canonical_json
from kit.ensemble import Ensemble
from kit.local.console import progress
from kit.local.dataset_folders import ENSEMBLE
from kit.manifest import Entry


@dataclass(frozen=True)
class Weights:
    """Contents of a dataset of weights, and a sentence about their form for its page."""

    contents: list[Content]
    note: str


def describe(plan: Ensemble, *, prefix: str, owner: str, licence: str) -> tuple[str, dict[str, object]]:
    """Return the dataset's name and the content of its `dataset-metadata.json`.

    Raises:
        KitError: Kaggle would refuse it.
    """
    name = f"{prefix}-{plan.competition}-weights"
    metadata = dataset_metadata.describe(
        name,
        owner=owner,
        title=name.replace("-", " "),
        subtitle="Trained networks and their ensemble, run by predict.py",
        licence=licence,
        description=f"Trained networks for {plan.competition}: {len(plan.members)}, as safetensors.",
    )
    return name, metadata


def contents(plan: Ensemble, path: Path, form: WeightsForm) -> Weights:
    """Check the weights; return them and the ensemble.json that names them as the dataset does.

    Args:
        plan: the ensemble.
        path: its `ensemble.json`, with the folder `weights` beside it.
        form: in which the weights are shipped.

    Raises:
        KitError: a file is missing or damaged, or is not what its member says; as `weights_form.shipped`.
    """
    from kit.local.member_check import WeightsFile, check_members  # loads torch, which --help does not need

    with progress(transient=True) as display:
        task = display.add_task(f"verify {plan.competition}", total=len(plan.members), note="")
        checked = weights.check_all(plan, path, on_checked=lambda _: display.advance(task))
        task = display.add_task("check members", total=len(plan.members), note="")
        files = {
            member.name: WeightsFile(item.path) for member, item in zip(plan.members, checked, strict=True)
        }
        check_members(plan, files, where=path, on_checked=lambda _: display.advance(task))
    made_of = shipped(plan, checked, form, path)
    checked = made_of.files
    config = canonical_json(weights.effective(plan, checked).as_dict()).encode()
    made = [Content(entry=entry_of(config, ENSEMBLE, role="config"), source=config)]
    shipped_files = [content for item in checked for content in _files(item, form)]
    places = place_weights([content.entry.file for content in shipped_files])
    for content, place in zip(shipped_files, places, strict=True):
        made.append(Content(entry=replace(content.entry, file=place), source=content.source))
    return Weights(made, made_of.note)


def _files(item: CheckedWeights, form: WeightsForm) -> list[Content]:
    """Return the file of a member's weights, or its shards."""
    paths = [item.path]
    if form.shard_size:
        paths = shards(item.path, item.sha256, form.shard_size, form.weights_cache)
    if len(paths) == 1:
        entry = Entry(file=item.name, size=item.size, sha256=item.sha256, role="weights", run=item.run)
        return [Content(entry=entry, source=item.path)]
    stem, ending = PurePosixPath(item.name).stem, PurePosixPath(item.name).suffix
    made = []
    for number, path in enumerate(paths, start=1):
        # Not "a-00001-of-00003.safetensors": names of that form were seen shortened on Kaggle.
        file = f"{stem}.part{number:02d}{ending}"
        run = {**(item.run or {}), "shard": {"part": number, "parts": len(paths), "whole": item.size}}
        entry = entry_of(path, file, role="weights", run=run, part_of=item.sha256)
        made.append(Content(entry=entry, source=path))
    return made
