"""Images that are there in a commit run, to measure on: the test part's, then some of the training's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.info import ImageInfo
from submission.runtime.inputs.competition_data import MEGA, Data
from submission.runtime.result.submission_file import Size, Submission


@dataclass(frozen=True)
class KnownImage:
    """An image to measure on."""

    path: Path
    size: Size
    info: ImageInfo

    @property
    def megapixels(self) -> float:
        """Size in 10^6 pixels."""
        return self.size[0] * self.size[1] / MEGA


def choose(data: Data, count: int) -> dict[str, KnownImage]:
    """Return images to measure on, the smallest first: those of the test part, then some of the training's.

    Raises:
        KitError: there is none.
    """
    sizes, competition = data.submission.sizes, data.submission.competition
    test = sorted(data.paths, key=lambda image: sizes[image][0] * sizes[image][1])
    found = {
        image: KnownImage(data.paths[image], sizes[image], data.infos[image])
        for image in _spread(test, count)
    }
    pattern = competition.image_pattern("train")
    paths = {image: pattern.path(data.folder, image) for image in pattern.ids(data.folder)}
    for image in _spread(sorted(paths, key=lambda image: paths[image].stat().st_size), count - len(found)):
        try:
            size = competition.size_of(data.folder, image)
        except KitError:
            continue  # a damaged one
        found.setdefault(image, KnownImage(paths[image], size, competition.info(data.folder, image, "train")))
    if not found:
        raise KitError("there is no image to measure on, neither in the test part nor in the training's")
    return dict(sorted(found.items(), key=lambda item: item[1].megapixels))


def _spread(images: list[str], count: int) -> list[str]:
    """Return some of the images, at equal distances, the first and the last among them."""
    # 4 of the 10 images 0 to 9: 0, 3, 6, 9.
    if count <= 1 or len(images) <= count:
        return images[: max(0, count)]
    return [images[number * (len(images) - 1) // (count - 1)] for number in range(count)]


def repeated(data: Data, images: dict[str, KnownImage], count: int, folder: Path) -> Data:
    """Return so many images; where there are fewer, they come again under other ids."""
    turns = -(-count // len(images))
    copies = {
        image if turn == 0 else f"{image} again {turn}": found
        for turn in range(turns)
        for image, found in images.items()
    }
    copies = dict([*copies.items()][:count])
    sizes = {image: found.size for image, found in copies.items()}
    return Data(
        folder=data.folder,
        paths={image: found.path for image, found in copies.items()},
        unreadable={},
        infos={image: found.info for image, found in copies.items()},
        submission=Submission(
            data.submission.competition, list(copies), sizes, folder / data.submission.path.name
        ),
        notes=[],
    )
