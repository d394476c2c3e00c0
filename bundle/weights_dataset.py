"""The dataset of one ensemble's weights: its description, the checks of its members, its files."""

from __future__ import annotations

from pathlib import Path

from bundle import dataset_metadata, weights
from bundle.archives import place_weights
from bundle.dataset import Content, entry_of
from kit.artefacts import canonical_json
from kit.ensemble import Ensemble
from kit.local.console import progress
from kit.manifest import Entry

ENSEMBLE = "ensemble.json"


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


def contents(plan: Ensemble, path: Path) -> list[Content]:
    """Check the weights; return them and the ensemble.json that names them as the dataset does.

    Args:
        plan: the ensemble.
        path: its `ensemble.json`, with the folder `weights` beside it.

    Raises:
        KitError: a file is missing or damaged, or is not what its member says.
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
    config = canonical_json(weights.effective(plan, checked).as_dict()).encode()
    made = [Content(entry=entry_of(config, ENSEMBLE, role="config"), source=config)]
    places = place_weights([item.name for item in checked])
    for item, file in zip(checked, places, strict=True):
        entry = Entry(file=file, size=item.size, sha256=item.sha256, role="weights", run=item.run)
        made.append(Content(entry=entry, source=item.path))
    return made
