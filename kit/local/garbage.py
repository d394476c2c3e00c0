"""How often Python looks for garbage: seldom while libraries are imported, as always in a training."""

from __future__ import annotations

import gc

_SELDOM, _USUAL = 10_000, 700
"""New objects after which Python looks; it does so after 700 by itself."""


def look_seldom() -> None:
    """Look seldom: while torch and mmdet are imported, Python would look through them again and again."""
    gc.set_threshold(_SELDOM, *gc.get_threshold()[1:])


def look_as_usual() -> None:
    """Look as often as Python does: garbage of a training may hold the memory of a GPU."""
    gc.set_threshold(_USUAL, *gc.get_threshold()[1:])


def look_no_more() -> None:
    """Leave what there is now to the end of the process, before which Python would look through it thrice."""
    gc.freeze()
