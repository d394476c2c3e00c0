"""The rows of a page about what a run installed: one for each distribution, from its report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HOW = {"renamed": "under another name", "from an archive": "taken out of an archive"}


@dataclass(frozen=True)
class InstallRow:
    """What became of one distribution.

    Attributes:
        name: of the distribution, or of the wheel's file where nothing else is known.
        image: version that the image has; None if it has none.
        state: "installed", "already there", "refused" or "not installed", which says that the run or its
            installers ended before.
        version: of the bundle's wheel; None if the image's copy is used.
        source: dataset and file of the wheel, and what Kaggle had done to it; "" without a wheel.
        seconds: that it took to find and verify the wheel; None without one that was found.
        why: the reason of the decision or of the refusal.
    """

    name: str
    image: str | None
    state: str
    version: str | None
    source: str
    seconds: float | None
    why: str


def install_rows(run: Mapping[str, Any]) -> list[InstallRow]:
    """Return a row for each distribution that a run needed, in the order in which it decided about them.

    Args:
        run: content of report.json.
    """
    if (install := run.get("install")) is None:
        return []
    refused = dict(install["refused"])
    found = {row["file"]: row for row in install["found"]}
    rows = []
    for decided in install["choices"]:
        choice = {**decided, **found.get(decided["file"], {})}
        # A wheel that is damaged is refused by the name of its file, one that does not work by its own.
        problems = [refused.pop(key) for key in (choice["name"], choice["file"]) if key in refused]
        rows.append(
            InstallRow(
                name=choice["name"],
                image=choice["installed"],
                state="refused" if problems else _state(choice, install["tool"]),
                version=choice["version"],
                source=_source(choice, run),
                seconds=choice.get("seconds"),
                why="; ".join(problems) or choice["reason"],
            )
        )
    # What is neither in the image nor in the bundle has no choice.
    rows += [
        InstallRow(name=name, image=None, state="refused", version=None, source="", seconds=None, why=problem)
        for name, problem in refused.items()
    ]
    return rows


def _state(choice: Mapping[str, Any], tool: str | None) -> str:
    if choice["version"] is None:
        return "already there"
    return "not installed" if tool is None else "installed"


def _source(choice: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Return e.g. "kit-wheels: wheels-common/a-1.0-py3-none-any.whl", of a mount with this dataset."""
    if choice["file"] is None:
        return ""
    path = str(choice.get("path", choice["file"]))
    roots = [event["roots"] for event in run["events"] if event["name"] == "datasets"]
    for name, root in roots[0].items() if roots else ():
        path = path.replace(f"{root}/", f"{name}: ", 1) if path.startswith(f"{root}/") else path
    how = _HOW.get(choice.get("how", ""))
    return f"{path} ({how})" if how else path
