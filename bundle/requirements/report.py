"""Tables about a bundle of wheels: why each is there, its size and licence; what the image has to bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from bundle import licences
from bundle.closure import Closure
from bundle.dataset import Content
from kit.local.wording import amount, counted
from kit.requested import Requested

_FEW = 4


def wheels_table(
    contents: Sequence[Content], closures: Sequence[Closure], requested: Requested, origins: Mapping[str, str]
) -> Table:
    """Return one row for each wheel: version, Pythons, size, licence, and why it is there.

    Args:
        contents: the dataset's wheels.
        closures: of all targets.
        requested: what was asked for.
        origins: name -> source that it was built of.
    """
    reasons = reasons_of(closures, requested)
    total = sum(content.entry.size for content in contents)
    table = Table(title=f"{counted(len(contents), 'wheel')}, {amount(total)}", title_justify="left")
    for heading in ("distribution", "version", "for", "MB", "licence", "why"):
        table.add_column(heading, no_wrap=heading == "distribution", overflow="fold")
    tags = sorted({closure.target.tag for closure in closures})
    for content in sorted(contents, key=lambda item: (item.entry.wheel.name, item.entry.file)):  # type: ignore[union-attr]  # all are wheels
        wheel = content.entry.wheel
        assert wheel is not None
        needed = sorted(wheel.requires)
        licence = wheel.licence or licences.NOT_STATED
        row = (
            wheel.name,
            wheel.version,
            "all" if needed == tags else " ".join(needed),
            f"{content.entry.size / 1e6:.2f}",
            licences.spdx(licence) or licence,
            reasons[wheel.name] + (f"; built of {origins[wheel.name]}" if wheel.name in origins else ""),
        )
        table.add_row(*map(escape, row))
    return table


def reasons_of(closures: Sequence[Closure], requested: Requested) -> dict[str, str]:
    """Return name -> why a distribution is shipped: "requirements.txt:3", or "timm, torchmetrics need it"."""
    asked = {item.name: item.where for item in requested.asked}
    needed: dict[str, set[str]] = {}
    for closure in closures:
        for name, needs in closure.requires.items():
            for other in needs:
                needed.setdefault(other, set()).add(name)
    found = {}
    for name in {name for closure in closures for name in closure.wheels}:
        askers = sorted(needed.get(name, set()) - {name})
        more = f" and {len(askers) - _FEW} more" if len(askers) > _FEW else ""
        by_others = f"{', '.join(askers[:_FEW])}{more} need{'s' if len(askers) == 1 else ''} it"
        found[name] = "; ".join([*([asked[name]] if name in asked else []), *([by_others] if askers else [])])
    return found


def of_image_table(requested: Requested, closures: Sequence[Closure]) -> Table | None:
    """Return what is asked of packages that only an image brings, and what the images have; None: nothing."""
    if not requested.of_image:
        return None
    table = Table(title="left to the image, never shipped", title_justify="left")
    for heading in ("distribution", "who asks", "for", "the images have"):
        table.add_column(heading, no_wrap=heading == "distribution", overflow="fold")
    for name in sorted({item.name for item in requested.of_image}):
        has: dict[str, list[str]] = {}
        for closure in closures:
            has.setdefault(closure.target.packages().get(name) or "not known", []).append(closure.target.name)
        told = "; ".join(f"{version} ({_images(found, closures)})" for version, found in sorted(has.items()))
        for accepts in sorted({item.accepts for item in requested.of_image if item.name == name}):
            askers = sorted(
                {item.asker for item in requested.of_image if (item.name, item.accepts) == (name, accepts)}
            )
            more = f" and {len(askers) - _FEW} more" if len(askers) > _FEW else ""
            row = (name, ", ".join(askers[:_FEW]) + more, accepts or "any version", told)
            table.add_row(*map(escape, row))
    return table


def _images(names: Sequence[str], closures: Sequence[Closure]) -> str:
    """Return the names of some images: "all 9", "kaggle-2026-09", "8 images"."""
    if len(names) == len(closures):
        return f"all {len(names)} images" if len(names) > 1 else names[0]
    return ", ".join(names) if len(names) <= _FEW else f"{len(names)} images"
