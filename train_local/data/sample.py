"""Make `sample/`: small data sets of real tissue in the layouts of three competitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kit.artefacts import sha256_bytes, sha256_file, write_bytes, write_text
from kit.errors import KitError
from train_local.data import sample_body, sample_kidney, sample_vasculature

SUMS = "SHA256SUMS"
_REGIONS, _NUCLEI, _SLIDE = (
    "bcss-tumour-regions",
    "bbbc038-histology-nuclei",
    "openslide-cmu1-small-region",
)
_MAKERS: dict[str, tuple[tuple[str, ...], Callable[..., dict[str, bytes]]]] = {
    "kidney": ((_REGIONS,), sample_kidney.make),
    "vasculature": ((_NUCLEI, _SLIDE), sample_vasculature.make),
    "body": ((_REGIONS, _NUCLEI), sample_body.make),
}
"""Competition -> the source folders, and what makes the files of them."""


def read_sums(folder: Path) -> dict[str, str]:
    """Return file name -> sha256 as listed in a folder's SHA256SUMS.

    Raises:
        KitError: there is no such list.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise KitError(f"{SUMS} is missing", where=folder, fix="point to the folder that holds it") from error
    return {name.strip(): digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def check_sums(folder: Path, names: Iterable[str] | None = None) -> None:
    """Compare files with their folder's SHA256SUMS.

    Args:
        folder: holds the files and the list.
        names: which of the listed files; all when None.

    Raises:
        KitError: a file is missing or differs.
    """
    listed = read_sums(folder)
    for name in listed if names is None else names:
        path = folder / name
        if not path.is_file():
            raise KitError("file is missing", where=path, fix=f"fetch the folder again; {SUMS} lists it")
        if sha256_file(path) != listed[name]:
            raise KitError(
                f"file differs from {SUMS}", where=path, fix="fetch it again, it was changed or damaged"
            )


def make_sample(source: Path, out: Path) -> None:
    """Write all sample data sets; the same source gives the same bytes (with the same codec libraries).

    Args:
        source: holds the source folders with their SHA256SUMS.
        out: gets a folder for each competition, with a SHA256SUMS; other files there are left alone.

    Raises:
        KitError: a source folder is missing or its files differ from their checksums.
    """
    # Sources are checked before anything is written: a changed source image would give a changed sample.
    for folder in (_REGIONS, _NUCLEI, _SLIDE):
        if not (source / folder).is_dir():
            raise KitError(
                f"source folder {folder}/ is missing",
                where=source,
                fix=f"give --source the folder that holds {_REGIONS}, {_NUCLEI} and {_SLIDE}",
            )
        check_sums(source / folder)
    for name, (folders, make) in _MAKERS.items():
        _write_all(out / name, make(*(source / folder for folder in folders)))


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in sorted(files.items()):
        write_bytes(folder / name, data)
    write_text(
        folder / SUMS, "".join(f"{sha256_bytes(data)}  {name}\n" for name, data in sorted(files.items()))
    )
