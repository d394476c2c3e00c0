"""What training saw of prepared data, part by part; and in which parts two data differ.

A run that was trained on images of 12 bits is of the data after its slug was changed, since training does not
see the slug. After `images.intensity.bits` was changed it is left out: "the definition differs in
images.intensity.bits".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Plain = Mapping[str, Any]

_KEYS = ("name", "kind", "classes", "targets", "images", "truth")
"""Keys of a definition that decide pixels and targets. What `metadata` says of the training images is in the
images themselves; the rest is about the hidden run, the submission and its score."""
_OF_OTHERS = {"images": ("test",), "truth": ("solution",)}
"""Keys of these tables that are about images nobody trains on."""
_WORDS = {
    "image": "the images differ",
    "truth": "the truth differs",
    "unlabelled": "the images without truth differ",
    "stain": "the stained copies differ",
    "infos": "pixel sizes, organs or sources of the images differ",
    "places": "the groups of the images differ",
    "folds": "the folds differ",
}


def definition_seen(definition: Plain | None) -> dict[str, Any] | None:
    """Return what training sees of a competition's definition; None for one that the kit knows by name."""
    if definition is None:
        return None
    seen = {key: definition[key] for key in _KEYS if key in definition}
    for table, others in _OF_OTHERS.items():
        if isinstance(value := seen.get(table), Mapping):
            seen[table] = {key: item for key, item in value.items() if key not in others}
    return seen


def metric_seen(definition: Plain | None) -> dict[str, Any] | None:
    """Return the metric by which trainings choose their best step; None where the competition's name says it.

    A metric in a file counts by its content, not by the file's name.
    """
    metric = None if definition is None else definition.get("metric")
    return {key: value for key, value in metric.items() if key != "file"} if metric else None


def differences(then: Plain, now: Plain) -> list[str]:
    """Return in words in which parts two data differ; empty where they are the same.

    Args:
        then: `Prepared.parts` of the data that something was made of.
        now: of the data there is.
    """
    keys = list(_different_keys(then.get("definition"), now.get("definition")))
    found = [f"the definition differs in {', '.join(keys)}"] if keys else []
    return found + [words for part, words in _WORDS.items() if then.get(part) != now.get(part)]


def metric_differences(then: Plain | None, now: Plain | None) -> list[str]:
    """Return the keys in which two metrics differ: ["metric.name"]."""
    return list(_different_keys({"metric": then}, {"metric": now}))


def _different_keys(then: Any, now: Any, key: str = "") -> Iterator[str]:
    """The keys, with the names of their tables, whose values differ."""
    if then == now:
        return
    if not isinstance(then, Mapping) and not isinstance(now, Mapping):
        yield key
        return
    one, other = (item if isinstance(item, Mapping) else {} for item in (then, now))
    for name in sorted({*one, *other}):
        yield from _different_keys(one.get(name), other.get(name), f"{key}.{name}" if key else name)
