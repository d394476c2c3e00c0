"""Fetch a source distribution pinned by its sha256 from the index pip is configured with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple

from kit.artefacts import read_json, sha256_bytes, sha256_file, write_bytes
from kit.errors import KitError

_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class PinnedSdist:
    """One source distribution and no other: name, version, file name and hex sha256."""

    name: str
    version: str
    file: str
    sha256: str


def read_pin(path: Path) -> PinnedSdist:
    """The pin kept in a JSON file.

    Raises:
        KitError: the file is missing, or a field of it is missing, unknown or malformed.
    """
    record = read_json(path)
    try:
        pin = PinnedSdist(**record)
    except TypeError as error:
        raise KitError(f"not a pin of a source distribution: {error}", where=path) from error
    if not re.fullmatch(r"[0-9a-f]{64}", pin.sha256):
        raise KitError("the pinned sha256 is not 64 hex digits", where=path)
    return pin


def verified(path: Path, pin: PinnedSdist) -> Path:
    """`path`, once its content is known to be what the pin says.

    Raises:
        KitError: the file is missing or has another sha256.
    """
    if not path.is_file():
        raise KitError(f"{pin.file} is missing", where=path, fix="give the path of the downloaded file")
    found = sha256_file(path)
    if found != pin.sha256:
        raise _wrong_content(pin, found, path.stat().st_size, str(path))
    return path


def fetch(pin: PinnedSdist, cache: Path) -> Path:
    """The pinned file in `cache`, downloaded if it is not there or not whole.

    Raises:
        KitError: the index cannot be reached, does not have the file, or serves other content.
    """
    kept = cache / pin.file
    if kept.is_file() and sha256_file(kept) == pin.sha256:
        return kept
    index = pip_setting("index-url") or PYPI_SIMPLE_ENDPOINT
    data = _download(pin, index)
    found = sha256_bytes(data)
    if found != pin.sha256:
        raise _wrong_content(pin, found, len(data), index)
    write_bytes(kept, data)
    return kept


def pip_setting(name: str) -> str | None:
    """What pip would use for a global option such as "index-url": the environment, then its config files."""
    from_environment = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if from_environment:
        return from_environment
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", f"global.{name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or None if asked.returncode == 0 else None


def _download(pin: PinnedSdist, index: str) -> bytes:
    """The file's bytes, as the index serves them."""
    by_hand = f"download {pin.file} on a machine that can, and pass it with --sdist"
    with requests.Session() as session, PyPISimple(index, session=session) as client:
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
                f"cannot download {pin.file}: {error}", where=index, fix=f"check the network, or {by_hand}"
            ) from error
        return response.content


def _wrong_content(pin: PinnedSdist, found: str, size: int, where: str) -> KitError:
    return KitError(
        f"{pin.file} is not the pinned file: {size} bytes with sha256 {found}, expected {pin.sha256}",
        where=where,
        fix="it is truncated, damaged or another release: fetch it again from the public package index",
    )
