"""What install.py tells: one line for each thing, with a word in front that says what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.manifest import Manifest
from submission.runtime.inputs.package_plan import Plan
from submission.runtime.inputs.restore import Found

_HOW = {"renamed": "renamed by Kaggle", "from an archive": "taken out of an archive"}
_FEW = 12


def title(manifest: Manifest, tag: str) -> str:
    """Return the first line."""
    return f"{manifest.dataset} {manifest.sha256()[:8]}: wheels for {tag}, offline"


def verified(found: Sequence[Found], seconds: float) -> str:
    """Say how many wheels were verified, and what Kaggle had done to them."""
    size = sum(item.entry.size for item in found)
    counts = Counter(str(item.how) for item in found)
    done = [f"{counts[how]} {text}" for how, text in _HOW.items() if counts[how]]
    more = f" ({', '.join(done)})" if done else ""
    wheels = "1 wheel" if len(found) == 1 else f"{len(found)} wheels"
    return f"  verified    {wheels}, {size / 1e6:.1f} MB in {seconds:.1f} s{more}"


def tool(told: dict[str, Any]) -> str:
    """Say what came of a tool that installs: how many wheels in what time, or why the next one is tried."""
    if told["error"] is not None:
        return f"  note        {told['tool']} failed after {told['seconds']:.1f} s: {told['error']}"
    return f"  installed   {told['wheels']} with {told['tool']} in {told['seconds']:.1f} s"


def imports(names: Sequence[str], seconds: float) -> str:
    """Say what was imported, once, in a process of its own."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"  imported    {', '.join(names[:_FEW])}{more}; tried in {seconds:.1f} s"


def shadowed(plan: Plan) -> Iterator[str]:
    """Yield a line for each distribution of the image that a wheel now stands in front of."""
    for choice in plan.choices:
        wheel = choice.entry.wheel if choice.entry is not None else None
        if wheel is not None and choice.installed is not None:
            yield f"  shadowed    {choice.name}: {choice.installed} of the image -> {wheel.version} of ours"


def kept(plan: Plan) -> Iterator[str]:
    """Yield a line with the distributions of the image that stay."""
    names = [f"{choice.name} {choice.installed}" for choice in plan.choices if choice.entry is None]
    if names:
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        yield f"  the image's {', '.join(names[:_FEW])}{more}"


def of_image(unmet: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield a line for each need that a package of the image does not meet."""
    for asker, wanted, version in unmet:
        yield f"  WARNING     {asker} needs {wanted}; this image has {version} and keeps it"


def problem(error: KitError) -> str:
    """Return an error as lines below the others."""
    return "  PROBLEM     " + str(error).replace("\n", "\n            ")


def lost(name: str, error: KitError) -> str:
    """Say that something that was asked for cannot be used."""
    return f"  LOST        {name}: {error.problem}"


def restart(names: Sequence[str]) -> str:
    """Say that modules were imported before they were shadowed."""
    return (
        f"  RESTART     {', '.join(names)} had been imported before: the image's copy stays in this kernel. "
        "Restart it (Run > Restart & clear), and run this cell first"
    )


def not_run(files: Sequence[str]) -> str:
    """Say which start-up files of wheels do nothing."""
    return f"  note        start-up files of these wheels are not run: {', '.join(files)}"


def ready(site: Path | None, *, again: bool) -> str:
    """Return the last line."""
    if site is None:
        return "ready: the image has everything"
    how = "a former run has installed it all in" if again else "packages are in"
    return f"ready: {how} {site}"


def for_a_shell(site: Path) -> str:
    """Say how other processes than this one find the packages."""
    return f"in this shell: export PYTHONPATH={site}${{PYTHONPATH:+:$PYTHONPATH}}"


def failed(errors: dict[str, KitError], *, others: bool) -> KitError:
    """Return the error of an installation that lacks something, with the first one's remedy.

    Args:
        errors: what is lost -> why.
        others: whether something else was installed.
    """
    first = next(iter(errors.values()))
    names = ", ".join(errors)
    more = "; all else is installed and can be imported" if others else ""
    return KitError(f"{names} cannot be used: {first.problem}{more}", where=first.where, fix=first.fix)
