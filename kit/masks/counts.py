"""The characters of COCO's compressed counts (the COCO API's maskApi.c), for all masks of an image at once.

A loop in Python over 300 masks of 40 numbers takes far longer than these functions, which work on one digit
of all numbers at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError

Integers = NDArray[np.int64]

# The lengths 100, 3, 20, 5 (background, foreground, background, foreground) become the characters T33d02:
#
#     stored    100      3    20        5 - 3 = 2   from the 4th on: minus the number two places before
#     5 bits    4, 3     3    20, 0     2           the lowest 5 bits first: 100 = 4 + 32 * 3
#     + 32      36, 3    3    52, 0     2           if more bits follow
#     + 48      84, 51   51   100, 48   50          printable characters
#               T   3    3    d    0    2
#
# Numbers have a sign: a last digit of 16 to 31 means negative. So -2 (all ones, ending in 11110) is the one
# digit 30, N; and 20 needs the second digit 0, because 20 alone would mean -12.
_LONGEST = 12
"""Most characters of one number: 60 bits are more than any image's pixels need and fit into 64."""


def compress(lengths: Integers, numbers: Integers) -> list[bytes]:
    """Return the characters of every mask.

    >>> compress(np.array([100, 3, 20, 5, 7, 2]), np.array([4, 2]))
    [b'T33d02', b'72']

    Args:
        lengths: lengths of background and foreground in turns, one mask after another.
        numbers: how many lengths each mask has, at least one.
    """
    left = lengths.copy()
    first = np.cumsum(numbers) - numbers
    later = np.flatnonzero(places(numbers) >= 3)
    left[later] -= lengths[later - 2]
    digits: list[Integers] = []
    written: list[NDArray[np.bool_]] = []
    pending = np.ones(len(left), bool)
    while pending.any():
        digit = left & 0x1F
        left >>= 5
        more = np.where(digit & 0x10, left != -1, left != 0)
        digits.append(digit + np.where(more, 48 + 0x20, 48))
        written.append(pending)
        pending = pending & more
    chosen = np.stack(written, axis=1)
    characters = np.stack(digits, axis=1)[chosen].astype(np.uint8).tobytes()
    stops = np.cumsum(np.add.reduceat(chosen.sum(axis=1), first)).tolist()
    return [characters[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def expand(
    masks: Sequence[bytes], height: int, width: int, where: str | Path | None
) -> tuple[Integers, Integers]:
    """Return the lengths and numbers that `compress` was given.

    Args:
        masks: characters of one mask or more.
        height: rows of their image.
        width: columns of their image.
        where: file and row, for the error message.

    Returns:
        Lengths of background and foreground in turns of all masks, and how many of them each mask has.

    Raises:
        KitError: the bytes of a mask are no compressed counts, or those of an image of another size.
    """
    sizes = np.array([len(one) for one in masks])
    stops = np.cumsum(sizes)
    digits = np.frombuffer(b"".join(masks), np.uint8) - np.uint8(48)  # characters below 48 become large
    ends = np.flatnonzero((digits & 0x20) == 0)
    widths = np.diff(ends, prepend=-1)
    after = np.searchsorted(ends, stops)  # numbers up to the end of each mask
    fault = (
        bool((sizes == 0).any())
        or len(ends) == 0
        or int(digits.max()) > 0x3F
        or bool((ends[np.maximum(after - 1, 0)] != stops - 1).any())
        or int(widths.max()) > _LONGEST
    )
    if fault:
        raise KitError(
            "mask holds no COCO compressed counts",
            where=where,
            fix="use the `counts` bytes of pycocotools.mask.encode on a Fortran-ordered uint8 mask",
        )
    lengths = (digits[ends] & 0x1F).astype(np.int64)  # the last digit is the most significant one
    lengths -= (lengths & 0x10) << 1
    for digit in range(1, int(widths.max())):
        longer = np.flatnonzero(widths > digit)
        lengths[longer] = (lengths[longer] << 5) + (digits[ends[longer] - digit] & 0x1F)
    numbers = np.diff(after, prepend=0)
    place = places(numbers)
    odd = place & 1 == 1
    _add_up(lengths, odd, numbers // 2)
    _add_up(lengths, ~odd & (place > 0), (numbers - 1) // 2)
    require_size(lengths, numbers, (height, width), where)
    return lengths, numbers


def places(numbers: Integers) -> Integers:
    """Return the place of every number in its mask.

    >>> places(np.array([4, 2])).tolist()
    [0, 1, 2, 3, 0, 1]
    """
    return np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)


def require_size(
    lengths: Integers, numbers: Integers, size: tuple[int, int], where: str | Path | None
) -> None:
    """Refuse masks whose lengths are not those of an image.

    Args:
        lengths: lengths of background and foreground in turns, one mask after another.
        numbers: how many lengths each mask has, at least one.
        size: (height, width) of the image.
        where: file and row, for the error message.

    Raises:
        KitError: the lengths of a mask do not add up to the image's pixels, or one of them is negative.
    """
    first, pixels = np.cumsum(numbers) - numbers, size[0] * size[1]
    covered = np.add.reduceat(lengths, first)
    # The sum of huge lengths can overflow to the right number. Seen as unsigned, negative lengths are huge,
    # too.
    wrong = lengths.view(np.uint64) > pixels
    if (covered != pixels).any():
        holds = f"covers {covered[np.argmax(covered != pixels)]} pixels"
    elif wrong.any():
        holds = f"has a run of {lengths[np.argmax(wrong)]} pixels"
    else:
        return
    raise KitError(
        f"mask {holds}, the image has {size[0]} x {size[1]} = {pixels}",
        where=where,
        fix="encode masks at the image's own size, down the columns (Fortran order), background first",
    )


def _add_up(lengths: Integers, chain: NDArray[np.bool_], of_mask: Integers) -> None:
    """Undo the differences of a chain (every second number of a mask) in place.

    Args:
        lengths: of all masks.
        chain: which of them belong to the chain.
        of_mask: how many of the chain each mask has.
    """
    # The chain 3, 2, -1 of one mask and 7, 1 of the next have the running sums 3, 5, 4, 11, 12. Minus the sum
    # before each mask (0 and 4), they are the lengths 3, 5, 4 and 7, 8.
    sums = np.append(0, np.cumsum(lengths[chain]))
    lengths[chain] = sums[1:] - np.repeat(sums[np.cumsum(of_mask) - of_mask], of_mask)
