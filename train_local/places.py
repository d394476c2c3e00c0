"""Where data is read from, and where results may be written."""

from __future__ import annotations

from pathlib import Path

from kit.errors import KitError


def require_folder(flag: str, folder: Path) -> None:
    """Check a folder that results will be written into, before anything is done for them.

    Args:
        flag: the option that names it, for the message.
        folder: need not be there yet.

    Raises:
        KitError: it is a file or below one.
    """
    absolute = folder.absolute()
    there = next(place for place in (absolute, *absolute.parents) if place.exists())
    if not there.is_dir():
        raise KitError(f"{flag} is not a folder", where=there, fix="name a folder; it may be a new one")


def require_file(flag: str, file: Path) -> None:
    """Check the place of a file that will be written, before anything is done for it.

    Args:
        flag: as in `require_folder`.
        file: need not be there yet.

    Raises:
        KitError: it is a folder, or below a file.
    """
    if file.is_dir():
        raise KitError(f"{flag} is a folder", where=file, fix="name the file in it that is to be written")
    require_folder(flag, file.parent)


def require_outside(flag: str, folder: Path, data: Path) -> None:
    """Check that results do not go into the competition's folder.

    What is written there would count as the competition's, and the next preparation would find other data.

    Args:
        flag: the option that names `folder`, for the message.
        folder: as in `require_folder`.
        data: the competition's folder.

    Raises:
        KitError: the one is inside the other.
    """
    if folder.resolve().is_relative_to(data.resolve()):
        raise KitError(
            f"results would be written into the data folder {data}", where=flag, fix="choose another"
        )


def require_data(data: Path) -> None:
    """Check that the competition's folder is there.

    Raises:
        KitError: it is missing or is a file.
    """
    if not data.is_dir():
        raise KitError(
            "--data is not a folder" if data.exists() else "data folder is missing",
            where=data,
            fix="point --data at the competition's unpacked folder",
        )
