"""Reads what a run works on: the command line, the embedded ensemble, the competition's test images.

`list_images` and the fallback need no numpy and open no image; `find_data` comes after them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit.artefacts import remove_leftovers, write_bytes
from kit.competitions import folder_of, of
from kit.competitions.folder import CompetitionFolder
from kit.competitions.listing import Listing
from kit.ensemble import Ensemble
from kit.ensemble import from_dict as ensemble_from
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.manifest import Manifest
from kit.manifest import from_dict as manifest_from
from submission.runtime.inputs.competition_mount import find_competition
from submission.runtime.result.submission_file import (
    MISSING,
    SILENCE,
    Size,
    Submission,
    csv_text,
    file_content,
    guess_sizes,
    image_sizes,
    make_way,
)
from submission.runtime.script.options import Options
from submission.runtime.script.process import within
from submission.runtime.script.script import Script

ENSEMBLE = "ensemble.json"
MANIFESTS = "manifests/"
IMPORTS = "imports.json"
"""Modules of other packages that the script imports, with the names it uses."""
MEGA = 1e6
_LISTED = 5
"""Number of images that one note names."""
_LONGEST_LOOK = 120.0
"""Seconds for reading the tables, and for reading all images' headers."""
_SHORTEST_LIST = 5.0
"""Seconds for the tables whatever the budget: without them there is no file at all."""
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
    def placeholder(self) -> bool:
        """Whether this is a commit run whose test part is a placeholder for that of the hidden rerun."""
        if self.paths or os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
            return False
        # Elsewhere than on Kaggle files that are there have to be images.
        commit = bool(os.environ.get("KAGGLE_KERNEL_RUN_TYPE"))
        return commit or all(reason == MISSING for reason in self.unreadable.values())

    @property
    def megapixels(self) -> dict[str, float]:
        """Size of every image whose header can be read, in 10^6 pixels."""
        sizes = self.submission.sizes
        return {image: sizes[image][0] * sizes[image][1] / MEGA for image in self.paths}


@dataclass(frozen=True)
class Listed:
    """The images to predict, as far as names and tables tell.

    Attributes:
        folder: of the competition.
        competition: without what needs numpy; tells where images lie.
        listing: ids, sizes and notes.
    """

    folder: Path
    competition: CompetitionFolder
    listing: Listing

    def write_fallback(self, path: Path) -> None:
        """Write the first submission.csv.

        Raises:
            KitError: it cannot be written; names a folder that can.
        """
        sizes = guess_sizes(self.listing.ids, self.listing.sizes)
        try:
            if path.parent.is_dir():
                remove_leftovers(path)
            if note := make_way(path):
                self.listing.notes.append(note)
            text = csv_text(self.competition, self.listing, sizes, {})
            write_bytes(path, file_content(self.competition, text))
        except OSError as error:
            fix = f"free space there, or check its rights{_elsewhere(path.parent)}"
            raise KitError(
                f"cannot write {path.name}: {error.strerror}", where=path.parent, fix=fix
            ) from error
        except KitError as error:
            fix = f"{error.fix}{_elsewhere(path.parent)}"
            raise KitError(error.problem, where=error.where, fix=fix) from error


def _elsewhere(folder: Path) -> str:
    """Name a folder that can be written instead of this one."""
    for place in (Path.cwd(), Path(tempfile.gettempdir())):
        if place != folder and os.access(place, os.W_OK) and shutil.disk_usage(place).free > MEGA:
            return f"; --output {place} can be written"
    return ""


def list_images(ensemble: Ensemble, options: Options) -> Listed:
    """Find the competition, and list the images to predict without opening one.

    Raises:
        KitError: the competition is not among the inputs, or its folder does not answer.
    """
    limit = min(_LONGEST_LOOK, max(_SHORTEST_LIST, options.budget / 4))
    try:
        return within(limit, lambda: _list(folder_of(ensemble), options.input))
    except TimeoutError as error:
        raise KitError(
            f"the competition's folder did not answer within {limit:g} s",
            where=options.input,
            fix="its mount may be dead: start the notebook again",
        ) from error


def _list(competition: CompetitionFolder, root: Path) -> Listed:
    notes: list[str] = []
    try:
        folder = find_competition(root, competition)
    except KitError as error:
        # A test part that is still empty has nothing by which the folder could be recognised but its name.
        named = (root / "competitions" / competition.slug, root / competition.slug)
        empty = [place for place in named if place.is_dir() and not competition.is_foreign(place)]
        if not empty:
            raise
        folder = empty[0]
        notes = [f"{folder} is taken as the data only because of its name: {error.problem}"]
    listing = competition.listing(folder)
    listing.notes[:0] = notes
    if twice := listing.repeated:
        listing.notes.append(f"listed twice or more, with one row each: {_some(twice)}")
    return Listed(folder, competition, listing)


def find_data(ensemble: Ensemble, options: Options, listed: Listed | None = None) -> Data:
    """Read the test images' sizes from their headers.

    Args:
        ensemble: knows the competition.
        options: of the command line.
        listed: the images; None: list them first.

    Raises:
        KitError: as `list_images`.
    """
    listed = listed or list_images(ensemble, options)
    competition, folder, ids = listed.competition, listed.folder, listed.listing.ids
    # A mount that hangs must not take the whole budget: sizes that are not read in time are guessed.
    limit = min(_LONGEST_LOOK, options.budget / 4)
    sizes, unreadable = image_sizes(competition, folder, ids, limit=limit, silence=min(SILENCE, limit / 4))
    paths = {image: competition.image_path(folder, image, "test") for image in sizes}
    try:
        infos = within(limit, lambda: {image: competition.info(folder, image, "test") for image in sizes})
    except TimeoutError:
        infos = {image: competition.metadata.info_of({}) for image in sizes}
    notes = [*listed.listing.notes, *_other_sizes(sizes, listed.listing.sizes)]
    notes += _put_right(ensemble, infos)
    notes += _unknown(ensemble, infos)
    # Masks have the size of the pixels; tables tell it where these cannot be read.
    all_sizes = guess_sizes(ids, {**listed.listing.sizes, **sizes})
    path = options.output / competition.format.submission.file
    submission = Submission(of(ensemble), ids, all_sizes, path, listed.listing)
    return Data(folder, paths, unreadable, infos, submission, notes)


def _other_sizes(sizes: Mapping[str, Size], told: Mapping[str, Size]) -> Iterator[str]:
    other = [image for image, size in sizes.items() if told.get(image, size) != size]
    if other:
        yield f"tables tell another size than the image itself, which counts: {_some(other)}"


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
        yield f"the {what} of {_some(images)} is not known: {follows}"


def _some(images: Sequence[str]) -> str:
    more = f" and {len(images) - _LISTED} more" if len(images) > _LISTED else ""
    return f"{', '.join(images[:_LISTED])}{more}"
