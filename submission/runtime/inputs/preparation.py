"""Makes libraries importable and verifies weights, in a thread beside the supervisor.

A mount that hangs blocks only this thread. Weights are verified in the order in which the ladder needs them,
and each is announced at once: the first pass does not wait until the last member's gigabytes are verified.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.manifest import Entry, Manifest
from submission.runtime.inputs.import_check import ImportCheck
from submission.runtime.inputs.mounts import find_datasets
from submission.runtime.inputs.package_plan import Plan, needed_by
from submission.runtime.inputs.packages import Packages
from submission.runtime.inputs.patience import end
from submission.runtime.inputs.restore import Found, Restorer


@dataclass(frozen=True, kw_only=True)
class DatasetsFound:
    """The mounts were searched.

    Attributes:
        roots: name of a dataset -> folder with its manifest.
        missing: datasets without a folder that holds their manifest.
        files: number of files that may be theirs.
    """

    roots: dict[str, str]
    missing: list[str]
    files: int


@dataclass(frozen=True, kw_only=True)
class WheelsRestored:
    """The wheels are verified.

    Attributes:
        files: one row per wheel: file, path, how it was found, and the seconds that this took.
        bytes: of all wheels.
        refused: distribution, or file of its wheel, -> why it cannot be used, beside what the plan refuses.
    """

    files: list[dict[str, Any]]
    bytes: int
    refused: dict[str, KitError]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The packages can be imported.

    Attributes:
        tool: the tool that installed them.
        plan: what was installed in the end.
        replaced: why copies of the image had to be replaced, one sentence each.
        unexplained: failed imports that no package explains.
        files, refused: as in `WheelsRestored`, with the wheels that replaced copies of the image.
    """

    tool: str
    plan: Plan
    files: list[dict[str, Any]]
    refused: dict[str, KitError]
    replaced: list[str]
    unexplained: list[str]


@dataclass(frozen=True, kw_only=True)
class WeightsReady:
    """A member's weights are verified.

    Attributes:
        member: index of the member.
        path: of the weights.
        how: the way in which they were found.
        bytes: of the file.
    """

    member: int
    path: str
    how: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class MemberLost:
    """A member cannot be prepared."""

    member: int
    error: KitError


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Preparing failed as a whole; `trace` is the traceback of an unexpected error."""

    error: KitError
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Nothing is left to prepare."""


News = DatasetsFound | WheelsRestored | Installed | WeightsReady | MemberLost | Broken | Prepared


@dataclass(frozen=True)
class Event:
    """Something that happened in the preparation thread, and its monotonic time."""

    news: News
    at: float


class Preparation:
    """Prepares packages and weights in a thread, and puts what happens into the queue `events`.

    Args:
        ensemble: members in use.
        manifests: of the datasets.
        plan: what to install.
        root: the input folder.
        site: where packages go.
        scratch: for links, caches and files out of archives.
        timeout: seconds one installer may take.
        start_check: starts an import check that writes its result into a file.

    Attributes:
        installers: what came of each installer so far, as `install` tells it.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        manifests: Sequence[Manifest],
        plan: Plan,
        *,
        root: Path,
        site: Path,
        scratch: Path,
        timeout: float,
        start_check: Callable[[Path], ImportCheck],
    ) -> None:
        self.ensemble, self.manifests, self.plan = ensemble, manifests, plan
        self.root, self.site, self.scratch, self.timeout = root, site, scratch, timeout
        self.start_check = start_check
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.installers: list[dict[str, Any]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def start(self, competition: Path) -> None:
        """Start the thread.

        Args:
            competition: folder with the competition's data, which is not searched for datasets.
        """
        threading.Thread(target=self._run, args=(competition,), name="preparation", daemon=True).start()

    def end(self) -> None:
        """End the installer and the import check: both are processes that would outlive this one."""
        self._ended = True
        for process in self._processes:
            end(process)

    def _on_process(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.append(process)
        if self._ended:
            end(process)

    def _tell(self, news: News) -> None:
        self.events.put(Event(news, time.monotonic()))

    def _run(self, competition: Path) -> None:
        try:
            self._prepare(competition)
        except KitError as error:
            self._tell(Broken(error=error))
        except Exception as error:  # noqa: BLE001 - a thread has nobody above it who would see this
            problem = KitError(f"preparing failed: {type(error).__name__}: {error}", where=self.root)
            self._tell(Broken(error=problem, trace=traceback.format_exc()))

    def _prepare(self, competition: Path) -> None:
        packages = Packages(
            needed_by(self.ensemble),
            self.manifests,
            self.plan,
            site=self.site,
            scratch=self.scratch,
            timeout=self.timeout,
            start_check=self.start_check,
            on_process=self._on_process,
            on_end=self.installers.append,
        )
        packages.begin()  # an import check takes some seconds: it runs beside the search
        datasets = find_datasets(self.root, self.manifests, competition)
        self._tell(
            DatasetsFound(
                roots={name: str(path) for name, path in datasets.roots.items()},
                missing=[item.dataset for item in self.manifests if item.dataset not in datasets.roots],
                files=len(datasets.files) + len(datasets.others),
            )
        )
        restorer = Restorer(datasets.files, self.scratch, self.manifests, datasets.rest)
        found, errors = restorer.restore(self.plan.wheels)
        # A wheel that is lost costs only the members that need it: without mmdet's, the U-Nets still run.
        lost = self.plan.lost_without(errors)
        size = sum(item.entry.size for item in found)
        self._tell(WheelsRestored(files=_files(found), bytes=size, refused=errors))
        for index, error in lost.items():
            self._tell(MemberLost(member=index, error=error))
        if len(lost) < len(self.ensemble.members):
            useful = [index for index in self._order() if index not in lost]
            weights = threading.Thread(target=self._weights, args=(restorer, useful), daemon=True)
            weights.start()  # reads the mount while the installer unpacks
            done = packages.install(restorer, found)
            for index, error in done.lost.items():
                if index not in lost:
                    self._tell(MemberLost(member=index, error=error))
            self._tell(
                Installed(
                    tool=done.tool,
                    plan=done.plan,
                    replaced=done.replaced,
                    unexplained=done.unexplained,
                    files=_files(done.found),
                    refused=errors | done.refused,
                )
            )
            weights.join()
        self._tell(Prepared())

    def _order(self) -> list[int]:
        """Members in the order of their first pass."""
        return list(dict.fromkeys(item.member for item in self.ensemble.passes))

    def _weights(self, restorer: Restorer, members: Sequence[int]) -> None:
        missing = {index: self._entries(self.ensemble.members[index].sha256) for index in members}
        for index, left in missing.items():
            if not left:
                name = self.ensemble.members[index].name
                error = KitError(
                    f"the bundle holds no weights for {name}", fix="render again with this ensemble's bundle"
                )
                self._tell(MemberLost(member=index, error=error))
        parts: dict[int, list[Found]] = {index: [] for index in members}

        # `restore` reports each file as soon as it is verified, in the order in which it was asked for. What
        # stays in `missing` has an error.
        def on_found(item: Found) -> None:
            for index, left in missing.items():
                if left.pop(item.entry.sha256, None) is not None:
                    parts[index].append(item)
                    if not left:
                        self._ready(index, parts[index])

        _, errors = restorer.restore(
            [entry for left in missing.values() for entry in left.values()], on_found
        )
        for index, left in missing.items():
            for entry in [*left.values()][:1]:
                self._tell(MemberLost(member=index, error=errors[entry.file]))

    def _entries(self, sha256: str) -> dict[str, Entry]:
        """The file of some weights, or its shards."""
        return {
            entry.sha256: entry
            for manifest in self.manifests
            for entry in manifest.files
            if entry.role == "weights" and sha256 in (entry.sha256, entry.part_of)
        }

    def _ready(self, index: int, parts: Sequence[Found]) -> None:
        """Tell where weights lie; shards get links in a new folder, from which they are loaded."""
        path = parts[0].path
        if len(parts) > 1:
            path = Path(tempfile.mkdtemp(prefix="shards-", dir=self.scratch))  # no links of a former call
            for number, item in enumerate(parts):
                (path / str(number)).symlink_to(item.path)
        how = max((item.how for item in parts), key=("as is", "renamed", "from an archive").index)
        size = sum(item.entry.size for item in parts)
        self._tell(WeightsReady(member=index, path=str(path), how=how, bytes=size))


def _files(found: Iterable[Found]) -> list[dict[str, Any]]:
    return [
        {"file": item.entry.file, "path": str(item.path), "how": item.how, "seconds": item.seconds}
        for item in found
    ]
