"""How long a call may take: its part of the run's time, and the gateway's deadline. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_PLANNED = 1.05
"""Of the images that are expected: for so many the time is planned, as the number may be wrong."""
_MORE = 0.1
"""Once that many came, this part of them is expected to come still, again and again."""
_LEAST_MARGIN = 2.0
_MARGIN = 0.05
"""Of the deadline: seconds kept free for what lies between the gateway's clock and ours."""
_FIRST_CALL = 1800.0
"""Seconds that the first call may take: it waits for the installation, and the gateway sets no limit."""


@dataclass
class Progress:
    """What came so far.

    Attributes:
        calls: that were answered.
        images: in them.
        inside: seconds that they took.
        outside: seconds between them, in which the gateway worked.
    """

    calls: int = 0
    images: int = 0
    inside: float = 0.0
    outside: float = 0.0

    def note(self, images: int, inside: float, outside: float) -> None:
        """Count an answered call."""
        self.calls += 1
        self.images += images
        self.inside += inside
        self.outside += outside


def share(images: int, progress: Progress, *, left: float, expected: int) -> float:
    """Return the seconds that a call may take, so that all that are to come can have as much.

    Args:
        images: in the call.
        progress: before it.
        left: seconds of the whole run.
        expected: images of the whole run.
    """
    # 1000 images expected, 450 came, 30,000 s left: planned for 600 more, 50 s each, less 2 s that the
    # gateway takes for each (900 s for 450), so a call of 2 images gets 96 s. After 1050 images, 105 more
    # are planned for, and so on: the time left is never given to one call alone.
    planned = _PLANNED * expected - progress.images
    to_come = max(planned if planned >= images else _MORE * progress.images, images)
    between = progress.outside / progress.images if progress.images else 0.0
    return max(0.0, left / to_come - between) * images


def margin(deadline: float) -> float:
    """Return the seconds before the gateway's deadline at which an answer has to be on its way."""
    # 60 s: 3 s; 1800 s: 90 s; 5 s: 2 s; 1 s: half of it.
    return min(max(_LEAST_MARGIN, _MARGIN * deadline), deadline / 2)


def limit(deadline: float, left: float, *, first: bool) -> float:
    """Return the seconds after which a call is answered with what there is.

    Args:
        deadline: of the gateway, seconds.
        left: seconds of the whole run.
        first: whether it is this process's first call.
    """
    # Of 30,600 s the first call takes 1800 s at most, of 600 s 150 s. A run whose time is over answers at
    # once.
    longest = max(deadline, min(_FIRST_CALL, left / 4)) if first else deadline
    return max(0.0, min(longest - margin(deadline), left))
