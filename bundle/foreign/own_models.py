"""Models of one's own -> wheels: of the source beside ensemble.json, with the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle import licences, wheelfile, wheelinfo
from bundle.foreign.source import Origin
from bundle.foreign.wheels import ForeignWheel
from bundle.roots import NETWORK_ROOTS, Root
from bundle.wheelfile import Description
from bundle.wheelinfo import WheelInfo
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local import own_sources
from kit.local.targets import Target
from kit.models.registry import sized


def roots_for(plans: Sequence[Ensemble], roots: Sequence[Root]) -> list[Root]:
    """Return the roots that some ensembles need.

    An ensemble of nothing but models of one's own does without what only the kit's networks need: it ships
    what predict.py itself imports, and what its models require.

    Args:
        plans: the ensembles.
        roots: those of a bundle for all networks.
    """
    members = [member for plan in plans for member in plan.members]
    if sum(len(own_sources.own_members(plan)) for plan in plans) < len(members):
        return list(roots)
    required = {canonicalize_name(name) for member in members for name in member.requires}
    return [root for root in roots if root not in NETWORK_ROOTS or root.name in required]


def own_model_wheels(
    plans: Mapping[Path, Ensemble], images: Sequence[Target], cache: Path
) -> list[ForeignWheel]:
    """Build a wheel of each module that members of some ensembles are classes of.

    Args:
        plans: path of ensemble.json, with the folder `models` beside it -> the ensemble.
        images: the targets; one wheel serves all of them.
        cache: folder of downloads; the wheels go to `own` in it.

    Raises:
        KitError: a source is missing or was changed, or two ensembles have different modules of one name.
    """
    found: dict[str, tuple[str, ForeignWheel]] = {}
    for path, plan in plans.items():
        members = own_sources.own_members(plan)
        folder = path.parent / own_sources.FOLDER
        own_sources.require(members, folder)
        requires: dict[str, set[str]] = {}
        sources: dict[str, str] = {}
        for member in members:
            own = sized(member.network)[1]
            requires.setdefault(own.module, set()).update(own.requires)
            sources[own.module] = own.source
        for module, source in sources.items():
            if found.get(module, (source,))[0] != source:
                raise KitError(
                    f"two ensembles have different modules called {module}",
                    where=path,
                    fix="bundle them one after the other into different folders, or rename one of the files",
                )
            made = _wheel(own_sources.module_path(folder, module), source, requires[module], cache)
            wheel = ForeignWheel(
                name=made.name,
                version=made.version,
                origin=Origin(title=f"model {module}", content=f"sha256:{source}"),
                where=str(path),
                by_target={image.name: made for image in images},
            )
            found.setdefault(module, (source, wheel))
    return [wheel for _, wheel in found.values()]


def _wheel(path: Path, source: str, requires: Iterable[str], cache: Path) -> WheelInfo:
    """Build the wheel of a module; its version is made of the hash of its source."""
    module, files = path.stem, own_sources.files_of(path)
    about = Description(
        name=own_sources.distribution(module),
        # A version that no image has by chance, and that another source never has.
        version=f"0.{int(source[:12], 16)}",
        summary=f"The model {module}, as it was added",
        licence=licences.OWN_MODEL,
        licence_files={},
        requires_python=">=3.11",
        requires=tuple(sorted(requires)),
        readme=f"# {module}\n\nMade of {', '.join(sorted(files))} beside ensemble.json.\n",
    )
    return wheelinfo.read(wheelfile.build(cache / "own", about, files))
