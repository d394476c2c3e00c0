"""Which arrays a prepared folder needs, how large they are, and writing one of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import kit
from kit.errors import KitError
from kit.images.image_protocols import Reading
from kit.predictions import Prediction, SemanticMask
from train_local.data import processes, slides, whole_images
from train_local.data.prepared import Prepared
from train_local.recipes.settings import Data


@dataclass(frozen=True)
class ArrayJob:
    """The arrays of one image at one resolution.

    Attributes:
        image_id: of the image.
        source: its file, or that of a stained copy.
        mask: its truth; None for a stained copy, which shares that of the original.
        reading: reads the image.
        root: the prepared folder.
        reduction: source pixels, along one side, in one training pixel; 0 where `side` says the size.
        side: of the square that the whole image becomes; 0 where `reduction` says the size.
        stain: name of the copy; empty for the original.
        inputs: hashes of what the arrays are made from.
        size: bytes of the arrays.
    """

    image_id: str
    source: Path
    mask: SemanticMask | None
    reading: Reading
    root: Path
    reduction: int
    side: int
    stain: str
    inputs: dict[str, str]
    size: int

    @property
    def what(self) -> str:
        """What a person calls it."""
        if self.reduction:
            return f"slides at 1/{self.reduction}"
        return f"images of {self.side} x {self.side}" + (f", stain {self.stain}" if self.stain else "")

    def files(self) -> list[Path]:
        """Return the arrays' files."""
        if self.reduction:
            made = slides.files_of(self.root, self.reduction, self.image_id)
            return [made.image, made.mask, made.places]
        whole = whole_images.files_of(self.root, self.side, self.image_id, self.stain)
        return [whole.image] if self.mask is None else [whole.image, whole.mask]


def needed(recipes: Iterable[Data]) -> tuple[list[int], list[int]]:
    """Return the reductions and the sides at which recipes read their images.

    A recipe with `image_side` reads whole images of that size. Others read squares of a slide: at 1/3 if
    that is their scale; at full resolution if their scale is not one over an integer (1024 -> 320 pixels).
    """
    reductions, sides = set(), set()
    for data in recipes:
        if data.image_side is not None:
            sides.add(data.image_side)
        else:
            reductions.add(slides.stored_reduction(data))
    return sorted(reductions), sorted(sides)


def plan(
    made: Prepared, truth: Mapping[str, Prediction], stains: Mapping[str, Mapping[str, Path]]
) -> list[ArrayJob]:
    """Return all arrays of a prepared folder, whether or not they are there already."""
    jobs, reading = [], made.source.reading
    for image_id, image in made.images.items():
        mask = truth[image_id]
        if not isinstance(mask, SemanticMask):
            continue
        inputs = {name: made.inputs[f"{name}:{image_id}"] for name in ("image", "truth")}
        source = made.image_path(image_id)
        for reduction in made.reductions:
            # Three bytes of colour and one of mask for each training pixel.
            size = 4 * -(-image.height // reduction) * -(-image.width // reduction)
            jobs.append(ArrayJob(image_id, source, mask, reading, made.root, reduction, 0, "", inputs, size))
        for side in made.sides:
            size = 4 * side * side
            jobs.append(ArrayJob(image_id, source, mask, reading, made.root, 0, side, "", inputs, size))
            for stain, paths in stains.items():
                own = {"image": made.inputs[f"stain:{stain}:{image_id}"]}
                copy = paths[image_id]
                jobs.append(
                    ArrayJob(image_id, copy, None, reading, made.root, 0, side, stain, own, 3 * side * side)
                )
    return jobs


def run(job: ArrayJob) -> bool:
    """Write the arrays of a job if they are not there already; return whether they were written."""
    if job.reduction:
        files = slides.files_of(job.root, job.reduction, job.image_id)
        if slides.is_current(files, job.inputs):
            return False
        assert job.mask is not None
        slides.write(
            files,
            job.source,
            job.mask,
            job.reduction,
            reading=job.reading,
            inputs=job.inputs,
            code_version=kit.__version__,
        )
        return True
    made = {"inputs": job.inputs, "code_version": kit.__version__}
    whole = whole_images.files_of(job.root, job.side, job.image_id, job.stain)
    todo = [path for path in job.files() if not whole_images.is_current(path, job.inputs)]
    if whole.image in todo:
        reading = None if job.stain else job.reading
        whole_images.write_image(whole.image, job.source, job.side, reading=reading, **made)  # type: ignore[arg-type]
    if whole.mask in todo and job.mask is not None:
        whole_images.write_mask(whole.mask, job.mask, job.side, **made)  # type: ignore[arg-type]
    return bool(todo)


def missing(jobs: Sequence[ArrayJob]) -> list[ArrayJob]:
    """Return the jobs of which a file is not there. Damaged and outdated files are found by `run`."""
    return [job for job in jobs if not all(path.is_file() for path in job.files())]


def require_space(jobs: Sequence[ArrayJob], root: Path) -> None:
    """Check that the disk holds the arrays that are missing.

    Raises:
        KitError: it does not; says how much is needed and what to do.
    """
    size, free = sum(job.size for job in missing(jobs)), free_space(root)
    if size > free:
        raise KitError(
            f"the arrays need {size / 2**30:.1f} GiB, the disk has {free / 2**30:.1f} GiB free",
            where=root,
            fix="choose an --out on a larger disk, or prepare fewer resolutions with --scale",
        )


def free_space(root: Path) -> int:
    """Return the free bytes of the disk that a folder is or will be on."""
    place = root.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def write_all(jobs: Sequence[ArrayJob], workers: int | None) -> None:
    """Write what is missing, in parallel; each array is whole or absent, so a kill costs one array a process.

    Raises:
        KitError: an image cannot be read, or the disk is full.
    """
    size = sum(job.size for job in jobs)
    processes.each(run, jobs, jobs=processes.number(workers, size), description="training arrays")
