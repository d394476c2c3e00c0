"""Reads what a run works on: the command line, the embedded ensemble, the competition's test images."""

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
from submission.runtime.script.options import Options
from submission.runtime.script.script import Script

ENSEMBLE = "ensemble.json"
MANIFESTS = "manifests/"
MEGA = 1e6
_LISTED = 5
"""Number of images that one note names."""
_LONGEST_LOOK = 120.0
"""Seconds for reading all images' headers: the fallback cannot be written before."""
_PLAUSIBLE = (1 / 64, 8.0)
"""Smallest and largest ratio of the training's pixel size to an image's. Beyond these, the competition's
table is wrong, and windows could fill the memory."""


def embedded(script: Script) -> tuple[Ensemble, list[Manifest]]:
    """Return the ensemble and the manifests with which a script was rendered.

    Raises:
        KitError: the embedded text is damaged.
    """
    ensemble = ensemble_from(json.loads(script.parts[ENSEMBLE]), where=ENSEMBLE)
    paths = sorted(path for path in script.parts if path.startswith(MANIFESTS))
    return ensemble, [manifest_from(json.loads(script.parts[path]), where=path) for path in paths]


@dataclass(frozen=True)
class Data:
    """The competition's test images.

    Attributes:
        folder: of the competition.
        paths: image -> its file, for images whose header can be read.
        unreadable: image -> why its header cannot be read.
        infos: image -> pixel size, organ and so on, as far as known; for the images in `paths`.
        submission: has the ids and sizes.
        notes: one sentence for each fault of the competition's tables, and how it was handled.
    """

    folder: Path
    paths: dict[str, Path]
    unreadable: dict[str, str]
    infos: dict[str, ImageInfo]
    submission: Submission
    notes: list[str]

    @property
    def megapixels(self) -> dict[str, float]:
        """Size of every image whose header can be read, in 10^6 pixels."""
        sizes = self.submission.sizes
        return {image: sizes[image][0] * sizes[image][1] / MEGA for image in self.paths}


def find_data(ensemble: Ensemble, options: Options) -> Data:
    """Find the competition and read its test images' sizes.

    Raises:
        KitError: the competition is not among the inputs, or the data is of another one.
    """
    competition = of(ensemble)
    folder = find_competition(options.input, competition)
    listed = competition.test_ids(folder)
    ids = list(dict.fromkeys(listed))
    # A mount that hangs must not take the whole budget: sizes that are not read in time are guessed.
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
    """Remove pixel sizes that cannot be true; yield a note for each."""
    learned = [size for member in ensemble.members if (size := member.inference.get("pixel_size"))]
    for image, info in infos.items():
        found = info.pixel_size
        if found is None:
            continue
        if not all(_PLAUSIBLE[0] <= size / found <= _PLAUSIBLE[1] for size in learned):
            yield f"{found:g} um cannot be the pixel size of {image}: networks learned on {learned[0]:g} um"
            infos[image] = replace(info, pixel_size=None)


def _unknown(ensemble: Ensemble, infos: Mapping[str, ImageInfo]) -> Iterator[str]:
    """Yield a note for each fact that the ensemble would use and the competition's tables do not have."""
    if any(member.inference.get("pixel_size") for member in ensemble.members):
        unsized = [image for image, info in infos.items() if info.pixel_size is None]
        yield from _note("pixel size", unsized, "that of the training is used")
    if any(rung.settings.get("thresholds") for rung in ensemble.rungs):
        nameless = [image for image, info in infos.items() if not info.organ]
        yield from _note("organ", nameless, "the threshold for all organs is used")


def _note(what: str, images: Sequence[str], follows: str) -> Iterator[str]:
    if images:
        more = f" and {len(images) - _LISTED} more" if len(images) > _LISTED else ""
        yield f"the {what} of {', '.join(images[:_LISTED])}{more} is not known: {follows}"
