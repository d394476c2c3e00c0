"""Ask the package index that pip is configured with when a package's newest release came out."""

from __future__ import annotations

from kit.errors import KitError

_TIMEOUT_SECONDS = 60


def last_releases(names: list[str]) -> dict[str, dict[str, str]]:
    """Return name -> version and date of the newest release that is no pre-release and was not taken back.

    Raises:
        KitError: the index does not answer, or does not know a package.
    """
    import requests
    from packaging.version import Version
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple

    from bundle.sdist import pip_setting

    found = {}
    index = pip_setting("index-url") or PYPI_SIMPLE_ENDPOINT
    with requests.Session() as session, PyPISimple(index, session=session) as client:
        for name in names:
            try:
                page = client.get_project_page(name, timeout=_TIMEOUT_SECONDS)
            except (requests.RequestException, NoSuchProjectError) as error:
                raise KitError(
                    f"the index does not tell the releases of {name}: {type(error).__name__}",
                    fix="check the network and pip's index-url, then run the command again",
                ) from error
            told = [
                (Version(item.version), item.upload_time)
                for item in page.packages
                if item.version and item.upload_time and not item.is_yanked and _is_version(item.version)
            ]
            final = [item for item in told if not item[0].is_prerelease] or told
            if not final:
                raise KitError(
                    f"the index tells no time of {name}'s releases",
                    fix="use an index with the JSON form of the simple API (PEP 700)",
                )
            newest = max(version for version, _ in final)
            first = min(time for version, time in final if version == newest)
            found[name] = {"version": str(newest), "date": first.date().isoformat()}
    return found


def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
