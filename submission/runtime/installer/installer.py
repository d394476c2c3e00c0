"""Finds, verifies, restores and installs the wheels of a dataset, with the code that predict.py uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from kit.manifest import Manifest
from kit.requested import Asked, Requested
from submission.runtime.inputs.import_check import ImportCheck
from submission.runtime.inputs.install import offline_environment
from submission.runtime.inputs.mounts import Datasets, find_datasets
from submission.runtime.inputs.package_plan import Plan, make_plan
from submission.runtime.inputs.packages import Done, Packages
from submission.runtime.inputs.patience import end
from submission.runtime.inputs.restore import Found, Restorer
from submission.runtime.inputs.versions import accepts, python_tag
from submission.runtime.inputs.wheels import installed_version
from submission.runtime.installer import place as places
from submission.runtime.installer import words
from submission.runtime.installer.options import Options
from submission.runtime.installer.place import Place

_PATIENCE = 900.0
"""Seconds that one tool may take to install, or one import check to end."""


@dataclass
class Outcome:
    """What an installation came to.

    Attributes:
        site: folder of the packages; None if the image has everything.
        plan: what was decided about each distribution.
        errors: what is asked for and cannot be used -> why.
        again: a former run had installed it all.
    """

    site: Path | None
    plan: Plan
    errors: dict[str, KitError] = field(default_factory=dict)
    again: bool = False


class Installer:
    """Installs what a user asked for.

    Args:
        requested: what is asked for.
        manifest: of the dataset, with its wheels.
        options: of the command line.
        say: is called with each line for the user.
        write_script: writes this script into a folder and returns its path, for the import check.
    """

    def __init__(
        self,
        requested: Requested,
        manifest: Manifest,
        options: Options,
        *,
        say: Callable[[str], None],
        write_script: Callable[[Path], Path],
    ) -> None:
        self.requested, self.manifest, self.options = requested, manifest, options
        self._say, self._write_script = say, write_script
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self) -> Outcome:
        """Install what the image lacks.

        Raises:
            KitError: nothing can be installed: the dataset is missing or another one, the running Python has
                no wheels, or no disk has room.
        """
        tag, asked = python_tag(), self.requested.on(python_tag())
        if tag not in self.manifest.targets:
            raise KitError(
                f"this is Python {sys.version.split()[0]}, and {self.manifest.dataset} has no wheels for it: "
                f"it serves {', '.join(self.manifest.targets)}",
                where=sys.executable,
                fix="pin the notebook to an image with one of these, or build the bundle for this Python",
            )
        self._say(words.title(self.manifest, tag))
        with places.as_in_the_image(self.manifest, self.options.folder):
            needed = [[item.name] for item in asked]
            plan = make_plan(needed, [self.manifest])
            for line in words.of_image(self._unmet(tag)):
                self._say(line)
            if not plan.errors and (site := places.former(self.manifest, self.options.folder, plan)):
                return Outcome(site, plan, again=True)
            place = places.choose(self.manifest, self.options.folder, plan)
            if place.note is not None:
                self._say(f"  note        {place.note}")
            try:
                return self._install(asked, plan, place)
            finally:
                for process in self._processes:
                    end(process)
                place.remove_scratch()

    def _unmet(self, tag: str) -> Iterator[tuple[str, str, str]]:
        """Yield what the image's own packages do not meet: who asks, for what, and what there is."""
        for item in self.requested.of_image:
            version = installed_version(item.name)
            if tag in item.tags and version is not None and not accepts(item.accepts, version):
                yield item.asker, f"{item.name}{item.accepts}", version

    def _install(self, asked: Collection[Asked], plan: Plan, place: Place) -> Outcome:
        datasets, found, lost = self._restore(plan, place)
        tools: list[float] = []

        def on_end(told: dict[str, Any]) -> None:
            tools.append(told["seconds"])
            self._say(words.tool(told))

        packages = self._packages(asked, plan, place, on_end)
        begun = time.monotonic()
        done = packages.install(self._restorer(datasets, place), found)
        tried_s = time.monotonic() - begun - sum(tools)
        names = [item.name for item in asked]
        errors = {names[index]: error for index, error in {**done.lost, **lost}.items()}
        self._tell(done, errors)
        if works := [module for item in asked if item.name not in errors for module in item.modules]:
            self._say(words.imports(works, tried_s))
        installed = {
            item.entry.wheel.name: item.entry.wheel.version
            for item in done.found
            if item.entry.wheel is not None
        }
        if not installed:
            return Outcome(None, done.plan, errors)
        if not errors:
            places.mark(place.site, self.manifest, plan, installed)
        return Outcome(place.site, done.plan, errors)

    def _restore(self, plan: Plan, place: Place) -> tuple[Datasets, list[Found], dict[int, KitError]]:
        """Find and verify the wheels of the plan.

        Returns:
            The datasets, the verified wheels, and index of a line -> why it cannot be served.

        Raises:
            KitError: the dataset is not attached, or another one is, and the plan needs it.
        """
        root = self.options.input
        begun = time.monotonic()
        if not plan.wheels:
            return Datasets(), [], dict(plan.errors)
        if not root.is_dir():
            raise KitError(
                f"the folder of the inputs is not there, and {self.manifest.dataset} should be in it",
                where=root,
                fix="on Kaggle, add the dataset with Add Input; elsewhere, give its folder with --input",
            )
        datasets = find_datasets(root, [self.manifest], None)
        found, refused = self._restorer(datasets, place).restore(plan.wheels)
        if refused and not datasets.roots and not found:
            raise self._not_attached(root, datasets, next(iter(refused.values())))
        self._say(words.verified(found, time.monotonic() - begun))
        for error in refused.values():
            self._say(words.problem(error))
        return datasets, found, plan.lost_without(refused)

    def _restorer(self, datasets: Datasets, place: Place) -> Restorer:
        return Restorer(datasets.files, place.scratch, [self.manifest], datasets.rest)

    def _not_attached(self, root: Path, datasets: Datasets, first: KitError) -> KitError:
        """The error for a dataset of which no wheel was found: not attached, or another version of it."""
        name, there = self.manifest.dataset, []
        for file in datasets.files:
            if file.path.name == "manifest.json":
                try:
                    value = read_json(file.path)
                except KitError:
                    continue
                if isinstance(value, dict) and value.get("dataset") == name:
                    return KitError(
                        f"{name} is attached in another version than this cell was made for",
                        where=file.path,
                        fix="attach the version that was uploaded with it, or paste the install.py of the "
                        "attached version",
                    )
                there.append(str(value.get("dataset")) if isinstance(value, dict) else file.path.parent.name)
        folders = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
        others = f"other bundles are: {', '.join(sorted(there))}" if there else f"there is {folders}"
        if not datasets.files:
            first = KitError("")
        more = f"; {first.problem}" if first.problem and not there else ""
        return KitError(
            f"the dataset {name} is not attached; {others}{more}",
            where=root,
            fix=f"on Kaggle, Add Input > Datasets > {name}, then run this cell again; elsewhere, give its "
            "folder with --input",
        )

    def _packages(
        self, asked: Collection[Asked], plan: Plan, place: Place, on_end: Callable[[dict[str, Any]], None]
    ) -> Packages:
        environment = offline_environment(os.environ, place.scratch, place.site)
        script = self._write_script(place.scratch)
        command = [sys.executable, str(script), "--check-imports"]
        return Packages(
            [[item.name] for item in asked],
            [self.manifest],
            plan,
            site=place.site,
            scratch=place.scratch,
            timeout=_PATIENCE,
            start_check=lambda file: ImportCheck(command, environment, file),
            on_process=self._processes.append,
            on_end=on_end,
        )

    def _tell(self, done: Done, errors: Mapping[str, KitError]) -> None:
        for line in (*words.shadowed(done.plan), *words.kept(done.plan)):
            self._say(line)
        for text in done.replaced:
            self._say(f"  replaced    {text}")
        for text in done.unexplained:
            self._say(f"  WARNING     {text}")
        for name, error in errors.items():
            self._say(words.lost(name, error))
