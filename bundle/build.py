"""`python -m bundle build`: ensemble + lock -> one dataset of wheels and one of weights for each ensemble.

The command checks its input before the first download. It downloads and verifies everything before it writes
the first file into a dataset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rich.table import Table

from bundle import dataset, dataset_metadata, former, licences, weights_dataset, wheels_dataset
from bundle.closure import Closure
from bundle.companions import companions
from bundle.dataset import Content, Written
from bundle.foreign.wheels import ForeignWheel, foreign_wheels, require_imported
from bundle.native.verb import native_wheels
from bundle.own_wheels import OWN_WHEELS
from bundle.roots import ROOTS, Root
from bundle.shadow import Shadow, shadow_table
from bundle.shadow_report import summary
from bundle.target_options import TARGETS
from bundle.weights_form import WeightsForm
from kit.command_line import option
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local import lockfile, targets
from kit.local.console import console, progress
from kit.local.costs import load_with_costs
from kit.local.lockfile import Pin
from kit.local.targets import Target


@dataclass(frozen=True, kw_only=True)
class Options:
    """Make dataset folders ready for Kaggle.

    Attributes:
        ensembles: `ensemble.json` files, one per competition, each with its `weights` folder beside it.
        out: folder for the datasets.
        owner: Kaggle account that will own them.
        prefix: start of the datasets' names.
        licence: of the weights; the wheels' dataset is "other", since each wheel has its own.
        cache: folder of downloaded wheels.
        lock: `requirements.lock`.
        targets: names or Python tags of the images the wheels must install on; all known ones if empty.
        accept_licence: normalised names of distributions whose licence the user has read and accepts.
        foreign: list of sources to build wheels of; None: `foreign.in`, if it is there.
        native_mmcv: ship mmcv's own operators, compiled, beside the portable ones.
        roots: distributions to ship with all they need.
        weights: their form.
        json: print the datasets for other programs.
    """

    ensembles: tuple[Path, ...] = field(
        metadata=option("may be repeated", flag="--ensemble", metavar="FILE", repeat=True)
    )
    out: Path = field(metadata=option("folder for the datasets", metavar="DIR"))
    owner: str = field(
        default=dataset_metadata.OWNER_PLACEHOLDER,
        metadata=option(
            "your Kaggle user name; without it the upload takes that of the credentials", metavar="NAME"
        ),
    )
    prefix: str = field(default="hubmap-kit", metadata=option("start of the datasets' names", metavar="TEXT"))
    licence: str = field(
        default="other", metadata=option("of the weights, a name Kaggle knows", metavar="NAME")
    )
    cache: Path = field(default=Path("build/wheels"), metadata=option("downloads", metavar="DIR"))
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))
    targets: tuple[str, ...] = field(default=(), metadata=TARGETS)
    accept_licence: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "ship this package though its licence is unknown or forbids copies, may be repeated",
            metavar="NAME",
            repeat=True,
        ),
    )
    foreign: Path | None = field(
        default=None,
        metadata=option(
            "sources to build wheels of, one a line (default: foreign.in, if it is there)", metavar="FILE"
        ),
    )
    native_mmcv: bool = field(
        default=False,
        metadata=option("compile mmcv's operators for the images that this machine or docker can serve"),
    )
    roots: Sequence[Root] = ROOTS
    weights: WeightsForm = field(default_factory=WeightsForm)
    json: bool = field(default=False, metadata=option("print the datasets in JSON"))


def build(options: Options) -> list[tuple[Path, Written]]:
    """Make the datasets: `<prefix>-<competition>-wheels`, and `-weights` for each ensemble.

    The wheels of several ensembles are `<prefix>-wheels`. What an earlier build of the same
    ensembles left in the folder under other names is removed at the end.
    The same inputs give the same bytes, also if the command was killed and runs again.

    Returns:
        Each dataset's folder with what was written.

    Raises:
        KitError: an input cannot be bundled; the message names it.
    """
    plans = {path: load_with_costs(path) for path in options.ensembles}
    competitions = [plan.competition for plan in plans.values()]
    if len(set(competitions)) < len(competitions):
        raise KitError(
            "two of the ensembles are for the same competition",
            where="--ensemble",
            fix="give one ensemble for each competition",
        )
    images = targets.choose(options.targets, targets.known())
    # Everything that can be wrong with the input comes first: names that Kaggle refuses, damaged weights.
    # Then follow the downloads, which take minutes, and at the end the files, which take gigabytes.
    wheels_name, wheels_metadata = wheels_dataset.describe(
        images, competitions, prefix=options.prefix, owner=options.owner
    )
    about = {"prefix": options.prefix, "owner": options.owner, "licence": options.licence}
    described = {path: weights_dataset.describe(plan, **about) for path, plan in plans.items()}
    names = {described[path][0]: [plan.competition] for path, plan in plans.items()}
    former_ones = former.find(options.out, {wheels_name: competitions, **names}, options.prefix)
    weights = {path: weights_dataset.contents(plan, path, options.weights) for path, plan in plans.items()}
    pins = lockfile.load(options.lock)
    from bundle.foreign.own_models import own_model_wheels, roots_for  # imports torch

    # What a foreign source is named and needs is known when its wheel is there.
    foreign = [
        *foreign_wheels(options.foreign, images, pins, options.cache),
        *own_model_wheels(plans, images, options.cache),
    ]
    needed = roots_for(list(plans.values()), options.roots)
    roots = [*needed, *(item.root() for item in foreign)]
    tables = _shadow_tables(list(plans.values()), pins, roots, images, foreign)
    console().print(summary(tables))
    require_imported(foreign, tables)
    native = native_wheels(images, options.cache) if options.native_mmcv else {}
    closures = wheels_dataset.closures_of(
        list(plans.values()), pins, roots, images, options.cache, foreign=foreign
    )
    wheels = wheels_dataset.contents(closures, roots, native=native)
    accepted = wheels_dataset.accepted_versions(wheels)
    settled = _shadow_tables(list(plans.values()), pins, roots, images, foreign, accepted=accepted)
    if settled != tables:  # an image whose freeze is known leaves no row open now
        console().print(summary(settled, after="the wheels are read"))
    _check_licences(wheels, options.accept_licence)
    tags = [target.tag for target in images]
    origins = {item.name: item.origin for item in foreign}
    wheels += companions(
        wheels_name, wheels, tags=tags, own=OWN_WHEELS.keys(), origins=origins, competitions=competitions
    )
    results = []
    with progress() as display:
        task = display.add_task("datasets", total=1 + len(plans), note=wheels_name)
        folder = options.out / wheels_name
        results.append((folder, dataset.write(folder, wheels, wheels_metadata, targets=tags)))
        display.advance(task)
        for path, (name, metadata) in described.items():
            display.update(task, note=name)
            folder = options.out / name
            files = [*weights[path].contents, *companions(name, weights[path].contents)]
            metadata["description"] = f"{metadata['description']}{weights[path].note}"
            results.append((folder, dataset.write(folder, files, metadata)))
            display.advance(task)
    for folder in former_ones:
        dataset.remove(folder)
        console().print(f"{folder} is removed: its name was that of an earlier build", markup=False)
    console().print(_table(results, closures))
    if left := wheels_dataset.unshipped(pins, closures):
        console().print(
            f"not shipped, though requirements.lock has them: {', '.join(left)}. No member requires them; "
            "if code on Kaggle imports one, add it to bundle/roots.py."
        )
    return results


def _shadow_tables(
    plans: Sequence[Ensemble],
    pins: Sequence[Pin],
    roots: Sequence[Root],
    images: Sequence[Target],
    foreign: Sequence[ForeignWheel],
    *,
    accepted: Mapping[str, SpecifierSet] | None = None,
) -> list[tuple[Target, list[Shadow]]]:
    asked = wheels_dataset.asked_for(plans, pins, roots)
    built = {item.name: item.version for item in foreign}
    tables = []
    for target in images:
        # The lock's notes do not say what a foreign wheel needs; it says so itself.
        more = [*asked, *(name for item in foreign for name in item.needs(target))]
        tables.append((target, shadow_table(pins, roots, target, more=more, built=built, accepted=accepted)))
    return tables


def _check_licences(contents: Sequence[Content], accepted: Sequence[str]) -> None:
    """Refuse wheels that nobody may pass on, and print what is worth knowing of the others' licences."""
    wheels = [content.entry.wheel for content in contents if content.entry.wheel is not None]
    for finding in licences.require(wheels, accepted=[canonicalize_name(name) for name in accepted]):
        console().print(f"licence of {finding.name}: {finding.problem}", markup=False)


def _table(results: Sequence[tuple[Path, Written]], closures: Sequence[Closure]) -> Table:
    """Return a table with one row per dataset, and below it what is left to the image."""
    left = sorted({name for closure in closures for name in closure.left})
    table = Table(caption=f"left to the image: {', '.join(left) or 'nothing'}")
    tags = sorted({closure.target.tag for closure in closures})
    table.add_column("dataset", no_wrap=True)
    for column in ("files", "MB", *tags):
        table.add_column(column, justify="right", no_wrap=True)
    # Most runs remove no file of a former run and find no strange one: then these columns would be empty.
    removed, others = (
        any(getattr(written, what) for _, written in results) for what in ("removed", "others")
    )
    if removed:
        table.add_column("removed", justify="right")
    if others:
        table.add_column("not ours", justify="right", overflow="fold")
    for folder, written in results:
        entries = written.manifest.files
        # A wheel that several Pythons share counts in each of their columns.
        counts = [sum(bool(entry.wheel and tag in entry.wheel.requires) for entry in entries) for tag in tags]
        megabytes = sum(entry.size for entry in entries) / 1e6
        row = (folder.name, str(len(entries)), f"{megabytes:.1f}", *(str(count or "") for count in counts))
        more = [str(len(written.removed) or "")] * removed + [", ".join(written.others)] * others
        table.add_row(*row, *more)
    return table


def run(options: Options) -> int:
    """Run the verb `build`: make the datasets and print their folders."""
    made = build(options)
    if options.json:
        print(json.dumps([_described(folder, written) for folder, written in made], indent=1))
        return 0
    for folder, _ in made:
        print(folder)
    return 0


def _described(folder: Path, written: Written) -> dict[str, Any]:
    entries = written.manifest.files
    return {
        "folder": str(folder),
        "files": len(entries),
        "bytes": sum(entry.size for entry in entries),
        "removed": list(map(str, written.removed)),
        "not_ours": list(written.others),
    }
