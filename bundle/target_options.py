"""The options that choose images; several verbs have them."""

from __future__ import annotations

from kit.command_line import option
from kit.local import targets

TARGETS = option(
    "image or Python tag (cp313), may be repeated (default: all)",
    flag="--target",
    metavar="NAME",
    repeat=True,
    names=targets.names,
)
FOLDER = option("descriptions of images (default: those of the kit)", metavar="DIR")
