"""The pages of a TIFF as the kit finds them."""

from kit.images.directory import Directory
from kit.images.hyperstack import pages_of


def pages_in(path):
    """How many pages a file has, pyramid levels, labels and planes behind a lone page included."""
    with path.open("rb") as stream:
        return len(pages_of(path, Directory(path, stream.fileno(), path.stat().st_size)))
