"""Training examples of slides: squares read straight from the prepared arrays, at any offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kit.errors import KitError
from kit.images.reflection import reflected
from train_local.data import slides
from train_local.data.prepared import Prepared
from train_local.data.sampler import Position, generator, share, shuffled
from train_local.data.semantic_examples import SemanticExamples, covered, tensors

_KEPT_BLANK = 0.05
"""Share of the blank grid tiles that are kept (published)."""
_TRIES = 16
"""Draws for a place with tissue, or inside a large object; after them the last one is taken as it is."""


@dataclass(frozen=True)
class Place:
    """Centre of a tile.

    Attributes:
        slide: number of the slide.
        y: row, in training pixels.
        x: column.
        hard: whether its mask is cut at half a pixel, as that of published grid tiles; those of objects keep
            soft edges.
    """

    slide: int
    y: float
    x: float
    hard: bool = False


@dataclass
class _Slide:
    """The arrays of a slide, not read before they are needed."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    objects: NDArray[np.float32]
    grey: NDArray[np.float64]

    @classmethod
    def open(cls, files: slides.SlideFiles) -> _Slide:
        """Map the arrays into memory."""
        with np.load(files.places) as places:
            objects, grey = places["objects"], places["grey"]
        return cls(np.load(files.image, mmap_mode="r"), np.load(files.mask, mmap_mode="r"), objects, grey)

    def sums(self, top: int, left: int, side: int) -> NDArray[np.float64]:
        """Grey sums of the blocks that a tile touches inside the slide.

        With blocks of 32 pixels, a tile of 100 from row 40 touches the rows of blocks 1 to 4 (32 to 159).
        Slicing cuts off what is beyond the slide, where nothing was summed.
        """
        first_row, first_column = max(top, 0) // slides.BLOCK, max(left, 0) // slides.BLOCK
        last_row, last_column = -(-(top + side) // slides.BLOCK), -(-(left + side) // slides.BLOCK)
        return np.asarray(self.grey[first_row:last_row, first_column:last_column].sum(axis=(0, 1)))


def is_blank(sums: NDArray[np.float64]) -> bool:
    """Whether a tile shows no tissue (rule of the kidney 2nd place).

    It is glass if its mean grey is above 205 and the deviation below 20. It is black if the mean is below 10
    or more than 10 % of its pixels are below 10.

    Args:
        sums: count, sum, sum of squares and number of pixels below 10 of its grey values.
    """
    count, total, squares, dark = sums
    mean = total / count
    deviation = max(squares / count - mean**2, 0.0) ** 0.5
    return bool(mean < 10 or (mean > 205 and deviation < 20) or dark > 0.1 * count)


class SlideCrops(SemanticExamples):
    """Examples of a fold's slides; arguments as of `SemanticExamples`.

    How an example is found, for a recipe with tiles of 1024 and crops of 512 training pixels:

        1. a place: the centre of an object or of a grid tile, in turns ("tiles"), or drawn ("random");
        2. a tile of 1024 x 1024 around the place, of which only
        3. a crop of 512 x 512 is read: the tile's centre, or a random place in it, so that an object is not
           always in the middle of the crop;
        4. where the crop reaches over the slide's edge, the slide is mirrored there.

    Raises:
        KitError: the resolution was not prepared, or the recipe sets neither tile nor crop.
    """

    def _find(self, prepared: Prepared) -> None:
        data = self._data
        reduction = slides.reduction_of(data.scale)
        if reduction not in prepared.reductions:
            wanted = sorted({*prepared.reductions, reduction})
            raise KitError(
                f"slides were not prepared at 1/{reduction} of their resolution, which the recipe needs",
                where=prepared.root,
                fix=f"run `prepare` again with --scale {' '.join(f'1/{n}' for n in wanted)}",
            )
        if data.tile is None and data.crop is None:
            raise KitError(
                "a slide needs a tile or a crop size", where="recipe", fix="set data.tile or data.crop"
            )
        self._files = [slides.files_of(prepared.root, reduction, image_id) for image_id in self._ids]
        self._slides: list[_Slide] | None = None
        # In training pixels: a tile of 3072 source pixels at 1/3 is 1024. Without a tile the crop is the
        # tile.
        self._tile = max(round(data.tile / reduction), 1) if data.tile is not None else data.crop or 0
        self._crop = min(data.crop or self._tile, self._tile)
        self._objects, self._grid = self._places(self._open())
        # Natural shares: with 30 objects and 70 grid tiles, 0.3 of the examples are objects.
        natural = len(self._objects) / max(len(self._objects) + len(self._grid), 1)
        self._share = natural if data.object_tiles is None else data.object_tiles
        self._boxes = np.concatenate([slide.objects[:, :4] for slide in self._open()])

    def __len__(self) -> int:
        """Examples of an epoch."""
        if self._data.sampling == "random":
            return max(len(self._files) * self._data.examples_per_image, 1)
        return max(len(self._objects) + len(self._grid), 1)

    def image_of(self, position: Position) -> str:
        """Return the id of the slide that an example is cut from."""
        if self._data.sampling == "random":
            place = self._random_place(generator(self._seed, *position))
        else:
            place = self._walk(self._number(position))
        return self._ids[place.slide]

    def __getstate__(self) -> dict[str, object]:
        """Workers open the arrays themselves."""
        return {**self.__dict__, "_slides": None}

    def __getitem__(self, position: Position) -> tuple[Tensor, Tensor]:
        """Image uint8 (3, h, w) and covered part of each pixel float32 (1, h, w) in [0, 1]."""
        random = generator(self._seed, *position)
        drawn = self._data.sampling == "random"
        place = self._random_place(random) if drawn else self._walk(self._number(position))
        return self._example(place, random)

    @property
    def objects(self) -> int:
        """Number of objects on the slides."""
        return len(self._objects)

    def object_tile(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the tile of an object, as an example; the same one each time."""
        return self._example(self._objects[number], generator(self._seed, 0, number))

    def _example(self, place: Place, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        image_HWC, mask_HW = self._read(place, random)
        if place.hard:
            mask_HW = np.where(mask_HW > 127, 255, 0).astype(np.uint8)
        organ = self._organs[place.slide]
        image_HWC, mask_HW = self._augment(image_HWC, mask_HW, random, organ=organ)
        return tensors(image_HWC, covered(mask_HW))

    def _open(self) -> list[_Slide]:
        if self._slides is None:
            self._slides = [_Slide.open(files) for files in self._files]
        return self._slides

    def _places(self, opened: Sequence[_Slide]) -> tuple[list[Place], list[Place]]:
        """All object centres, and the centres of the grid tiles with tissue and of a few without."""
        objects = [
            Place(number, float(row[4]), float(row[5]))
            for number, slide in enumerate(opened)
            for row in slide.objects
        ]
        grid, random = [], np.random.default_rng(self._seed)
        for number, slide in enumerate(opened):
            height, width = slide.mask.shape
            for top in range(0, height, self._tile):
                for left in range(0, width, self._tile):
                    kept = random.random() < _KEPT_BLANK
                    if kept or not is_blank(slide.sums(top, left, self._tile)):
                        grid.append(Place(number, top + self._tile / 2, left + self._tile / 2, hard=True))
        return objects, grid

    def _walk(self, number: int) -> Place:
        """The `number`-th place: objects and grid tiles in their shares, each in a new order every round."""
        # `share` says which of the two sequences this example is from and its number there; `shuffled` turns
        # the number into a place. Without grid tiles all examples are objects, without objects all are grid
        # tiles.
        part = self._share if self._grid else 1.0
        of_objects, before = share(number, part if self._objects else 0.0)
        places = self._objects if of_objects else self._grid
        return places[shuffled(self._seed, int(of_objects), before, len(places))]

    def _random_place(self, random: np.random.Generator) -> Place:
        opened = self._open()
        if self._objects and random.random() < self._share:
            return self._inside_object(int(random.integers(len(self._objects))), random)
        # Slides are drawn by their area, so that every pixel of the training images has the same chance.
        areas = np.array([slide.mask.size for slide in opened], np.float64)
        for _ in range(_TRIES):
            number = int(random.choice(len(opened), p=areas / areas.sum()))
            height, width = opened[number].mask.shape
            place = Place(number, random.uniform(0, height), random.uniform(0, width))
            half = self._tile / 2
            if not is_blank(opened[number].sums(int(place.y - half), int(place.x - half), self._tile)):
                break
        return place

    def _inside_object(self, number: int, random: np.random.Generator) -> Place:
        """The centre of an object, or a random point inside it if the object is larger than a tile."""
        place, (y0, x0, y1, x1) = self._objects[number], self._boxes[number].tolist()
        if max(y1 - y0, x1 - x0) <= self._tile:
            return place
        # Always the same centre of a large region would show one tile of it again and again. Points are drawn
        # in its box until one is foreground.
        mask_HW = self._open()[place.slide].mask
        for _ in range(_TRIES):
            place = Place(place.slide, random.uniform(y0, y1), random.uniform(x0, x1))
            if mask_HW[int(place.y), int(place.x)] > 127:
                break
        return place

    def _read(self, place: Place, random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The crop of the tile around a place; outside the slide its mirror image.

        A tile of 1024 has 512 pixels more than a crop of 512. So the crop begins 0 to 512 pixels right of
        the tile's left edge, and 0 to 512 below its top; 256 and 256 is the centre.
        """
        slide = self._open()[place.slide]
        slack = self._tile - self._crop
        centred = random.random() < self._data.crop_centre
        down, right = (slack // 2, slack // 2) if centred else random.integers(0, slack + 1, 2).tolist()
        top = round(place.y - self._tile / 2) + down
        left = round(place.x - self._tile / 2) + right
        height, width = slide.mask.shape
        # Inside the slide the crop is a slice of the memory-mapped array. Over its edge, rows and columns are
        # named one by one: rows -2, -1, 0, 1 of a slide are its rows 2, 1, 0, 1.
        if top >= 0 and left >= 0 and top + self._crop <= height and left + self._crop <= width:
            area = (slice(top, top + self._crop), slice(left, left + self._crop))
            return np.array(slide.image[area]), np.array(slide.mask[area])
        rows, columns = reflected(top, top + self._crop, height), reflected(left, left + self._crop, width)
        cross = np.ix_(rows, columns)
        return slide.image[cross], slide.mask[cross]
