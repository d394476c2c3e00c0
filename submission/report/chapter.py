"""Gather what the page says about one competition from the files that the steps left on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.competitions import of
from kit.competitions.competition import Competition
from kit.local.competitions.labelled import LabelledData
from kit.local.costs import load_with_costs
from kit.local.pages.charts import curves, running_mean
from kit.local.pages.held_out import caption, confident
from kit.local.pages.overlays import Overlay, make_overlay
from kit.local.sidecars import read_json_lines
from submission.report.timeline import Bar, timeline

_MOMENTS = {
    "fallback": "fallback written",
    "datasets": "datasets found",
    "installed": "installed",
    "verified": "bundle verified",
    "first_forward": "first forward pass",
    "deadline": "deadline",
    "stopped": "stopped",
}


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
    overlays: list[Overlay]
    loss_chart: str
    metric_chart: str
    timeline_chart: str
    run: dict[str, Any]
    ensemble: dict[str, Any]
    datasets: list[dict[str, Any]]
    script_kilobytes: float
    first_forward: float | None


def gather(sources: Sources, *, pictures: int) -> Chapter:
    """Read everything and draw the charts and overlays.

    Args:
        sources: where the files lie.
        pictures: largest number of overlays.

    Raises:
        KitError: a file of the chain is missing or damaged.
    """
    competition = of(load_with_costs(sources.dist / "ensemble.json"))
    run = read_json(sources.dist / "rehearsal" / "report.json")
    logs = training_logs(sources.runs)
    events = {event["name"]: event["seconds"] for event in reversed(run["events"])}
    return Chapter(
        name=sources.name,
        slug=competition.slug,
        metric=competition.metric,
        scores=read_json(sources.dist / "scores.json"),
        overlays=_overlays(competition, sources, pictures),
        loss_chart=_loss_chart(logs),
        metric_chart=_metric_chart(logs),
        timeline_chart=_timeline(run),
        run=run,
        ensemble=read_json(sources.dist / "ensemble.json"),
        datasets=_datasets(sources.dist / "bundle"),
        script_kilobytes=(sources.dist / "predict.py").stat().st_size / 1000,
        first_forward=events.get("first_forward"),
    )


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


def _timeline(run: dict[str, Any]) -> str:
    # Some events happen several times, e.g. one rung after the other. Reading them backwards keeps the first.
    seconds = {event["name"]: event["seconds"] for event in reversed(run["events"])}
    bars = [Bar("supervisor", "start", 0.0, seconds["fallback"])] if "fallback" in seconds else []
    if "installed" in seconds:
        bars.append(Bar("supervisor", "find and install", seconds.get("fallback", 0.0), seconds["installed"]))
    if "verified" in seconds and "installed" in seconds:
        bars.append(Bar("supervisor", "verify weights", seconds["installed"], seconds["verified"]))
    tasks = run.get("tasks", [])
    for event in run["events"]:
        if event["name"] == "device":
            # A worker is idle from its start until its first task: it imports torch and waits for the bundle.
            begins = [task["begin"] for task in tasks if task["worker"] == event["worker"]]
            until = min(begins, default=event["seconds"])
            bars.append(
                Bar(f"worker {event['worker']}", "import, wait for the bundle", seconds["start"], until)
            )
    for task in sorted(tasks, key=lambda task: (task["worker"], task["begin"])):
        label = f"pass {task['index'] + 1}" if task["kind"] == "pass" else task["kind"]
        bars.append(
            Bar(
                f"worker {task['worker']}",
                "failed" if "failed" in task else label,
                task["begin"],
                task["end"],
            )
        )
    marks = [
        (event["seconds"], _MOMENTS[event["name"]]) for event in run["events"] if event["name"] in _MOMENTS
    ]
    marks += [
        (event["seconds"], f"rung {event['rung'] + 1} written")
        for event in run["events"]
        if event["name"] == "rung"
    ]
    return timeline(bars, sorted(marks), budget=run.get("budget"))


def _datasets(bundle: Path) -> list[dict[str, Any]]:
    result = []
    for path in sorted(bundle.glob("*/manifest.json")):
        manifest = read_json(path)
        by_role: dict[str, dict[str, float]] = {}
        for entry in manifest["files"]:
            role = by_role.setdefault(entry["role"], {"files": 0, "megabytes": 0.0})
            role["files"] += 1
            role["megabytes"] += entry["size"] / 1e6
        result.append({"name": manifest["dataset"], "targets": manifest["targets"], "roles": by_role})
    return result


def _overlays(competition: Competition, sources: Sources, pictures: int) -> list[Overlay]:
    ids = competition.test_ids(sources.data)
    truth = LabelledData(competition, sources.data).truth(ids)
    sizes = {image_id: (truth[image_id].height, truth[image_id].width) for image_id in ids}
    predictions = competition.parse(sources.dist / "rehearsal" / "submission.csv", sizes)
    chosen = _spread(ids, pictures)
    longest = 1100 if len(chosen) == 1 else 520
    return [
        make_overlay(
            image_id,
            competition.image_path(sources.data, image_id, "test"),
            truth[image_id],
            confident(predictions[image_id], truth[image_id]),
            longest=longest,
            caption=caption(competition, truth[image_id], predictions[image_id]),
        )
        for image_id in chosen
    ]


def _spread(ids: list[str], count: int) -> list[str]:
    """Return `count` ids evenly spread over the list: 3 of a, b, c, d, e are a, c, e.

    So the choice does not depend on the scores.
    """
    count = min(count, len(ids))
    return [ids[round(index * (len(ids) - 1) / max(1, count - 1))] for index in range(count)]
