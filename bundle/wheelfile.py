"""Write a wheel whose bytes depend on nothing but its content."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from kit.artefacts import write_bytes

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip entry can carry."""

_UNIX = 3
_PLAIN_FILE = 0o100644 << 16
"""A regular file, rw-r--r--, where a zip made on Unix keeps it."""


def write_wheel(path: Path, files: Mapping[str, bytes], *, dist_info: str) -> None:
    """Write a wheel: the given files and their RECORD, the same bytes whoever writes it, where and when.

    Entries are sorted and stored uncompressed: the output of deflate differs between builds of zlib.

    Args:
        path: the wheel to write.
        files: name inside the wheel -> content; METADATA and WHEEL included, RECORD not.
        dist_info: the `<name>-<version>.dist-info` folder that gets RECORD.

    Raises:
        KitError: the file cannot be written.
    """
    record_name = f"{dist_info}/RECORD"
    # The wheel format asks for the .dist-info at the end; RECORD is its last entry.
    names = sorted(files, key=lambda name: (name.startswith(f"{dist_info}/"), name))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.writestr(_entry(name), files[name])
        archive.writestr(_entry(record_name), _record(names, files, record_name))
    write_bytes(path, buffer.getvalue())


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = _PLAIN_FILE
    return entry


def _record(names: list[str], files: Mapping[str, bytes], record_name: str) -> str:
    """Rows of name, sha256 (URL-safe base64 without padding), size; RECORD itself without the latter two."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name in names:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(files[name])])
    rows.writerow([record_name, "", ""])
    return text.getvalue()
