"""What a recipe trains on: images, how they become examples, and labels that other networks made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from kit.typed_json import Checked, Fraction, above, at_least, at_most

Count = Annotated[int, at_least(1)]
Byte = Annotated[int, at_least(0), at_most(255)]


@dataclass(frozen=True, kw_only=True)
class PseudoRound(Checked):
    """Labels that trained networks give to unlabelled tiles (vasculature).

    Attributes:
        name: of the round; "exp2" and a threshold of 0.6 make the label set "exp2@0.6".
        dataset: number of the tiles' dataset.
        wsis: slides whose tiles are labelled; None takes all.
        teachers: recipes whose predictions are fused.
        threshold: smallest score of a label.
        iou: overlap from which detections of two teachers are one object.
        skip: detections with a lower score don't take part in the fusion.
        votes: teachers that have to find an object.
        closing: side in pixels of the square that closes holes in a mask; 0 closes none.
    """

    name: str
    dataset: int
    wsis: tuple[str, ...] | None = None
    teachers: tuple[str, ...]
    threshold: Fraction
    iou: Fraction = 0.6
    skip: Fraction = 0.0
    votes: Count = 1
    closing: Annotated[int, at_least(0)] = 0

    @property
    def label_set(self) -> str:
        """Name of the label set: round and threshold."""
        return f"{self.name}@{self.threshold:g}"


@dataclass(frozen=True, kw_only=True)
class ImageSet(Checked):
    """Images that are trained on.

    Attributes:
        dataset: number of the vasculature's dataset; None takes all.
        wsis: slides whose tiles are taken; None takes all.
        part: "fold" takes the training part of the fold; "all" takes every image, held-out ones too.
        labels: what labels the images; None is the truth.
    """

    dataset: int | None = None
    wsis: tuple[str, ...] | None = None
    part: Literal["fold", "all"] = "fold"
    labels: PseudoRound | None = None


@dataclass(frozen=True, kw_only=True)
class Data(Checked):
    """What one training example is.

    Attributes:
        tile: side, in source pixels, of the square that is read; None reads whole images.
        scale: network pixels per source pixel, e.g. 1/3: a tile of 3072 becomes 1024.
        crop: side, in network pixels, of the square cut from the resized tile; None takes all of it.
        crop_centre: probability that this square is the tile's centre, not a random place.
        object_tiles: share of examples centred on an annotated object; the others come from the grid. None
            is their natural share: each object and each grid tile once per epoch.
        sampling: "tiles" visits every object and grid tile once per epoch; "random" draws new places;
            "balanced" draws, anew each epoch, as many tiles with foreground as without, and those with
            foreground evenly over how much they have.
        offsets: of "balanced": where its grids of tiles begin, along both axes, in source pixels. A grid that
            is shifted has no tile over the image's edge.
        least_std: of "balanced": tiles whose values deviate by this or less are left out.
        image_side: whole images are resized to this square first; None keeps their own size.
        scale_range: sides, in network pixels, between which width and height of a whole image are drawn apart
            after augmentation.
        crop_cat_max_ratio: largest share of one class in a crop of a whole image; up to ten crops are tried.
        fill: colour of what is beyond a whole image where a crop is larger than it.
        stains: copies of the images in other stains that are used beside the originals.
        filter_empty: leave out tiles without instances.
        sets: images that are trained on; () takes all labelled images of the fold's training part, as does a
            competition whose images have no dataset number.
        drop_last: what is left of an epoch's examples behind its last whole step is left out; else it makes
            one more step, filled up with examples of the next epoch.
        examples_per_image: examples that one image stands for in an epoch (of "random", and of whole images).
        workers: data loader processes.
    """

    tile: Count | None
    scale: Annotated[float, above(0)]
    crop: Count | None
    crop_centre: Fraction = 0.0
    object_tiles: Fraction | None = None
    sampling: Literal["tiles", "random", "balanced"] = "tiles"
    offsets: tuple[Annotated[int, at_least(0)], ...] = (0,)
    least_std: Annotated[float, at_least(0)] = 0.0
    image_side: Count | None = None
    scale_range: tuple[Count, Count] | None = None
    crop_cat_max_ratio: Fraction = 1.0
    fill: tuple[Byte, Byte, Byte] = (0, 0, 0)
    stains: tuple[str, ...] = ()
    filter_empty: bool = True
    sets: tuple[ImageSet, ...] = ()
    drop_last: bool = False
    examples_per_image: Count = 1
    workers: Annotated[int, at_least(0)] = 4
