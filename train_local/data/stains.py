"""Copies of images in the stain of another image, by Macenko's method.

M. Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009. How the
published solution made its copies is not known; it shipped them.

What a stain takes away from the light adds up in optical densities, D = -ln(value / 256). So each pixel of
tissue is a sum of two stains, D = amount_1 * vector_1 + amount_2 * vector_2. A copy keeps the amounts and
takes the other image's vectors:

    a nucleus here              D = 0.9 * (0.65, 0.70, 0.29) + 0.1 * (0.27, 0.57, 0.78)    blue, brown (DAB)
    the same in the other stain D = 0.9 * (0.55, 0.75, 0.36) + 0.1 * (0.18, 0.97, 0.16)    blue, magenta (PAS)
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import kit
from kit import competitions
from kit.artefacts import remove_leftovers, write_bytes
from kit.competitions.images_format import SUFFIXES
from kit.errors import KitError
from kit.file_names import file_name
from kit.images.image_protocols import Reading
from kit.images.reading import ColourTiffs
from kit.local.competitions.labelled import LabelledData
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from train_local.data import content, processes, whole_images
from train_local.places import require_data, require_folder, require_outside

_LEAST = 0.15
"""Optical density below which, in any channel, a pixel is glass (Macenko's beta)."""
_END = 1.0
"""Percentile of the angles, and of the amounts, that counts as their end: single pixels are noise."""
_PIXELS = 1 << 20
"""Pixels that stains are measured on."""
_ROWS = 512
"""Rows that are recoloured at a time."""
_DENSITY = -np.log((np.arange(256) + 1) / 256).astype(np.float32)
"""Value of a byte -> optical density: 0 for 255, 5.5 for 0."""


@dataclass(frozen=True)
class Stain:
    """The two stains of an image.

    Attributes:
        vectors: unit vectors in optical density, red, green, blue; the one that takes more red away first.
        most: largest amount of each in the image.
    """

    vectors: tuple[tuple[float, ...], tuple[float, ...]]
    most: tuple[float, float]


@dataclass(frozen=True)
class Copy:
    """A copy that is to be made.

    Attributes:
        source: the image.
        reading: reads it.
        target: file of the copy, a JPEG.
        stain: that it gets.
        like: sha256 of the image that has this stain.
    """

    source: Path
    reading: Reading
    target: Path
    stain: Stain
    like: str


def make_copies(
    competition: str | Path, data: Path, out: Path, like: Mapping[str, Path], *, jobs: int | None = None
) -> int:
    """Make a copy of every labelled image in the stain of some other images; those that are there are kept.

    Args:
        competition: name in `kit.competitions`, or the TOML file that describes it.
        data: its folder.
        out: gets out/NAME/ID.jpg for every name of `like`, as `prepare` takes it for its stains.
        like: name of a stain -> an image in it.
        jobs: processes; None takes the processors for much data.

    Returns:
        The number of copies.

    Raises:
        KitError: an image cannot be read or shows no tissue, or the disk is full.
    """
    source = competitions.get(competition)
    require_data(data)
    require_folder("--out", out)
    require_outside("--out", out, data)
    ids = LabelledData(source, data).train_ids()
    if not ids:
        raise KitError("no image is labelled", where=data, fix="point --data at the unpacked competition")
    wanted = [(name, measured(path), content.hash_of(path)) for name, path in like.items()]
    paths = {image_id: source.image_path(data, image_id, "train") for image_id in ids}
    copies = [
        Copy(paths[image_id], source.reading, out / name / f"{image_id}.jpg", stain, digest)
        for name, stain, digest in wanted
        for image_id in ids
    ]
    remove_leftovers(out)
    workers = processes.number(jobs, len(wanted) * sum(path.stat().st_size for path in paths.values()))
    processes.each(run, copies, jobs=workers, description="stained copies")
    return len(copies)


def run(copy: Copy) -> None:
    """Make a copy if it is not there already."""
    inputs = {"image": content.hash_of(copy.source), "like": copy.like}
    try:
        if read_sidecar(copy.target, kind="stained copy")["inputs"] == inputs:
            return
    except KitError:
        pass  # not there, or damaged
    from PIL import Image

    image_HWC = whole_images.read_image(copy.source, copy.reading)
    own = measured(copy.source, copy.reading)
    stained_HWC = np.empty_like(image_HWC)
    for row in range(0, len(image_HWC), _ROWS):
        stained_HWC[row : row + _ROWS] = recoloured(image_HWC[row : row + _ROWS], own, copy.stain)
    buffer = io.BytesIO()
    Image.fromarray(stained_HWC).save(buffer, "JPEG", quality=95, subsampling=0)
    sidecar_path(copy.target).unlink(missing_ok=True)
    write_bytes(copy.target, buffer.getvalue())
    write_sidecar(
        copy.target,
        kind="stained copy",
        config={"method": "Macenko 2009", "least": _LEAST, "percentile": _END},
        inputs=inputs,
        code_version=kit.__version__,
    )


def measured(path: Path, reading: Reading | None = None) -> Stain:
    """Return the stains of an image file of any size; rows spread over the image are read.

    Args:
        path: the file.
        reading: reads the images of the competition; None for any other picture.

    Raises:
        KitError: the file is no image, or shows no tissue.
    """
    stain = stain_of(_sample(path, reading))
    if stain is None:
        raise KitError(
            "no tissue is found in this image, or it has one colour only",
            where=path,
            fix="take an image of stained tissue",
        )
    return stain


def stain_of(pixels_N3: NDArray[np.uint8]) -> Stain | None:
    """Return the two stains of some pixels; None if fewer than a hundred show tissue, or all have one colour.

    Tissue lies near a plane through 0 in optical densities, which the two main directions of its pixels span.
    In this plane the pixels fill an angle, whose two ends are the stains.
    """
    density_N3 = _DENSITY[pixels_N3]
    tissue_N3 = density_N3[(density_N3 >= _LEAST).all(axis=1)].astype(np.float64)
    if len(tissue_N3) < 100:
        return None
    plane_32 = np.linalg.eigh(np.cov(tissue_N3.T))[1][:, :0:-1]
    plane_32 *= np.where(plane_32.sum(axis=0) < 0, -1, 1)
    on_plane_N2 = tissue_N3 @ plane_32
    ends = np.percentile(np.arctan2(on_plane_N2[:, 1], on_plane_N2[:, 0]), [_END, 100 - _END])
    vectors_23 = np.stack([np.cos(ends), np.sin(ends)], axis=1) @ plane_32.T
    vectors_23 = np.abs(vectors_23[np.argsort(-np.abs(vectors_23[:, 0]))])
    vectors_23 /= np.linalg.norm(vectors_23, axis=1, keepdims=True)
    if np.linalg.svd(vectors_23, compute_uv=False)[1] < 1e-2:
        return None
    amounts_N2 = tissue_N3 @ np.linalg.pinv(vectors_23)
    most = np.percentile(amounts_N2, 100 - _END, axis=0)
    if most.min() <= 0:
        return None
    first, second = (tuple(float(value) for value in vector) for vector in vectors_23)
    return Stain((first, second), (float(most[0]), float(most[1])))


def recoloured(image_HWC: NDArray[np.uint8], own: Stain, other: Stain) -> NDArray[np.uint8]:
    """Return an image in another stain.

    Args:
        image_HWC: RGB.
        own: its stains.
        other: the stains that it gets; the largest amounts become the other's, too.
    """
    # One matrix takes densities to amounts, scales them and takes them back to densities.
    scale = np.diag(np.array(other.most) / np.array(own.most))
    matrix_33 = np.linalg.pinv(np.array(own.vectors)) @ scale @ np.array(other.vectors)
    density_HWC = _DENSITY[image_HWC] @ matrix_33.astype(np.float32)
    values: NDArray[np.uint8] = np.clip(np.rint(256 * np.exp(-density_HWC) - 1), 0, 255).astype(np.uint8)
    return values


def _sample(path: Path, reading: Reading | None) -> NDArray[np.uint8]:
    """At most about `_PIXELS` pixels, (N, 3)."""
    if reading is None and path.suffix.lower() not in SUFFIXES:
        image_HWC = whole_images.read_image(path)
        step = max(image_HWC.shape[0] * image_HWC.shape[1] // _PIXELS, 1)
        return image_HWC.reshape(-1, 3)[::step]
    with (reading or ColourTiffs()).open(path) as slide:
        bands = max(min(slide.height // 16, 64), 1)
        rows = [slide.height * (2 * band + 1) // (2 * bands) for band in range(bands)]
        step = max(slide.width * 16 * bands // _PIXELS, 1)
        parts = [slide.read_band(row, min(row + 16, slide.height)).reshape(-1, 3)[::step] for row in rows]
    return np.concatenate(parts)


def named(pairs: Sequence[str]) -> dict[str, Path]:
    """Read NAME=FILE, several times.

    Raises:
        KitError: there is no name or no such file, or a name comes twice.
    """
    found: dict[str, Path] = {}
    for pair in pairs:
        name, equals, file = pair.partition("=")
        if not equals or not name or file_name(name) != name or name in found:
            raise KitError(
                f"{pair!r} is no NAME=FILE with the name of a folder, or its name comes twice",
                where="--like",
                fix="write hubmap1=slide.tiff, for example",
            )
        if not Path(file).is_file():
            raise KitError("the image that has the stain is not there", where=file, fix="correct --like")
        found[name] = Path(file)
    return found
