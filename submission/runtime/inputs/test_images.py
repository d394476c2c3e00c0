"""What a run is made of: the command line, the embedded plan, the competition's test part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit.competitions import of
from kit.competitions.submissions import repeated
from kit.ensemble import Ensemble
from kit.ensemble import from_dict as ensemble_from
from kit.images.info import ImageInfo
from kit.manifest import Manifest
from kit.manifest import from_dict as manifest_from
from submission.runtime.inputs.mounts import find_competition
from submission.runtime.result.submission_file import NAME, Submission, guess_sizes, image_sizes
from submission.runtime.script.script import Script

ENSEMBLE = "ensemble.json"
MANIFESTS = "manifests/"
MEGA = 1e6
_LISTED = 5
"""Images named in one note."""
_LONGEST_LOOK = 120.0
"""Seconds for all headers; until they are read not even the fallback can be written."""
_PLAUSIBLE = (1 / 64, 8.0)
"""Pixel size of the training over an image's; beyond, the table is wrong and windows may fill the memory."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line.

    Attributes:
        input: folder like /kaggle/input.
        output: folder for submission.csv and report.json.
        budget: seconds from process start until the process has ended.
        device: "auto", "cpu" or "cuda".
        workers: processes, None: one a GPU or core.
        batch_size: instead of the ensemble's, None: as tuned.
        stall: seconds without a sign of life after which a worker counts as stuck.
    """

    input: Path
    output: Path
    budget: float
    device: str
    workers: int | None
    batch_size: int | None
    stall: float


def embedded(script: Script) -> tuple[Ensemble, list[Manifest]]:
    """The ensemble and the manifests that a script was rendered with.

    Raises:
        KitError: the script was edited by hand and holds neither.
    """
    ensemble = ensemble_from(json.loads(script.parts[ENSEMBLE]), where=ENSEMBLE)
    paths = sorted(path for path in script.parts if path.startswith(MANIFESTS))
    return ensemble, [manifest_from(json.loads(script.parts[path]), where=path) for path in paths]


@dataclass(frozen=True)
class Data:
    """The competition's test part.

    Attributes:
        folder: of the competition.
        paths: image -> its file, for images whose header can be read.
        unreadable: image -> why not.
        infos: image -> pixel size and so on, for the same images; what is not known is left out.
        submission: knows ids and sizes.
        notes: what was wrong with the folder's tables and has been put up with, a sentence each.
    """

    folder: Path
    paths: dict[str, Path]
    unreadable: dict[str, str]
    infos: dict[str, ImageInfo]
    submission: Submission
    notes: list[str]

    @property
    def megapixels(self) -> dict[str, float]:
        """Size of every image whose header can be read."""
        sizes = self.submission.sizes
        return {image: sizes[image][0] * sizes[image][1] / MEGA for image in self.paths}


def find_data(ensemble: Ensemble, options: Options) -> Data:
    """Find the competition and measure its test images.

    Raises:
        KitError: not among the inputs, or of another competition.
    """
    competition = of(ensemble)
    folder = find_competition(options.input, competition)
    listed = competition.test_ids(folder)
    ids = list(dict.fromkeys(listed))
    limit = min(_LONGEST_LOOK, options.budget / 4)
    sizes, unreadable = image_sizes(competition, folder, ids, limit=limit)
    paths = {image: competition.image_path(folder, image, "test") for image in sizes}
    infos = {image: competition.info(folder, image, "test") for image in sizes}
    notes = [f"image {image} is listed twice and gets one row" for image in repeated(listed)]
    notes += _put_right(ensemble, infos)
    notes += _unknown(ensemble, infos)
    submission = Submission(competition, ids, guess_sizes(ids, sizes), options.output / NAME)
    return Data(folder, paths, unreadable, infos, submission, notes)


def _put_right(ensemble: Ensemble, infos: dict[str, ImageInfo]) -> Iterator[str]:
    """Take away pixel sizes that cannot be true."""
    usual = [size for member in ensemble.members if (size := member.inference.get("pixel_size"))]
    for image, info in infos.items():
        found = info.pixel_size
        if found is not None and not all(_PLAUSIBLE[0] <= size / found <= _PLAUSIBLE[1] for size in usual):
            yield f"{found:g} um cannot be the pixel size of {image}: networks learned on {usual[0]:g} um"
            infos[image] = replace(info, pixel_size=None)


def _unknown(ensemble: Ensemble, infos: Mapping[str, ImageInfo]) -> Iterator[str]:
    """What the ensemble would use and the competition's tables do not tell."""
    if any(member.inference.get("pixel_size") for member in ensemble.members):
        unsized = [image for image, info in infos.items() if info.pixel_size is None]
        yield from _note("pixel size", unsized, "taken to be the usual one")
    if any(rung.settings.get("thresholds") for rung in ensemble.rungs):
        nameless = [image for image, info in infos.items() if not info.organ]
        yield from _note("organ", nameless, "the threshold for all organs is used")


def _note(what: str, images: Sequence[str], follows: str) -> Iterator[str]:
    if images:
        more = f" and {len(images) - _LISTED} more" if len(images) > _LISTED else ""
        yield f"the {what} of {', '.join(images[:_LISTED])}{more} is not known: {follows}"
