"""`python -m bundle wheels`: a requirements file -> one dataset of wheels for every known image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundle import dataset, dataset_metadata, licences, wheelinfo, wheels_dataset
from bundle.closure import Closure
from bundle.companions import companions
from bundle.dataset import Content, Written, entry_of
from bundle.foreign import lines
from bundle.foreign.wheels import ForeignWheel, build_sources
from bundle.own_wheels import OWN_WHEELS, own_wheels
from bundle.pip_download import NoWheelError, WheelCache
from bundle.requirements import reading, report
from bundle.requirements.reading import Wanted
from bundle.requirements.refusals import refused
from bundle.requirements.request import asked_on, request
from bundle.requirements.versions import Chosen, choose
from bundle.roots import Root
from bundle.shadow import Shadow, shadow_table
from bundle.shadow_report import summary
from bundle.target_options import TARGETS
from bundle.wheelinfo import WheelInfo
from bundle.wheels import closure_for
from kit import manifest
from kit import requested as requests
from kit.artefacts import canonical_json
from kit.command_line import option
from kit.errors import KitError, did_you_mean
from kit.local import targets
from kit.local.console import console, progress
from kit.local.dataset_folders import is_alone
from kit.local.targets import Target
from kit.local.verbs import Verb
from kit.requested import Requested

_CUDA = ("nvidia-", "cuda-")
"""Start of names that a CPU image lacks without harm: what needs them loads them when it finds a GPU."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Make a dataset of wheels from a requirements file, without a competition or ensemble.

    Attributes:
        requirements: the file.
        packages: sources of one's own, each becomes a wheel: a folder, a source distribution, or
            git+URL@COMMIT.
        out: folder for the dataset; the installer goes beside it.
        name: of the dataset.
        owner: Kaggle account that will own it.
        cache: folder of downloaded wheels.
        targets: names or Python tags of the images the wheels must install on; all known ones if empty.
        accept_licence: normalised names of distributions whose licence the user has read and accepts.
    """

    requirements: Path = field(metadata=option("what is wanted, as pip reads it", metavar="FILE"))
    packages: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "a source of your own, may be repeated: a folder, a source distribution, git+URL@COMMIT",
            flag="--package",
            metavar="SOURCE",
            repeat=True,
        ),
    )
    out: Path = field(default=Path("dist/wheels"), metadata=option("folder for the dataset", metavar="DIR"))
    name: str = field(default="offline-wheels", metadata=option("of the dataset", metavar="NAME"))
    owner: str = field(
        default=dataset_metadata.OWNER_PLACEHOLDER,
        metadata=option(
            "your Kaggle user name; without it the upload takes that of the credentials", metavar="NAME"
        ),
    )
    cache: Path = field(default=Path("build/wheels"), metadata=option("downloads", metavar="DIR"))
    targets: tuple[str, ...] = field(default=(), metadata=TARGETS)
    accept_licence: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "ship this package though its licence is unknown or forbids copies, may be repeated",
            metavar="NAME",
            repeat=True,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Made:
    """What `build` made: the dataset's folder, what was written, and what it was made for."""

    folder: Path
    written: Written
    requested: Requested


def build(options: Options) -> Made:
    """Make the dataset; the same index gives the same bytes, also if the command was killed and runs again.

    Raises:
        KitError: a line cannot be part of a bundle, versions do not fit an image, or a wheel may not be
            passed on; the message names it.
    """
    metadata = _describe(options)
    _require_alone(options)
    images = targets.choose(options.targets, targets.known())
    wanted = reading.read(options.requirements)
    sources = [lines.source(text, Path.cwd(), "--package") for text in options.packages]
    if not wanted.requirements and not sources:
        raise KitError(
            "the file asks for nothing",
            where=options.requirements,
            fix="write one distribution a line, for example timm>=1.0",
        )
    packages = build_sources(sources, images, options.cache) if sources else []
    told = [(item.name, item.version, item.origin.title) for item in packages]
    asked = {target.name: asked_on(wanted.requirements, told, target.environment()) for target in images}
    if not any(asked.values()):
        raise KitError(
            "the file asks for nothing on these images: no marker of its lines is true there",
            where=options.requirements,
            fix="correct the markers, or name other images with --target (`python -m bundle targets`)",
        )
    own = _own(wanted, packages, options.cache)
    chosen = choose(
        wanted,
        images,
        packages=packages,
        own=own,
        cache=options.cache,
        work=options.cache / "resolved" / options.name,
    )
    closures = _closures(images, chosen, asked, options.cache)
    _require_extras(closures, asked)
    # The user's own sources are taken as they are; of everything else the image's copy stays if it fits.
    roots = [item.root() for item in packages]
    wheels = [_without_cuda(item) for item in wheels_dataset.contents(closures, roots)]
    if not wheels:
        raise KitError(
            "all that is asked for is the image's own: there is nothing to ship",
            where=options.requirements,
            fix="torch, torchvision, numpy and CUDA are in every image and need no bundle",
        )
    made_for = request(closures, asked)
    origins = {item.name: item.origin for item in (*packages, *chosen.of_sources)}
    titles = {name: origin.title for name, origin in origins.items()}
    screen = console()
    screen.print(report.wheels_table(wheels, closures, made_for, titles))
    if (left := report.of_image_table(made_for, closures)) is not None:
        screen.print(left)
    tables = list(_shadow_tables(wheels, closures, chosen, roots))
    if any(row.action != "unknown" for _, rows in tables for row in rows):
        screen.print(summary(tables, after="the wheels are read"))
    else:
        screen.print("which copies an image keeps is decided there: the packages of none of them are known")
    accepted = [canonicalize_name(name) for name in options.accept_licence]
    listed = [content.entry.wheel for content in wheels if content.entry.wheel is not None]
    for finding in licences.require(listed, accepted=accepted):
        console().print(f"licence of {finding.name}: {finding.problem}", markup=False)
    tags = [target.tag for target in images]
    more = companions(options.name, wheels, tags=tags, own=OWN_WHEELS.keys(), origins=origins)
    data = canonical_json(made_for.as_dict()).encode()
    more.append(Content(entry=entry_of(data, requests.NAME, role="config"), source=data))
    folder = options.out / options.name
    written = dataset.write(folder, [*wheels, *more], metadata, targets=tags)
    return Made(folder=folder, written=written, requested=made_for)


def _require_alone(options: Options) -> None:
    """Refuse a folder with another bundle of wheels, and the name of an ensemble's dataset."""
    # There is one install.py in a folder.
    others = [path.parent.name for path in options.out.glob(f"*/{requests.NAME}")]
    if others := sorted(set(others) - {options.name}):
        raise KitError(
            f"this folder holds another bundle of wheels: {', '.join(others)}",
            where=options.out,
            fix=f"give another folder with --out, or --name {others[0]} to make that one anew",
        )
    there = options.out / options.name
    if (there / manifest.NAME).is_file() and not is_alone(there):
        raise KitError(
            "this dataset belongs to an ensemble, and the wheels alone would be written over it",
            where=there,
            fix="give another name with --name, or another folder with --out",
        )


def _describe(options: Options) -> dict[str, object]:
    try:
        return dataset_metadata.describe(
            options.name,
            owner=options.owner,
            title=options.name.replace("-", " "),
            subtitle="Offline wheels with hashes, installed by install.py",
            licence="other",
            description="Binary wheels; each has its own licence: see manifest.json and sbom.json.",
        )
    except KitError as error:
        if error.where == "--owner":
            raise
        fix = "choose a name of 6 to 50 characters of a-z, 0-9 and single hyphens"
        raise KitError(error.problem, where="--name", fix=fix) from error


def _own(wanted: Wanted, packages: Sequence[ForeignWheel], cache: Path) -> dict[str, WheelInfo]:
    """Build those wheels of the kit's own that are asked for and that no source of the user replaces."""
    names = {line.name for line in wanted.requirements} - {item.name for item in packages}
    # mmcv-full's sources on the index take up to an hour to compile, and no newer Python compiles them.
    return {name: wheelinfo.read(path) for name, path in own_wheels(names, cache).items()}


def _closures(
    images: Sequence[Target],
    chosen: Chosen,
    asked: Mapping[str, Sequence[tuple[str, Requirement]]],
    cache: Path,
) -> list[Closure]:
    downloads = WheelCache(cache)
    closures, lacking = [], []
    with progress() as display:
        task = display.add_task("wheels", total=len(images), note="")
        for target in images:
            display.update(task, note=target.name)
            own = {name: info.path for name, info in chosen.built[target.name].items()}
            pins = chosen.pins[target.name]
            try:
                closures.append(closure_for([], pins, target, downloads, own, asked=asked[target.name]))
            except NoWheelError as error:
                lacking.append(error)
            display.advance(task)
        display.update(task, note="")
    if lacking:
        raise refused(lacking, [target.name for target in images])
    return closures


def _require_extras(
    closures: Sequence[Closure], asked: Mapping[str, Sequence[tuple[str, Requirement]]]
) -> None:
    """Refuse an extra that a distribution does not have: pip and uv would ship less without an error."""
    for closure in closures:
        for where, item in asked[closure.target.name]:
            wheel = closure.wheels.get(canonicalize_name(item.name))
            for extra in sorted(item.extras):
                if wheel is None or canonicalize_name(extra) in wheel.extras:
                    continue
                there = f"it has {', '.join(sorted(wheel.extras))}" if wheel.extras else "it has none"
                raise KitError(
                    f"{wheel.name} {wheel.version} has no extra {extra!r}",
                    where=where,
                    fix=f"{did_you_mean(extra, wheel.extras)}correct it or leave it out; {there}",
                )


def _without_cuda(content: Content) -> Content:
    """Return a wheel that does not insist on CUDA packages of the image, which a CPU image does not have."""
    wheel = content.entry.wheel
    assert wheel is not None
    requires = {
        tag: [name for name in names if not name.startswith(_CUDA)] for tag, names in wheel.requires.items()
    }
    return replace(content, entry=replace(content.entry, wheel=replace(wheel, requires=requires)))


def _shadow_tables(
    wheels: Sequence[Content], closures: Sequence[Closure], chosen: Chosen, roots: Sequence[Root]
) -> Iterator[tuple[Target, list[Shadow]]]:
    """Yield each target with what is known of whose copies are imported there."""
    accepted = wheels_dataset.accepted_versions(wheels)
    versions = {name: info.version for found in chosen.built.values() for name, info in found.items()}
    for closure in closures:
        names = list(closure.wheels)
        pins = [pin for pin in chosen.pins[closure.target.name] if pin.name in names]
        rows = shadow_table(pins, roots, closure.target, more=names, accepted=accepted, built=versions)
        yield closure.target, rows


def run(options: Options) -> int:
    """Run the verb `wheels`: make the dataset and print its folder."""
    print(build(options).folder)
    return 0


VERB = Verb(
    "wheels",
    Options,
    run,
    "datasets",
    ("wheels --requirements requirements.txt --name my-wheels",),
    "downloads and wheels that are built are kept; the dataset is incomplete",
)
"""`wheels --requirements FILE [--package SOURCE] [--out DIR] [--name NAME]`."""
