"""Keep memory that was freed in the process, so that no computation waits for new pages."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Numbers of mallopt's parameters, from malloc.h of glibc."""
_GIANT = 1 << 30
"""Bytes. A block of this size or more still goes back to the system when it is freed."""
_LARGEST_INT = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Make glibc use the pages of large freed blocks again instead of returning them to the system.

    Returns:
        Whether the C library can do this. With another C library nothing changes.
    """
    # Every activation of a network on the CPU is a large block. By default glibc maps each block anew, and
    # the system clears its pages one by one when they are first written: up to two thirds of the time of a
    # convolution. The price: the process keeps the largest amount it ever needed. The next batch needs that
    # amount again anyway.
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Older glibc refuses so high a threshold but accepts 0 as the largest number of mapped blocks.
        kept = mallopt(_MMAP_THRESHOLD, _GIANT) or mallopt(_MMAP_MAX, 0)
        return bool(kept and mallopt(_TRIM_THRESHOLD, _LARGEST_INT))
    return False
