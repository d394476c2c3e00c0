"""Download wheels for another Python with pip: pinned, hash-checked, binary only, kept in a cache.

pip chooses the best wheel for the target's tags. The cache remembers this choice for each target, so that a
wheel downloaded for one target never changes what another one gets. Each use of a wheel compares its hash
with the lock.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle.wheel_versions import tags_of, told, with_wheel
from kit.artefacts import read_json, sha256_file, sha256_json, write_json
from kit.errors import KitError
from kit.local.lockfile import Pin, render
from kit.local.targets import Target
from kit.local.tool_environment import tool_environment

# pip has no machine-readable errors. Parts of its messages tell three cases apart: no network ("Failed to
# establish a new connection"), no wheel ("No matching distribution found for tool==3.1"), and another hash
# ("tool==1.0 from https://...:", then "Expected sha256 0000..." and "Got 9f86..." on lines of their own).
OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|Name or service not known|ProxyError|timed out"
    r"|Network is unreachable"
    r"|ConnectionResetError|Connection refused|SSLError|CERTIFICATE_VERIFY_FAILED"
)
"""Found in the output of pip when it cannot reach an index."""
_UNMATCHED = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)==(\S+)")
# Ignored the following versions that require a different python version: 1.3 Requires-Python <3.12; 1.4 ...
_REFUSED = r"(?:: |; ){version} Requires-Python (?P<python>[^;\n]+)"
_REFUSED_LATE = re.compile(r"Package '([^']+)' requires a different Python: \S+ not in '(?P<python>[^']+)'")
_OTHER_HASH = re.compile(r"(?:\s|^)([A-Za-z0-9._-]+)==(\S+) from .*\n\s+Expected", re.MULTILINE)


class NoWheelError(KitError):
    """A pinned release has no wheel that pip takes for a target.

    Args:
        problem: what is wrong, one sentence.
        fix: what to do about it.
        name: normalised, of the distribution.
        version: of the release.
        target: the image.
        refuses: its Requires-Python, if the release is refused for that reason; else "".
        others: releases that have a wheel there, newest first; empty if nobody can say.
    """

    def __init__(
        self,
        problem: str,
        *,
        fix: str,
        name: str,
        version: str,
        target: Target,
        refuses: str,
        others: Sequence[str],
    ) -> None:
        super().__init__(problem, fix=fix)
        self.name, self.version, self.target = name, version, target
        self.refuses, self.others = refuses, others


class WheelCache:
    """A folder of downloaded wheels for all targets.

    Args:
        folder: it is made when the first wheel is downloaded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashed: dict[tuple[str, int, int, int], str] = {}

    def fetch(self, pins: Sequence[Pin], target: Target) -> dict[str, Path]:
        """Return the wheels of some pins for a target; download missing ones in one call of pip.

        Returns:
            Name -> path, for every pin.

        Raises:
            KitError: a pin has no wheel for the target, a hash differs, or the index cannot be reached.
        """
        # The index says which file pip chose for a pin on this target: {"scipy==1.17.1 9c0a...":
        # "scipy-...whl"}. The same release has other files for other targets, so a name alone would not do.
        index = self._index(target)
        found = {pin.name: path for pin in pins if (path := self._kept(pin, index))}
        missing = [pin for pin in pins if pin.name not in found]
        if missing:
            found |= self._download(missing, target)
            index |= {_key(pin): found[pin.name].name for pin in missing}
            write_json(self._index_path(target), index)
        return found

    def _index_path(self, target: Target) -> Path:
        return self.folder / f"index-{target.tag}-glibc{target.glibc}.json"

    def _index(self, target: Target) -> dict[str, str]:
        """Return what the index says; a damaged one says nothing, and the wheels are downloaded again."""
        try:
            return {str(key): str(name) for key, name in read_json(self._index_path(target)).items()}
        except (KitError, AttributeError):
            return {}

    def _kept(self, pin: Pin, index: Mapping[str, str]) -> Path | None:
        """Return the wheel that a former call chose, if its hash is in the lock; remove a damaged one."""
        name = index.get(_key(pin))
        if name is None:
            return None
        path = self.folder / name
        if path.is_file() and self._sha256(path) in pin.hashes:
            return path
        path.unlink(missing_ok=True)
        return None

    def _sha256(self, path: Path) -> str:
        """Return a wheel's hash; read it once a run, though many targets share it."""
        # A file that is written again gets another inode or time, and is read again.
        state = path.stat()
        key = (path.name, state.st_ino, state.st_mtime_ns, state.st_size)
        if key not in self._hashed:
            self._hashed[key] = sha256_file(path)
        return self._hashed[key]

    def _download(self, pins: Sequence[Pin], target: Target) -> dict[str, Path]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KitError(
                f"the folder for downloads cannot be made: {error.strerror}",
                where=self.folder,
                fix="give a folder that can be written with --cache",
            ) from error
        # pip downloads into a folder of its own beside the cache. A killed download leaves nothing in the
        # cache.
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".download-") as name:
            scratch = Path(name)
            requirements = scratch / "wanted.txt"
            requirements.write_text(
                render([_anywhere(pin) for pin in pins], command="bundle"), encoding="utf-8"
            )
            done = subprocess.run(
                _pip_command(requirements, scratch / "wheels", target),
                env=tool_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise _complaint(done.stdout + done.stderr, pins, target)
            found: dict[str, Path] = {}
            for wheel in (scratch / "wheels").glob("*.whl"):
                digest = sha256_file(wheel)
                pin = next((pin for pin in pins if digest in pin.hashes), None)
                if pin is None:
                    raise KitError(
                        "pip downloaded a file whose sha256 is not in the lock",
                        where=wheel.name,
                        fix="check the package index, then run the command again",
                    )
                found[pin.name] = wheel.replace(self.folder / wheel.name)
            if lost := [pin.name for pin in pins if pin.name not in found]:
                raise KitError(
                    f"pip reported success but did not download {', '.join(lost)}",
                    where=self.folder,
                    fix="run the command again",
                )
            return found


def _key(pin: Pin) -> str:
    """Return the key under which pip's choice is kept. A release that gets new wheels gets a new key."""
    return f"{pin.name}=={pin.version} {sha256_json(list(pin.hashes))[:16]}"


def _anywhere(pin: Pin) -> Pin:
    """Return a pin without its marker: we evaluated it for the target, pip would do so for its own Python."""
    return Pin(name=pin.name, version=pin.version, hashes=pin.hashes)


def _pip_command(requirements: Path, out: Path, target: Target) -> list[str]:
    # --no-deps: `closure.walk` finds dependencies. --only-binary: a source distribution would run its
    # setup.py.
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", *tags_of(target)),
        *("--disable-pip-version-check", "--no-input", "--retries", "2"),
        *("--dest", str(out), "-r", str(requirements)),
    ]


def _complaint(output: str, pins: Sequence[Pin], target: Target) -> KitError:
    """Translate pip's output into an error that says which pin, which target and what to do."""
    by_hash = _OTHER_HASH.search(output)
    if by_hash or "DO NOT MATCH THE HASHES" in output:
        found = re.search(r"Got\s+([0-9a-f]{64})", output)
        what = f"{by_hash[1]}=={by_hash[2]}" if by_hash else "a wheel"
        return KitError(
            f"{what}: the sha256 of the downloaded wheel is not in the lock"
            + (f" (it is {found[1]})" if found else ""),
            fix="do not use the wheel; check the package index, or pin again with `python -m bundle lock`",
        )
    if OFFLINE.search(output):
        names = ", ".join(f"{pin.name}=={pin.version}" for pin in pins[:4])
        more = f" and {len(pins) - 4} more" if len(pins) > 4 else ""
        return KitError(
            f"the package index cannot be reached to download {names}{more}",
            fix="check the network and the proxy (HTTPS_PROXY), or copy the folder of --cache from a machine "
            "where this command has run",
        )
    # Of an index, pip reads Requires-Python first; of a folder's wheel, when it has it.
    late = _REFUSED_LATE.search(output)
    if unmatched := _UNMATCHED.search(output) or late:
        name = unmatched[1]
        version = next((pin.version for pin in pins if pin.name == canonicalize_name(name)), "")
        via = next((pin.via for pin in pins if pin.name == canonicalize_name(name)), ())
        asked = f"; it is needed by {', '.join(via)}" if via else ""
        others = [other for other in with_wheel(name, target) if other != version]
        refused = late or re.search(_REFUSED.format(version=re.escape(version)), output)
        return NoWheelError(
            f"{name}=={version} has no wheel for {target.tag} on {target.platforms()[0]} ({target.name})"
            f"{asked}{told(name, others)}",
            name=str(canonicalize_name(name)),
            version=version,
            target=target,
            refuses=refused["python"].strip() if refused else "",
            others=others,
            fix=f"write a release of {name} that has one into requirements.in and run "
            "`python -m bundle lock`, or leave out this target",
        )
    return KitError(
        f"pip could not download the wheels for {target.name}:\n"
        + "\n".join(output.strip().splitlines()[-8:]),
        fix="run the command again; it keeps the wheels that it has",
    )
