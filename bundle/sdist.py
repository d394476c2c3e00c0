"""Download a source distribution, pinned by its sha256, from the index that pip is configured with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import read_json, sha256_bytes, sha256_file, write_bytes
from kit.errors import KitError
from kit.local.tool_environment import tool_environment
from kit.typed_json import from_plain

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class PinnedSdist:
    """Exactly one source distribution: its name, version, file name and hex sha256."""

    name: str
    version: str
    file: str
    sha256: str


def read_pin(path: Path) -> PinnedSdist:
    """Read a pin from a JSON file.

    Raises:
        KitError: the file is missing, or one of its fields is missing, unknown or malformed.
    """
    pin = from_plain(PinnedSdist, read_json(path), where=path, fix="restore the file from the repository")
    if not re.fullmatch(r"[0-9a-f]{64}", pin.sha256):
        raise KitError(
            "the pinned sha256 does not have 64 hex digits",
            where=path,
            fix="restore the file from the repository",
        )
    return pin


def verified(path: Path, pin: PinnedSdist) -> Path:
    """Return `path` after a check that the file is the pinned one.

    Raises:
        KitError: the file is missing or has another sha256.
    """
    if not path.is_file():
        raise KitError(
            f"{pin.file} is missing", where=path, fix="give the path of the downloaded file with --sdist"
        )
    found = sha256_file(path)
    if found != pin.sha256:
        raise _wrong_content(pin, found, path.stat().st_size, str(path))
    return path


def fetch(pin: PinnedSdist, cache: Path) -> Path:
    """Return the path of the pinned file in `cache`; download it if it is missing or damaged.

    Raises:
        KitError: the index cannot be reached, does not have the file, or serves another file.
    """
    kept = cache / pin.file
    if kept.is_file() and sha256_file(kept) == pin.sha256:
        return kept
    # Imported here: it brings an HTML parser, and `python -m bundle --help` should answer at once.
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    index = pip_setting("index-url") or PYPI_SIMPLE_ENDPOINT
    data = _download(pin, index, cache)
    found = sha256_bytes(data)
    if found != pin.sha256:
        raise _wrong_content(pin, found, len(data), index)
    write_bytes(kept, data)
    return kept


def pip_setting(name: str) -> str | None:
    """Return pip's value of a global option such as "index-url", from the environment or pip's files."""
    return tool_environment().get("PIP_" + name.upper().replace("-", "_")) or None


def _download(pin: PinnedSdist, index: str, cache: Path) -> bytes:
    """Return the file's bytes as the index serves them."""
    import requests
    from pypi_simple import NoSuchProjectError, PyPISimple

    by_hand = f"download {pin.file} on a machine that can, and put it into {cache}"
    with requests.Session() as session, PyPISimple(index, session=session) as client:
        # The index that pip uses, with pip's certificates: behind a company's mirror nothing else works.
        session.verify = pip_setting("cert") or True
        try:
            page = client.get_project_page(pin.name, timeout=_TIMEOUT_SECONDS)
            url = next((package.url for package in page.packages if package.filename == pin.file), None)
            if url is None:
                raise KitError(f"the package index has no {pin.file}", where=index, fix=by_hand)
            response = session.get(url, timeout=_TIMEOUT_SECONDS)
            response.raise_for_status()
        except NoSuchProjectError as error:
            raise KitError(
                f"the package index has no project {pin.name}", where=index, fix=by_hand
            ) from error
        except (requests.RequestException, ValueError) as error:
            raise KitError(
                f"{pin.file} cannot be downloaded: {error}",
                where=index,
                fix=f"check the network and the proxy (HTTPS_PROXY), or {by_hand}",
            ) from error
        return response.content


def _wrong_content(pin: PinnedSdist, found: str, size: int, where: str) -> KitError:
    return KitError(
        f"{pin.file} is not the pinned file: {size} bytes with sha256 {found}, expected {pin.sha256}",
        where=where,
        fix="it is truncated, damaged or another release: download it again from the public package index",
    )
