"""`python -m bundle upload`: datasets to Kaggle, and back again to see that all of it is there."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from bundle import dataset_metadata
from bundle.upload import checks
from bundle.upload.create import TokensLostError, landed, publish
from bundle.upload.destination import DatasetDestination, Destination, There
from bundle.upload.display import Display
from bundle.upload.expected import Expected, expected
from bundle.upload.model_destination import ModelDestination, licence_of
from bundle.upload.send import send_files
from bundle.upload.staging import Staging
from bundle.upload.verify import (
    Checked,
    MismatchError,
    ProcessingError,
    already_there,
    verify,
    wait_ready,
)
from bundle.upload.wires import Wires
from kit import manifest
from kit.command_line import option
from kit.errors import KitError
from kit.local.kaggle import state as states
from kit.local.kaggle.account import Account, account
from kit.local.kaggle.state import State
from kit.local.kaggle.waiting import Waiting, say
from kit.local.kaggle.wire import Wire
from kit.local.locks import only_one
from kit.local.wording import amount, counted
from kit.typed_json import above, at_least


@dataclass(frozen=True, kw_only=True)
class Uploading(Waiting):
    """How long Kaggle may take; files need hours where runs need days."""

    limit: Annotated[float, above(0)] = field(
        default=21_600.0, metadata=option("seconds for everything", metavar="SECONDS")
    )


@dataclass(frozen=True, kw_only=True)
class Options:
    """Upload datasets to Kaggle and read back what it has; an interrupted upload goes on where it was.

    Attributes:
        bundle: folder of dataset folders, or one of them.
        only: names of datasets; all if empty.
        kind: what datasets of weights become; wheels are always a dataset.
        model_licence: of the models; that of the dataset if None.
        owner: account they go to; the one they were built for if None.
        public: whether everybody may see them.
        dry_run: check and send nothing.
        jobs: files that are sent at once.
        verify: "hash" reads md5 sums where Kaggle tells them, "full" downloads every file.
        state: folder of the state files; `kaggle` beside the bundle if None.
        work: folder for files on their way.
        quota_gb: private space of the account.
        waiting: how long Kaggle may take.
    """

    bundle: Path = field(metadata=option("datasets made by `bundle build`", metavar="DIR"))
    only: tuple[str, ...] = field(
        default=(),
        metadata=option("a dataset's name, may be repeated (default: all)", metavar="NAME", repeat=True),
    )
    kind: Literal["dataset", "model"] = field(
        default="dataset", metadata=option("what weights become on Kaggle", flag="--as")
    )
    model_licence: str | None = field(
        default=None, metadata=option("of a model (default: the licence in the bundle)", metavar="NAME")
    )
    owner: str | None = field(
        default=None, metadata=option("your account (default: the one in the bundle)", metavar="NAME")
    )
    public: bool = field(default=False, metadata=option("everybody may see new datasets"))
    dry_run: bool = field(default=False, metadata=option("check everything and send nothing"))
    jobs: Annotated[int, at_least(1)] = field(
        default=4, metadata=option("files that are sent at once", metavar="N")
    )
    verify: Literal["hash", "full"] = field(
        default="hash", metadata=option("compare hashes, or download every file")
    )
    state: Path | None = field(
        default=None, metadata=option("state files (default: kaggle beside the bundle)", metavar="DIR")
    )
    work: Path = field(default=Path("build/uploads"), metadata=option("files on their way", metavar="DIR"))
    quota_gb: Annotated[float, above(0)] = field(
        default=200, metadata=option("private space of your account", metavar="GB")
    )
    waiting: Uploading = Uploading()


@dataclass(frozen=True)
class Verified:
    """A dataset that Kaggle holds as it was built; `skipped` if it was there before."""

    id: str
    version: int | None
    fingerprint: str
    url: str
    skipped: bool


@dataclass(frozen=True)
class _Plan:
    """One dataset folder, checked."""

    folder: Path
    destination: Destination
    there: There
    wanted: list[Expected]
    fingerprint: str
    staging: Staging


def upload(options: Options) -> list[Verified]:
    """Upload the datasets of a bundle, one after the other; check all of them before the first byte.

    Raises:
        KitError: something has to be corrected, Kaggle refuses, or it holds something else than was sent.
    """
    folders = _folders(options)
    checks.raise_findings([item for folder in folders for item in checks.folder_findings(folder)])
    on_line: Callable[[str], None] = say if options.waiting.verbose else lambda _: None
    with Wires(options.work / "client", options.waiting.limits(), on_line) as wires:
        plans = _plans(options, folders, wires.first, account(wires.first))
        if options.dry_run:
            for plan in plans:
                what = "a new version" if plan.there.exists else f"a new {plan.destination.kind}"
                size = sum(item.size for item in plan.wanted if item.inside is None)
                say(f"{plan.destination.id}: would become {what}, {amount(size)}")
            return []
        return [_upload_one(options, plan, wires) for plan in plans]


def _folders(options: Options) -> list[Path]:
    root = options.bundle
    if (root / manifest.NAME).is_file():
        return [root]
    found = sorted(path.parent for path in root.glob(f"*/{manifest.NAME}"))
    chosen = [path for path in found if not options.only or path.name in options.only]
    if absent := sorted(set(options.only) - {path.name for path in found}):
        raise KitError(
            f"no dataset {', '.join(absent)} in the bundle",
            where=root,
            fix=f"there are: {', '.join(path.name for path in found) or 'none'}",
        )
    if not chosen:
        raise KitError("no dataset in this folder", where=root, fix="run `bundle build` first")
    return chosen


def _plans(options: Options, folders: list[Path], wire: Wire, who: Account) -> list[_Plan]:
    """Check all datasets with Kaggle; nothing is sent but questions."""
    plans, found = [], []
    private: dict[str, int] = {}  # what this command adds to the account, and copies, before each dataset
    copied = 0
    for folder in folders:
        metadata = checks.metadata_of(folder)
        owner = metadata["id"].partition("/")[0]
        if options.owner is not None or owner == dataset_metadata.OWNER_PLACEHOLDER:
            owner = options.owner or who.name
        where = "--owner" if options.owner is not None else str(folder / dataset_metadata.NAME)
        if wrong := checks.owner_finding(who, owner, where):
            found.append(wrong)
            continue
        destination = _destination(options, folder, who.name, metadata)
        there = destination.look(wire)
        found += checks.remote_findings(wire, destination, there)
        wanted = expected(folder)
        found += checks.content_findings(folder, wanted)
        needed = sum(item.size for item in wanted if item.inside is None)
        quota = checks.quota_finding(wire, destination, needed, options.quota_gb * 1e9, before=private)
        if destination.private and destination.kind == "dataset":
            private[destination.id] = needed
        fingerprint = next(item.sha256 for item in wanted if item.file == manifest.NAME)
        staging = Staging(options.work, fingerprint, destination.kind)
        copied += staging.missing_bytes(folder, wanted)
        space = checks.space_finding(staging.folder, copied)
        found += [item for item in (quota, space) if item is not None]
        plans.append(_Plan(folder, destination, there, wanted, fingerprint, staging))
    checks.raise_findings(found)
    return plans


def _destination(
    options: Options, folder: Path, owner: str, metadata: Mapping[str, Any]
) -> DatasetDestination | ModelDestination:
    slug = str(metadata["id"]).partition("/")[2]
    roles = {entry.role for entry in manifest.load(folder / manifest.NAME).files}
    if options.kind == "dataset" or "weights" not in roles or "wheel" in roles:
        return DatasetDestination(owner, slug, metadata, private=not options.public)
    licence = licence_of(options.model_licence or metadata["licenses"][0]["name"])
    return ModelDestination(owner, slug, metadata, private=not options.public, licence=licence)


def _upload_one(options: Options, plan: _Plan, wires: Wires) -> Verified:
    """Take one dataset through all stages; each is repeatable after a kill."""
    folder = (
        options.state
        or (plan.folder.parent if options.bundle == plan.folder else options.bundle).resolve().parent
        / "kaggle"
    )
    path = states.path_of(folder, plan.destination.id)
    with only_one(states.lock_of(path), doing="sends this dataset"):
        job = _Job(options, plan, wires, path)
        try:
            return job.run()
        except (MismatchError, ProcessingError) as error:
            # What was sent may be what is wrong: the next run sends every file anew.
            plan.staging.forget()
            job.save(replace(job.state, stage="failed", reason=error.problem))
            raise


class _Job:
    """The stages of one dataset; `state` is what its file says."""

    def __init__(self, options: Options, plan: _Plan, wires: Wires, path: Path) -> None:
        self._options, self._plan, self._wires, self._path = options, plan, wires, path
        self._wire = wires.first
        former = states.load(path)
        self._resumed = (
            former is not None
            and former.fingerprint == plan.fingerprint
            and former.stage in {"publishing", "processing"}
        )
        whole = [item for item in plan.wanted if item.inside is None]
        fresh = State(
            kind=plan.destination.kind,
            id=plan.destination.id,
            url=plan.destination.url,
            fingerprint=plan.fingerprint,
            build_id=f"{plan.fingerprint[:16]}-{secrets.token_hex(4)}",
            stage="staged",
            private=plan.destination.private,
            files=len(whole),
            bytes=sum(item.size for item in whole),
            times={"started": states.now()},
        )
        self.state = former if former is not None and self._resumed else fresh

    def save(self, state: State) -> None:
        """Write the state."""
        self.state = state
        states.save(self._path, state)

    def run(self) -> Verified:
        """Send, publish, wait, read back."""
        plan, wire = self._plan, self._wire
        scratch = plan.staging.folder / "read-back"
        if self._resumed and (self.state.stage == "processing" or landed(plan.destination, wire, self.state)):
            self.save(replace(self.state, stage="processing"))
        elif there := already_there(plan.destination, wire, plan.wanted, plan.there, scratch):
            self.save(replace(self.state, version=plan.there.current))
            return self._verified(there, skipped=True)
        else:
            self._send_and_publish()
        with Display(0) as display:
            say_once = _changes(display.say)
            version = wait_ready(plan.destination, wire, self.state, say_once, record=self._path)
        self.save(replace(self.state, version=version, times={**self.state.times, "ready": states.now()}))
        full = self._options.verify == "full"
        checked = verify(plan.destination, wire, plan.wanted, version, scratch, full=full)
        return self._verified(checked)

    def _send_and_publish(self) -> None:
        plan = self._plan
        staged = plan.staging.stage(plan.folder, plan.wanted)
        for last in (False, True):
            self.save(replace(self.state, stage="uploading", attempts=0))
            what = f"{counted(self.state.files, 'file')}, {amount(self.state.bytes)}"
            say(f"{plan.destination.id}: sends {what}")
            with Display(self.state.bytes) as display:
                tokens = send_files(
                    plan.staging,
                    staged,
                    plan.destination.blob_type,
                    self._wires,
                    jobs=self._options.jobs,
                    display=display,
                )
            try:
                there = plan.destination.look(self._wire)
                self.save(
                    publish(plan.destination, self._wire, tokens, self.state, there=there, save=self.save)
                )
            except TokensLostError:
                plan.staging.forget()
                if last:
                    raise
            else:
                return

    def _verified(self, checked: Checked, *, skipped: bool = False) -> Verified:
        """Read the privacy once more; only then say "verified"."""
        plan = self._plan
        there = plan.destination.look(self._wire)
        if there.private is None:
            raise KitError(
                f"Kaggle does not say whether {plan.destination.id} is private, so anybody may see it",
                where=plan.destination.url,
                fix="look at its page, Settings; then run the same command again, which looks once more",
            )
        if there.private != plan.destination.private:
            has = "private" if there.private else "public"
            self.save(replace(self.state, stage="failed", reason=f"it is {has} on Kaggle"))
            raise KitError(
                f"{plan.destination.id} is {has} on Kaggle after the upload, which asked for the opposite",
                where=plan.destination.url,
                fix="change it on its page, Settings, then run the same command again",
            )
        counts = {"md5": checked.md5, "sha256": checked.sha256}
        self.save(
            replace(
                self.state,
                stage="verified",
                checked_by=counts,
                reason="",
                times={**self.state.times, "verified": states.now()},
            )
        )
        version = "" if self.state.version is None else f" version {self.state.version}"
        sent = "; nothing was sent, it was there before" if skipped else ""
        say(f"{plan.destination.id}{version}: verified, {counted(self.state.files, 'file')}{sent}")
        return Verified(
            plan.destination.id, self.state.version, plan.fingerprint, plan.destination.url, skipped
        )


def _changes(say: Callable[[str], None]) -> Callable[[str], None]:
    """Pass a line on only when it differs from the one before."""
    last = ""

    def once(text: str) -> None:
        nonlocal last
        if text != last:
            say(text)
        last = text

    return once


def run(options: Options) -> int:
    """Run the verb `upload`: one line of JSON for each dataset that is verified."""
    for item in upload(options):
        value = {"id": item.id, "version": item.version, "fingerprint": item.fingerprint, "url": item.url}
        print(json.dumps({**value, "skipped": item.skipped, "verified": True}))
    return 0
