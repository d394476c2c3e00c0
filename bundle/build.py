"""`python -m bundle build`: ensemble + lock -> one dataset of wheels and one of weights for each ensemble.

The command checks its input before the first download. It downloads and verifies everything before it writes
the first file into a dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from rich.table import Table

from bundle import dataset, dataset_metadata, weights
from bundle.archives import place_weights, place_wheel
from bundle.closure import Closure
from bundle.dataset import Content, Written, entry_of
from bundle.pip_download import WheelCache
from bundle.roots import ROOTS, Root
from bundle.wheel_verb import OWN_WHEELS
from bundle.wheels import closure_for, combine
from kit.artefacts import canonical_json
from kit.command_line import option
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local import lockfile, targets
from kit.local.console import console, progress
from kit.local.costs import load_with_costs
from kit.local.lockfile import Pin
from kit.local.targets import Target
from kit.manifest import Entry

ENSEMBLE = "ensemble.json"


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
        roots: distributions to ship with all they need.
    """

    ensembles: tuple[Path, ...] = field(
        metadata=option("may be repeated", flag="--ensemble", metavar="FILE", repeat=True)
    )
    out: Path = field(metadata=option("folder for the datasets", metavar="DIR"))
    owner: str = field(
        default=dataset_metadata.OWNER_PLACEHOLDER,
        metadata=option(
            "your Kaggle user name; without it the bundle can be rehearsed but not uploaded", metavar="NAME"
        ),
    )
    prefix: str = field(default="hubmap-kit", metadata=option("start of the datasets' names", metavar="TEXT"))
    licence: str = field(
        default="other", metadata=option("of the weights, a name Kaggle knows", metavar="NAME")
    )
    cache: Path = field(default=Path("build/wheels"), metadata=option("downloads", metavar="DIR"))
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))
    targets: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "image or Python tag (cp313), may be repeated (default: all)",
            flag="--target",
            metavar="NAME",
            repeat=True,
        ),
    )
    roots: Sequence[Root] = ROOTS


def build(options: Options) -> list[tuple[Path, Written]]:
    """Make the datasets: `<prefix>-wheels` and `<prefix>-<competition>-weights` for each ensemble.

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
    wheels_name, wheels_metadata = _describe_wheels(options, images)
    described = {path: _describe_weights(plan, options) for path, plan in plans.items()}
    contents = {path: _weights_contents(plan, path) for path, plan in plans.items()}
    pins = lockfile.load(options.lock)
    names = _asked_for(plans.values(), pins, options.roots)
    closures = _closures(options, images, pins, names)
    for plan in plans.values():
        _check_requires(plan, closures)
    shipped = combine(closures, options.roots)
    wheels = [
        Content(
            entry=entry_of(
                item.path, place_wheel(item.path.name, item.wheel.tags), role="wheel", wheel=item.wheel
            ),
            source=item.path,
        )
        for item in shipped
    ]
    tags = [target.tag for target in images]
    results = []
    with progress() as display:
        task = display.add_task("datasets", total=1 + len(plans), note=wheels_name)
        folder = options.out / wheels_name
        results.append((folder, dataset.write(folder, wheels, wheels_metadata, targets=tags)))
        display.advance(task)
        for path, (name, metadata) in described.items():
            display.update(task, note=name)
            folder = options.out / name
            results.append((folder, dataset.write(folder, contents[path], metadata)))
            display.advance(task)
    console().print(_table(results, closures))
    if unshipped := _unshipped(pins, closures):
        console().print(
            f"locked, but not shipped: {', '.join(unshipped)}. No member requires these and bundle/roots.py "
            "does not name them; add one to the roots if code on Kaggle imports it."
        )
    return results


def _unshipped(pins: Sequence[Pin], closures: Sequence[Closure]) -> list[str]:
    """Return what requirements.in asks for and the bundle does not carry."""
    shipped = {name for closure in closures for name in (*closure.wheels, *closure.left)}
    asked = {pin.name for pin in pins if "requirements.in" in pin.via}
    images = [closure.target for closure in closures]
    return sorted(
        name for name in asked - shipped if not all(target.leaves_to_image(name) for target in images)
    )


def _describe_wheels(options: Options, images: Sequence[Target]) -> tuple[str, dict[str, object]]:
    name = f"{options.prefix}-wheels"
    pythons = ", ".join(sorted({target.minor for target in images}))
    metadata = dataset_metadata.describe(
        name,
        owner=options.owner,
        title=name.replace("-", " "),
        subtitle="Offline wheels with hashes, installed by predict.py",
        licence="other",
        description=f"Binary wheels for Python {pythons}. Each has its own licence: see manifest.json.",
    )
    return name, metadata


def _describe_weights(plan: Ensemble, options: Options) -> tuple[str, dict[str, object]]:
    name = f"{options.prefix}-{plan.competition}-weights"
    metadata = dataset_metadata.describe(
        name,
        owner=options.owner,
        title=name.replace("-", " "),
        subtitle="Trained networks and their ensemble, run by predict.py",
        licence=options.licence,
        description=f"Trained networks for {plan.competition}: {len(plan.members)}, as safetensors.",
    )
    return name, metadata


def _weights_contents(plan: Ensemble, path: Path) -> list[Content]:
    """Check the weights; return them and the ensemble.json that names them as the dataset does."""
    from kit.local.member_check import WeightsFile, check_members  # loads torch, which --help does not need

    with progress(transient=True) as display:
        task = display.add_task(f"verify {plan.competition}", total=len(plan.members), note="")
        checked = weights.check_all(plan, path, on_checked=lambda _: display.advance(task))
        task = display.add_task("check members", total=len(plan.members), note="")
        files = {
            member.name: WeightsFile(item.path) for member, item in zip(plan.members, checked, strict=True)
        }
        check_members(plan, files, where=path, on_checked=lambda _: display.advance(task))
    config = canonical_json(weights.effective(plan, checked).as_dict()).encode()
    contents = [Content(entry=entry_of(config, ENSEMBLE, role="config"), source=config)]
    places = place_weights([item.name for item in checked])
    for item, file in zip(checked, places, strict=True):
        entry = Entry(file=file, size=item.size, sha256=item.sha256, role="weights", run=item.run)
        contents.append(Content(entry=entry, source=item.path))
    return contents


def _asked_for(plans: Iterable[Ensemble], pins: Sequence[Pin], roots: Sequence[Root]) -> list[str]:
    """Return what to ship with all it needs: the roots, and what members require and the lock has."""
    known = {pin.name for pin in pins}
    required = {canonicalize_name(name) for plan in plans for item in plan.members for name in item.requires}
    names = [root.name for root in roots]
    return [*names, *sorted((required & known) - set(names))]


def _closures(
    options: Options, images: Sequence[Target], pins: Sequence[Pin], names: Sequence[str]
) -> list[Closure]:
    """Download and verify all wheels for each target."""
    cache = WheelCache(options.cache)
    own = {name: make(options.cache) for name, make in OWN_WHEELS.items() if name in names}
    closures = []
    with progress() as display:
        task = display.add_task("wheels", total=len(images), note="")
        for target in images:
            display.update(task, note=target.name)
            closures.append(closure_for(names, pins, target, cache, own))
            display.advance(task)
        display.update(task, note="")
    return closures


def _check_requires(plan: Ensemble, closures: Sequence[Closure]) -> None:
    """Refuse a member whose network needs a distribution that the bundle does not have."""
    for member in plan.members:
        for closure in closures:
            # "in the bundle" means a wheel of ours or a distribution that the image surely brings, e.g.
            # numpy.
            needed = map(canonicalize_name, member.requires)
            if absent := [name for name in needed if name not in closure.wheels and name not in closure.left]:
                raise KitError(
                    f"{member.name} needs {', '.join(absent)}, and the bundle for {closure.target.tag} "
                    "does not have it",
                    where=member.name,
                    fix="add it to requirements.in and run `python -m bundle lock`",
                )


def _table(results: Sequence[tuple[Path, Written]], closures: Sequence[Closure]) -> Table:
    """Return a table with one row per dataset, and below it what is left to the image."""
    left = sorted({name for closure in closures for name in closure.left})
    table = Table(caption=f"left to the image: {', '.join(left) or 'nothing'}")
    tags = sorted({closure.target.tag for closure in closures})
    table.add_column("dataset", no_wrap=True)
    for column in ("files", "MB", *tags, "removed", "not ours"):
        table.add_column(column, justify="right", overflow="fold")
    for folder, written in results:
        entries = written.manifest.files
        # A wheel that several Pythons share counts in each of their columns.
        counts = [sum(bool(entry.wheel and tag in entry.wheel.requires) for entry in entries) for tag in tags]
        megabytes = sum(entry.size for entry in entries) / 1e6
        row = (folder.name, str(len(entries)), f"{megabytes:.1f}", *(str(count or "") for count in counts))
        table.add_row(*row, str(len(written.removed) or ""), ", ".join(written.foreign))
    return table


def run(options: Options) -> int:
    """Run the verb `build`: make the datasets and print their folders."""
    for folder, _ in build(options):
        print(folder)
    return 0
