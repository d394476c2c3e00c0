"""Gather what the page says about one competition from the files that the steps left on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.competitions import of
from kit.local.costs import load_with_costs
from kit.local.dataset_folders import folders_for
from kit.local.pages.charts import curves, running_mean
from kit.local.pages.gallery import Gallery
from kit.local.sidecars import read_json_lines
from kit.manifest import NAME
from submission.report.pictures import gallery_of
from submission.report.run_part import RunPart, part_of, read_run


@dataclass(frozen=True)
class Sources:
    """Where one competition's files lie.

    Attributes:
        name: of the competition; the chapter's heading.
        data: its folder, with truth for the images that were predicted.
        dist: folder with ensemble.json, predict.py, bundle/, rehearsal/ and scores.json.
        runs: folder of the training runs.
    """

    name: str
    data: Path
    dist: Path
    runs: Path


@dataclass(frozen=True)
class Chapter:
    """One competition's part of the page."""

    name: str
    slug: str
    metric: str
    scores: dict[str, float]
    gallery: Gallery
    loss_chart: str
    metric_chart: str
    part: RunPart
    datasets: list[dict[str, Any]]
    script_kilobytes: float
    verdict: dict[str, Any] | None


def gather(sources: Sources, *, pictures: int) -> Chapter:
    """Read everything and draw the charts and overlays.

    Args:
        sources: where the files lie.
        pictures: images with a picture, at most.

    Raises:
        KitError: a file of the chain is missing or damaged.
    """
    ensemble = load_with_costs(sources.dist / "ensemble.json")
    competition = of(ensemble)
    rehearsal = sources.dist / "rehearsal"
    logs = training_logs(sources.runs)
    return Chapter(
        name=sources.name,
        slug=competition.slug,
        metric=competition.metric,
        scores=read_json(sources.dist / "scores.json"),
        gallery=gallery_of(
            sources.name, competition, sources.data, rehearsal / competition.format.submission.file, pictures
        ),
        loss_chart=_loss_chart(logs),
        metric_chart=_metric_chart(logs),
        part=part_of(read_run(rehearsal / "report.json"), rehearsal / "report.json"),
        datasets=_datasets(sources.dist / "bundle", ensemble.competition),
        script_kilobytes=(sources.dist / "predict.py").stat().st_size / 1000,
        verdict=_verdict(rehearsal / "rehearsal.json"),
    )


def _verdict(path: Path) -> dict[str, Any] | None:
    """The rehearsal's verdict, with its sentence as "text"; None of a rehearsal that does not say it."""
    found = read_json(path).get("verdict") if path.is_file() else None
    return found if isinstance(found, dict) and "text" in found else None


def training_logs(runs: Path) -> dict[str, list[dict[str, Any]]]:
    """Return name of a run -> the lines of its log. A line that a kill has cut off is left out."""
    return {
        f"{path.parent.parent.name} {path.parent.name}": read_json_lines(path)
        for path in sorted(runs.glob("*/fold*/log.jsonl"))
    }


def _loss_chart(logs: dict[str, list[dict[str, Any]]]) -> str:
    series = {}
    for name, entries in logs.items():
        points = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
        series[name] = ([step for step, _ in points], running_mean([loss for _, loss in points]))
    return curves(series, x_label="optimiser step", y_label="training loss (running mean)", log=True)


def _metric_chart(logs: dict[str, list[dict[str, Any]]]) -> str:
    series, names = {}, set()
    for name, entries in logs.items():
        measured = [entry for entry in entries if "metric" in entry]
        series[name] = ([entry["step"] for entry in measured], [entry["metric"] for entry in measured])
        names |= {entry["metric_name"] for entry in measured if "metric_name" in entry}
    return curves(series, x_label="optimiser step", y_label=" / ".join(sorted(names)) + ", validation fold")


def _datasets(bundle: Path, competition: str) -> list[dict[str, Any]]:
    result = []
    for folder in folders_for(bundle, competition):
        manifest = read_json(folder / NAME)
        by_role: dict[str, dict[str, float]] = {}
        for entry in manifest["files"]:
            role = by_role.setdefault(entry["role"], {"files": 0, "megabytes": 0.0})
            role["files"] += 1
            role["megabytes"] += entry["size"] / 1e6
        result.append({"name": manifest["dataset"], "targets": manifest["targets"], "roles": by_role})
    return result
