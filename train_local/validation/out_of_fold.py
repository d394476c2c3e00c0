"""A run's predictions for the images that it never trained on; the ensemble is tuned on them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lightning_fabric import Fabric

import kit
from kit.artefacts import write_json
from kit.ensemble import Member
from kit.local.console import progress
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.models import Network
from train_local.data.prepared import Prepared
from train_local.validation.evaluate import Predicted, predict


class PredictingRun(Protocol):
    """What is asked of a run: of a recipe's, or of a model that somebody trained elsewhere."""

    @property
    def name(self) -> str:
        """For progress bars."""

    @property
    def identity(self) -> str:
        """Hash of all that decides its predictions."""

    @property
    def oof(self) -> Path:
        """Folder of the predictions."""

    @property
    def views(self) -> Sequence[str]:
        """Under which images are predicted."""


def out_of_fold(
    run: PredictingRun,
    prepared: Prepared,
    network: Network,
    member: Member,
    ids: Sequence[str],
    *,
    fabric: Fabric,
    bars: bool = True,
) -> dict[str, float]:
    """Predict the held-out images under each of the run's views; `oof.json` is written last.

    Several processes share the images.

    Args:
        run: whose network it is.
        prepared: where the images are.
        network: with the exported weights, in eval mode on the device of this process.
        member: that its weights make.
        ids: held-out images; none for a full-data member.
        fabric: of this process.
        bars: draw progress.

    Returns:
        Measured seconds per megapixel, by view; empty without images.
    """
    views, first = run.views, fabric.global_rank == 0
    if first:
        run.oof.mkdir(parents=True, exist_ok=True)
        _drop_unfinished(run.oof)
    fabric.barrier()
    mine = list(ids)[fabric.global_rank :: fabric.world_size]
    with progress(shown=bars and first) as display:
        bar = display.add_task(f"{run.name} out of fold", total=len(mine) * len(views), note="")

        def stored(item: Predicted) -> None:
            display.advance(bar)
            # A prediction that was there already has its JSON, with the seconds it took when it was made.
            if item.seconds:
                write_sidecar(
                    item.path,
                    kind="oof",
                    config={"member": member.name, "view": item.view, "image": item.image_id},
                    inputs={"weights": member.sha256, "image": prepared.images[item.image_id].sha256},
                    code_version=kit.__version__,
                    seconds=item.seconds,
                )

        done = predict(
            network, member, prepared, mine, views, out=run.oof, device=fabric.device, on_image=stored
        )
    fabric.barrier()
    if not first:
        return {}
    if fabric.world_size > 1:
        # All of them are there now; this only lists them.
        done = predict(network, member, prepared, ids, views, out=run.oof, device=fabric.device)
    timing = _timing(prepared, done, views) if ids else {}
    files: dict[str, dict[str, str]] = {view: {} for view in views}
    for item in done:
        files[item.view][item.image_id] = item.path.relative_to(run.oof).as_posix()
    write_json(
        run.oof / "oof.json",
        {
            "identity": run.identity,
            "member": member.name,
            "weights": member.sha256,
            "views": list(views),
            "files": files,
            "seconds_per_megapixel": timing,
        },
    )
    return timing


def _timing(prepared: Prepared, done: Sequence[Predicted], views: Sequence[str]) -> dict[str, float]:
    """Seconds per megapixel, by view."""
    seconds = {item.path: float(read_sidecar(item.path, kind="oof")["seconds"]) for item in done}
    timing = {}
    for view in views:
        costs = [
            seconds[item.path]
            * 1e6
            / (prepared.images[item.image_id].height * prepared.images[item.image_id].width)
            for item in done
            if item.view == view
        ]
        # The first image takes longer: memory is allocated and kernels are loaded. The median ignores it.
        timing[view] = statistics.median(costs)
    return timing


def _drop_unfinished(folder: Path) -> None:
    """Delete predictions whose JSON was never written, because a kill came between the two."""
    found = [path for ending in ("npy", "npz", "json") for path in folder.glob(f"*/*/*.{ending}")]
    for path in found:
        if path.name.endswith(".json.json") or path.with_suffix("").is_file():
            continue  # the JSON of a prediction
        if not sidecar_path(path).is_file():
            path.unlink()
