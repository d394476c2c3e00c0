"""What a process does with memory that it has freed: keep it, so that nobody waits for new pages."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Numbers of mallopt's parameters (malloc.h of glibc)."""
_GIANT = 1 << 30
"""Bytes from which on a block still goes back to the system at once."""
_LARGEST_INT = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Have glibc use the pages of large freed blocks again instead of handing them back.

    Every activation of a network on the CPU is such a block. By default each is mapped anew, and the system
    clears its pages one by one as they are touched: up to two thirds of the time of a convolution. The
    process keeps what it once needed at the most, which is what it would need again in the next batch.

    Returns:
        Whether the C library knows how; where it is another one, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Older versions refuse a threshold that high, but not to map nothing at all.
        kept = mallopt(_MMAP_THRESHOLD, _GIANT) or mallopt(_MMAP_MAX, 0)
        return bool(kept and mallopt(_TRIM_THRESHOLD, _LARGEST_INT))
    return False
