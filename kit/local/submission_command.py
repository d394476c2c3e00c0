"""The verbs `score` and `validate`: score a submission file, and check whether Kaggle would accept it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.artefacts import canonical_json
from kit.competitions.competition import Competition
from kit.competitions.definition import Split
from kit.competitions.path_pattern import spelled
from kit.competitions.report import Report
from kit.competitions.tables import read_table
from kit.errors import BAD_INPUT, KitError
from kit.local.competitions import scores, submission_files
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.named import named
from kit.local.competitions.scores import Score
from kit.local.console import working
from kit.local.submission_options import Options
from kit.local.wording import counted
from kit.predictions import Instances, Prediction


def _inspect(options: Options) -> tuple[LabelledData, list[str], Report, dict[str, Prediction]]:
    """Return the competition's data, the ids a submission has to hold, what is found in it, and its masks."""
    competition = named(options.competition)
    labelled = LabelledData(competition, options.data)
    ids = _ids(labelled, options.submission, options.split)
    # One LabelledData for both: what is decoded here for the comparison is not decoded again for the score.
    sizes, expected = _sizes(competition, options.data, ids), labelled.plausibility()
    checked = submission_files.inspect(competition, options.submission, ids, sizes, expected)
    return labelled, ids, *checked


def _ids(labelled: LabelledData, submission: Path, split: str) -> list[str]:
    """Return the ids the submission has to hold."""
    competition, data = labelled.competition, labelled.data
    report = Report(str(data))
    competition.check_folder(report, data)
    report.require_ok()
    # Public test images are often copies of training images. An id of both parts is taken for one to predict;
    # with `--split train` the file has to cover the training images all the same.
    if split == "auto":
        first = _first_image(competition, submission)
        in_train = _is_there(competition, data, first, "train")
        in_test = _is_there(competition, data, first, "test")
        if competition.format.images.train == competition.format.images.test:
            in_test = first in competition.test_ids(data)  # one folder: only the tables tell the parts
        split = "train" if in_train and not in_test else "test"
    return competition.test_ids(data) if split == "test" else labelled.train_ids()


def _is_there(competition: Competition, data: Path, image_id: str, split: Split) -> bool:
    """Return whether an image is there; False for ids that no file can have, which the validator names."""
    try:
        return bool(image_id) and spelled(competition.image_path(data, image_id, split)) is not None
    except KitError:
        return False


def _first_image(competition: Competition, submission: Path) -> str:
    """Return the id of the first row's image; empty if the file is of no use: the validator then says why."""
    try:
        rows = read_table(submission, competition.columns, more=True, key=competition.columns[0])
    except KitError:
        return ""
    return next(iter(competition.of_images(Report(""), rows[:1], None)), "")


def validate(options: Options) -> int:
    """Run the verb `validate`: 0 if Kaggle would accept the file, else 2.

    Raises:
        KitError: the competition or its folder cannot be used.
    """
    with working("reading the submission and how masks usually look"):
        labelled, _, report, _ = _inspect(options)
    told = Report(report.subject)
    labelled.tell(told)
    # What training truth is like matters here only as far as masks are compared with it.
    report.findings += [finding for finding in told.findings if finding.level == "alarm" or labelled.unusable]
    if options.json:
        findings = [asdict(item) for item in report.findings]
        _print_json(labelled, options, {"ok": report.ok, "findings": findings, "facts": report.facts})
    else:
        _print_report(report)
    return 0 if report.ok else BAD_INPUT


def score(options: Options) -> int:
    """Run the verb `score`.

    Raises:
        KitError: the file or the competition's folder cannot be used.
    """
    with working("reading the submission and the truth"):
        labelled, ids, report, predictions = _inspect(options)
        report.require_ok()
        truth = labelled.truth(ids)
    told = Report(report.subject)
    labelled.tell(told)
    report.findings += told.findings
    with working(f"scoring {counted(len(truth), 'image')}"):
        made, coco = scores.score(labelled.competition, truth, predictions), _coco(truth, predictions)
    if options.json:
        content = {"images": len(truth), **asdict(made), "coco": coco, "alarms": _alarms(report)}
        _print_json(labelled, options, content)
    else:
        for finding in report.findings:
            print(finding)
        _print_score(made, truth)
        if coco:
            values = ", ".join(f"{name} {_shown(value)}" for name, value in coco.items())
            print(f"COCO mAP (at most 100 detections an image): {values}")
    return 0


def _print_json(labelled: LabelledData, options: Options, content: Mapping[str, Any]) -> None:
    about = {"competition": labelled.competition.name, "submission": str(options.submission)}
    print(canonical_json({**about, **content}), end="")


def _coco(
    truth: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> dict[str, float | None] | None:
    """Return COCO's precisions, which most published networks report; None for semantic masks."""
    true = {key: mask for key, mask in truth.items() if isinstance(mask, Instances)}
    if not true:
        return None
    # Imported here, since only instance competitions need faster-coco-eval.
    from kit.local.metrics.coco_map import coco_map

    return asdict(
        coco_map(true, {key: own for key, own in predictions.items() if isinstance(own, Instances)})
    )


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _sizes(competition: Competition, data: Path, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the sizes of the images whose headers can be read; print a warning for each of the others."""
    sizes: dict[str, tuple[int, int]] = {}
    if competition.kind == "values":  # whose rows do not depend on sizes
        return sizes
    for image_id in ids:
        try:
            sizes[image_id] = competition.size_of(data, image_id)
        except KitError as error:
            print(f"warning: {error}", file=sys.stderr)
    return sizes


def _alarms(report: Report) -> list[str]:
    return [str(finding) for finding in report.findings if finding.level == "alarm"]


def _print_report(report: Report) -> None:
    for finding in report.findings:
        print(finding)
    for fact, value in report.facts.items():
        print(f"{fact}: {value:g}")
    count = len([finding for finding in report.findings if finding.level == "error"])
    alarms = len(_alarms(report))
    verdict = "valid" if report.ok else f"not valid: {count} error{'s' if count > 1 else ''}"
    print(f"{report.subject}: {verdict}" + (f", {alarms} alarm{'s' if alarms > 1 else ''}" if alarms else ""))


def _print_score(score: Score, truth: dict[str, Prediction]) -> None:
    if score.per_image:
        width = max(len("image"), *map(len, score.per_image))
        print(f"{'image':<{width}}  {score.metric.removeprefix('mean ')}")
        for image_id, value in score.per_image.items():
            print(f"{image_id:<{width}}  {value:.6f}")
    print(f"{score.metric} over {len(truth)} image{'s' if len(truth) > 1 else ''}: {score.value:.6f}")
