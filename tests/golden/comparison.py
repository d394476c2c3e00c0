"""The golden test: predict.py gives what an independent slow path gave, and always the same bytes.

A golden folder holds `ensemble.json`, `weights/`, `data/` (the test part of a competition) and
`expected.csv`, made by `tests/golden/slow_path.py` without this project's engine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit import ensemble as ensembles
from kit import manifest as datasets
from kit.artefacts import read_json, sha256_bytes, write_bytes
from kit.competitions import of
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.competitions import submission_files
from kit.local.masks.iou import iou_matrix
from kit.local.offline.kaggle_shape import mount
from kit.manifest import Entry, Manifest
from kit.masks import rle
from kit.predictions import Instances, Prediction, SemanticMask
from submission.render import render

LOWEST_IOU = 0.999
LARGEST_SCORE_DIFFERENCE = 1e-4
PICTURES = Path(__file__).parents[2] / "build" / "golden"
"""Where a comparison that fails leaves a page with expected, found and difference."""
_BUDGET = 3600.0
_LAST_LINES = 15
RUNS: dict[str, tuple[str, ...]] = {
    "one worker": ("--workers", "1"),
    "one worker again": ("--workers", "1"),
    "two workers": ("--workers", "2"),
    "batches of one": ("--workers", "2", "--batch-size", "1"),
}
"""The first three have to give identical bytes; all have to agree with the expected file."""
_SAME_BYTES = 3


@dataclass
class GoldenReport:
    """How a submission compares with the expected one.

    Attributes:
        images: compared.
        instances: compared; the mask of a semantic image counts as one.
        lowest_iou: of a mask with its expected one.
        largest_score_difference: of an instance.
        problems: what is outside the tolerance, empty when all is well.
    """

    images: int = 0
    instances: int = 0
    lowest_iou: float = 1.0
    largest_score_difference: float = 0.0
    problems: list[str] = field(default_factory=list)

    def require_ok(self, where: Path, picture: Path | None = None) -> None:
        """Raise what is wrong.

        Args:
            where: the submission that was judged.
            picture: page that shows the difference, for the message.

        Raises:
            KitError: there is at least one problem; the first three are told.
        """
        if self.problems:
            shown = "; ".join(self.problems[:3])
            more = f"; and {len(self.problems) - 3} more" if len(self.problems) > 3 else ""
            look = f"look at {picture}, " if picture else ""
            mend = "find the change that did it; if it is right, run `nox -s golden -- --make expected`"
            raise KitError(
                f"differs from the golden submission: {shown}{more}",
                where=where,
                fix=look + mend,
            )


def compare(expected: Path, got: Path, competition: Competition, data: Path) -> GoldenReport:
    """Hold one submission against another within the golden tolerance.

    Args:
        expected: the golden CSV.
        got: the CSV to judge.
        competition: whose format both have.
        data: its folder, for ids and sizes.

    Raises:
        KitError: one of them is not a submission of this competition.
    """
    ids = competition.test_ids(data)
    sizes = {image_id: competition.size_of(data, image_id) for image_id in ids}
    wanted, found = (submission_files.read(competition, path, sizes) for path in (expected, got))
    report = GoldenReport()
    if sorted(wanted) != sorted(found):
        report.problems.append(f"ids {sorted(found)} instead of {sorted(wanted)}")
        return report
    for image_id, truth in wanted.items():
        report.images += 1
        _compare_image(report, image_id, truth, found[image_id])
    return report


def compare_and_show(
    expected: Path, got: Path, competition: Competition, data: Path, picture: Path
) -> GoldenReport:
    """Do as `compare`, and require that nothing is wrong; else a page shows what is.

    Args:
        expected: the golden CSV.
        got: the CSV to judge.
        competition: whose format both have.
        data: its folder.
        picture: HTML file to write if something is wrong.

    Raises:
        KitError: as `compare`, or something is outside the tolerance; names the page.
    """
    report = compare(expected, got, competition, data)
    if report.problems:
        from tests.golden.picture import write_difference

        sizes = {image_id: competition.size_of(data, image_id) for image_id in competition.test_ids(data)}
        both = tuple(submission_files.read(competition, file, sizes) for file in (expected, got))
        write_difference(
            picture, problems=report.problems, competition=competition, data=data, predictions=both
        )
        report.require_ok(got, picture)
    return report


def _compare_image(report: GoldenReport, image_id: str, truth: Prediction, found: Prediction) -> None:
    if isinstance(truth, SemanticMask) and isinstance(found, SemanticMask):
        common = rle.intersection(truth.runs, found.runs)
        union = rle.area(truth.runs) + rle.area(found.runs) - common
        _note_iou(report, image_id, common / union if union else 1.0)
        return
    assert isinstance(truth, Instances)
    assert isinstance(found, Instances)
    if len(truth.masks) != len(found.masks):
        report.problems.append(f"{image_id}: {len(found.masks)} instances instead of {len(truth.masks)}")
        return
    ious: NDArray[np.float64] = iou_matrix(truth.masks, found.masks, truth.height, truth.width)
    free = np.ones(len(found.masks), bool)
    # Nearly equal scores may change places, so partners are found by their masks.
    for index, row in enumerate(ious):
        partner = int(np.where(free, row, -1.0).argmax())
        free[partner] = False
        _note_iou(report, f"{image_id} instance {index}", float(row[partner]))
        difference = abs(float(truth.scores[index] - found.scores[partner]))
        report.largest_score_difference = max(report.largest_score_difference, difference)
        if difference > LARGEST_SCORE_DIFFERENCE:
            report.problems.append(f"{image_id} instance {index}: score differs by {difference:.2g}")


def _note_iou(report: GoldenReport, what: str, iou: float) -> None:
    report.instances += 1
    report.lowest_iou = min(report.lowest_iou, iou)
    if iou < LOWEST_IOU:
        report.problems.append(f"{what}: mask IoU {iou:.5f}")


def weights_dataset(ensemble_file: Path, out: Path) -> Path:
    """A dataset folder with an ensemble's weights only, for an interpreter that has all packages.

    Args:
        ensemble_file: `weights/` is beside it.
        out: folder to make it in.
    """
    ensemble = ensembles.load(ensemble_file)
    folder = out / f"golden-{ensemble.competition}-weights"
    for member in ensemble.members:
        data = (ensemble_file.parent / "weights" / member.weights).read_bytes()
        if sha256_bytes(data) != member.sha256:
            raise KitError(
                f"weights of {member.name} are not those of the golden ensemble",
                where=ensemble_file.parent / "weights" / member.weights,
                fix="restore the committed file",
            )
        write_bytes(folder / member.weights, data)
    entries = [
        Entry(file=member.weights, size=member.size, sha256=member.sha256, role="weights")
        for member in ensemble.members
    ]
    datasets.save(folder, Manifest(dataset=folder.name, files=entries))
    return folder


def run_golden(
    folder: Path, work: Path, *, python: Path, runs: Sequence[str] = tuple(RUNS)
) -> dict[str, Any]:
    """Render predict.py for a golden ensemble, run it, compare.

    Args:
        folder: the golden folder.
        work: scratch and results; one folder a run.
        python: interpreter that has every package the members need.
        runs: names in `RUNS`.

    Returns:
        Run -> its `GoldenReport` as a dict with the sha256 of its submission.

    Raises:
        KitError: a run failed, gave other bytes than the first, or is outside the tolerance.
    """
    plan = ensembles.load(folder / "ensemble.json")
    competition = of(plan)
    dataset = weights_dataset(folder / "ensemble.json", work / "bundle")
    rendered = render(folder / "ensemble.json", work / "bundle", work / "predict.py")
    mount(work / "input", folder / "data", [dataset], competition)
    result: dict[str, Any] = {}
    same: dict[str, str] = {}
    for name in runs:
        got = _predict(python, rendered.script, work, name, rungs=len(plan.rungs))
        picture = PICTURES / f"{competition.name}-{name.replace(' ', '-')}.html"
        report = compare_and_show(folder / "expected.csv", got, competition, folder / "data", picture)
        digest = sha256_bytes(got.read_bytes())
        result[name] = {**asdict(report), "sha256": digest}
        if name in list(RUNS)[:_SAME_BYTES]:
            same[digest] = name
    if len(same) > 1:
        raise KitError(
            f"runs that have to be identical differ: {' and '.join(same.values())}",
            where=work,
            fix="something depends on the number of workers, their order or the clock",
        )
    return result


def _predict(python: Path, script: Path, work: Path, name: str, *, rungs: int) -> Path:
    output = work / name.replace(" ", "-")
    output.mkdir(parents=True, exist_ok=True)
    command = [str(python), str(script), "--input", str(work / "input"), "--output", str(output)]
    command += ["--device", "cpu", "--budget", f"{_BUDGET:g}", *RUNS[name]]
    done = subprocess.run(
        command, cwd=output, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    reached = (
        [rung for rung in read_json(output / "report.json").get("rungs", []) if rung["state"] == "done"]
        if done.returncode == 0
        else []
    )
    if len(reached) != rungs:
        tail = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise KitError(
            f"predict.py ({name}) ended with code {done.returncode}, {len(reached)} of {rungs} rungs done:\n"
            + tail,
            where=output,
            fix="read report.json and the lines above",
        )
    return output / "submission.csv"
