"""Write a wheel whose bytes depend only on its content."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.metadata import Metadata

from bundle import stored_zip
from kit.errors import KitError

ANY = "py3-none-any"
"""Tag of a wheel for every Python 3 on every machine."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """The fields of core metadata 2.4 that our wheels have.

    Attributes:
        name: of the distribution.
        version: of it.
        summary: one line.
        licence: SPDX expression.
        licence_files: name -> content; they go into the wheel's metadata folder.
        requires_python: version specifier.
        requires: requirements as `Requires-Dist` takes them.
        extras: name of an extra -> its requirements, without markers.
        readme: Markdown, which an index shows.
        more: further header lines, field -> value.
    """

    name: str
    version: str
    summary: str
    licence: str
    licence_files: Mapping[str, bytes]
    requires_python: str
    requires: tuple[str, ...]
    readme: str
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more: tuple[tuple[str, str], ...] = ()

    @property
    def stem(self) -> str:
        """Start of the wheel's file name and of its metadata folder: no "-" inside name or version."""
        return f"{self.name.replace('-', '_')}-{self.version}"

    def metadata(self) -> str:
        """The METADATA file.

        Raises:
            KitError: a field is not what the format allows.
        """
        lines = [
            "Metadata-Version: 2.4",
            f"Name: {self.name}",
            f"Version: {self.version}",
            f"Summary: {self.summary}",
            *(f"{name}: {value}" for name, value in self.more),
            f"License-Expression: {self.licence}",
            *(f"License-File: {name}" for name in self.licence_files),
            f"Requires-Python: {self.requires_python}",
            *(f"Requires-Dist: {requirement}" for requirement in self.requires),
            *(line for extra, needs in self.extras.items() for line in _extra_lines(extra, needs)),
            "Description-Content-Type: text/markdown",
            "",
            self.readme,
        ]
        text = "\n".join(lines)
        try:
            Metadata.from_email(text, validate=True)
        except ExceptionGroup as group:
            problems = "; ".join(map(str, group.exceptions))
            raise KitError(
                f"the metadata of {self.name} is not valid: {problems}", fix="correct its pyproject.toml"
            ) from group
        return text


def _extra_lines(extra: str, needs: Sequence[str]) -> Iterator[str]:
    yield f"Provides-Extra: {extra}"
    for requirement in needs:
        yield f'Requires-Dist: {requirement} ; extra == "{extra}"'


def build(
    out: Path, about: Description, files: Mapping[str, bytes], *, build_tag: str = "", tag: str = ANY
) -> Path:
    """Write a wheel with everything in it: files, licences, METADATA, WHEEL and RECORD.

    Args:
        out: folder for it.
        about: its description.
        files: path inside the wheel -> content, of what gets installed.
        build_tag: distinguishes it from another build of the same version; starts with a digit.
        tag: the Pythons and machines that it fits, e.g. "cp311-cp311-linux_x86_64".

    Returns:
        The wheel, `<name>-<version>[-<build tag>]-<tag>.whl`.

    Raises:
        KitError: the description is not valid, or the file cannot be written.
    """
    dist_info = f"{about.stem}.dist-info"
    wheel_lines = [
        "Wheel-Version: 1.0",
        "Generator: kaggle-offline-kit",
        f"Root-Is-Purelib: {str(tag.endswith('-none-any')).lower()}",
        f"Tag: {tag}",
        *([f"Build: {build_tag}"] if build_tag else []),
    ]
    described = {
        **{f"{dist_info}/licenses/{name}": data for name, data in about.licence_files.items()},
        f"{dist_info}/METADATA": about.metadata().encode(),
        f"{dist_info}/WHEEL": ("\n".join(wheel_lines) + "\n").encode(),
    }
    wheel = out / ("-".join(part for part in (about.stem, build_tag, tag) if part) + ".whl")
    write_wheel(wheel, {**files, **described}, dist_info=dist_info)
    return wheel


def write_wheel(
    path: Path, files: Mapping[str, bytes], *, dist_info: str, programs: Collection[str] = ()
) -> None:
    """Write a wheel: the given files and their RECORD. The same files give the same bytes everywhere.

    Args:
        path: the wheel to write.
        files: name inside the wheel -> content; METADATA and WHEEL included, RECORD not.
        dist_info: the `<name>-<version>.dist-info` folder that gets RECORD.
        programs: names of the files that may be run; installers keep that right.

    Raises:
        KitError: the file cannot be written.
    """
    record_name = f"{dist_info}/RECORD"
    # Fixed order and a fixed date make the bytes depend on the content alone.
    # The wheel format asks for the .dist-info at the end; RECORD is its last entry.
    names = sorted(files, key=lambda name: (name.startswith(f"{dist_info}/"), name))
    record = _record(names, files, record_name).encode()
    whole = {**{name: files[name] for name in names}, record_name: record}
    stored_zip.write(path, whole, programs=programs)


def _record(names: list[str], files: Mapping[str, bytes], record_name: str) -> str:
    """Return RECORD: rows of name, sha256 (URL-safe base64 without padding) and size.

    tool.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
    tool-1.0.dist-info/RECORD,,
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name in names:
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(files[name])])
    rows.writerow([record_name, "", ""])
    return text.getvalue()
