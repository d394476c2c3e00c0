"""Find the state dicts in a checkpoint's values, whatever keys and prefixes a training program gave them.

{"epoch": 3, "model_state_dict": {"module._orig_mod.conv.weight": tensor}, "ema": {"conv.weight": tensor}} has
two candidates, "model_state_dict.module" and "ema", both with the name "conv.weight".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kit.local.pretrained.pickled_names import NumpyArray
from kit.local.pretrained.stored import StoredTensor

StoredTensors = dict[str, StoredTensor]

_INSERTED = re.compile(r"(?:(?<=^)|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and activation checkpointing insert into names, at any depth."""
_MEAN = frozenset({"ema", "swa", "averaged", "average", "avg", "teacher"})
"""Words in keys and prefixes that say: a running mean of the weights."""
_DEEPEST = 6
_LEAST_SHARE = 0.2
"""Share of the values that lie below a prefix, so that the prefix is tried."""
_MOST_CANDIDATES = 48
WHOLE = "."
"""Label of the candidate that is the file itself."""


@dataclass(frozen=True)
class Candidate:
    """One state dict in a checkpoint.

    Attributes:
        label: keys and prefix that lead to it, with dots; `WHOLE` for the file itself.
        tensors: by name, without the prefix.
        depth: how many keys and prefixes lead to it.
        mean: whether it is a running mean of the weights, as its keys say.
    """

    label: str
    tensors: StoredTensors
    depth: int
    mean: bool

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        return sum(value.numel for value in self.tensors.values())

    @property
    def places(self) -> frozenset[Any]:
        """Where its numbers lie in the file."""
        return frozenset(value.place for value in self.tensors.values())


def find(value: Any, wanted: Collection[str] = ()) -> list[Candidate]:
    """Return all state dicts of a checkpoint, each without prefix and with every prefix worth trying.

    Args:
        value: of the file.
        wanted: names in the network. A prefix that they have is kept, and parts that were saved apart
            ({"encoder": ..., "decoder": ...}) are joined if the network's names begin with their keys.

    Returns:
        The candidates with the most numbers first; of equal ones the outermost first.
    """
    roots = {name.partition(".")[0] for name in wanted}
    found = [
        candidate
        for path, tensors in _mappings(value, roots)
        for base in _with_and_without_copies(_candidate(path, _without_inserted(tensors)))
        for candidate in _variants(base, roots)
    ]
    order = sorted(found, key=lambda candidate: (-candidate.numel, candidate.depth))
    return order[:_MOST_CANDIDATES]


def _candidate(path: tuple[str, ...], tensors: StoredTensors) -> Candidate:
    return Candidate(".".join(path) or WHOLE, tensors, len(path), any(map(_is_mean, path)))


def _is_mean(key: str) -> bool:
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", key).lower())
    return not _MEAN.isdisjoint(words)


def _mappings(value: Any, roots: Collection[str]) -> Iterator[tuple[tuple[str, ...], StoredTensors]]:
    """Yield the keys that lead to each mapping with named tensors, and these tensors."""
    # An optimiser's {"state": {0: {"exp_avg": tensor}}} is not followed, because its keys are numbers. Lists
    # are followed: [state dict, state dict] gives "0" and "1". Values may share and contain one another, so
    # each is visited once.
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    seen: set[int] = set()
    while waiting:
        path, item = waiting.pop(0)
        if id(item) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(item))
        if isinstance(item, list | tuple):
            waiting += [((*path, str(index)), inner) for index, inner in enumerate(item[:_MOST_CANDIDATES])]
        if not isinstance(item, Mapping):
            continue
        if tensors := _tensors(item):
            yield path, tensors
        parts = {key: _tensors(inner) for key, inner in item.items() if key in roots}
        if joined := {
            f"{key}.{name}": tensor for key, part in parts.items() for name, tensor in part.items()
        }:
            yield path, {**tensors, **joined}
        waiting += [((*path, key), inner) for key, inner in item.items() if isinstance(key, str)]


def _tensors(mapping: Any) -> StoredTensors:
    """Return the tensors that lie directly in a mapping under texts; numpy arrays count as well."""
    if not isinstance(mapping, Mapping):
        return {}
    named = {key: value for key, value in mapping.items() if isinstance(key, str)}
    plain = {key: value.tensor if isinstance(value, NumpyArray) else value for key, value in named.items()}
    return {key: value for key, value in plain.items() if isinstance(value, StoredTensor)}


def _without_inserted(tensors: StoredTensors) -> StoredTensors:
    """Remove "_orig_mod." and the like from all names."""
    plain = {_INSERTED.sub("", name): value for name, value in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _with_and_without_copies(candidate: Candidate) -> list[Candidate]:
    """Take apart the weights and the running means of mmcv's hook: the mean of "a.b" is named "ema_a_b"."""
    tensors = candidate.tensors
    plain = {name: value for name, value in tensors.items() if not name.startswith("ema_") or "." in name}
    if not plain or len(plain) == len(tensors):
        return [candidate]
    mean = {name: tensors.get(f"ema_{name.replace('.', '_')}", value) for name, value in plain.items()}
    label = "ema_*" if candidate.label == WHOLE else f"{candidate.label}.ema_*"
    return [replace(candidate, tensors=plain), replace(candidate, label=label, tensors=mean, mean=True)]


def _variants(candidate: Candidate, roots: Collection[str]) -> Iterator[Candidate]:
    """Yield a candidate as it is, and what lies below each prefix that many of its numbers have."""
    yield candidate
    if candidate.depth > _DEEPEST:
        return
    below: dict[str, StoredTensors] = {}
    for name, value in candidate.tensors.items():
        first, dot, rest = name.partition(".")
        if dot and first not in roots:
            below.setdefault(first, {})[rest] = value
    for prefix, tensors in below.items():
        # Without a network, only "module." is known to be no part of the names.
        if not roots and prefix != "module":
            continue
        inner = Candidate(
            label=prefix if candidate.label == WHOLE else f"{candidate.label}.{prefix}",
            tensors=tensors,
            depth=candidate.depth + 1,
            mean=candidate.mean or _is_mean(prefix),
        )
        if inner.numel and inner.numel >= _LEAST_SHARE * candidate.numel:
            yield from _variants(inner, roots)
