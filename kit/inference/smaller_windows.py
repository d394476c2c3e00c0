"""Smaller windows for a device whose memory does not hold a single one."""

from __future__ import annotations

from dataclasses import replace

from kit.ensemble import Member


def with_smaller_windows(member: Member, halvings: int) -> Member:
    """Return a member that sees images in windows of half the side, as often halved as said.

    What is kept of a window shrinks, the context around it and the scale stay: a core of 1536 pixels with a
    context of 384 becomes one of 768, and the network sees 512 x 512 instead of 768 x 768 (at a scale of
    1/3). A member that sees images at once stays as it is.
    """
    settings = dict(member.inference)
    for _ in range(halvings):
        if settings.get("core"):
            settings["core"] = max(1, settings["core"] // 2)
        elif settings.get("window"):
            settings["window"] = window = max(1, settings["window"] // 2)
            settings["size"] = max(1, settings["size"] // 2)
            settings["overlap"] = min(settings.get("overlap", 0), window // 2)
    return replace(member, inference=settings)
