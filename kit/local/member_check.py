"""Check an ensemble's members without computing: find in seconds what would end a run on Kaggle.

A member's network is built on tensors without values. The names, shapes and types in the header of its
weights have to be the network's, and a forward pass at the sizes of its own settings has to give what its
engine takes. `ensemble`, `bundle build` and `submission render` all call this.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import torch

from kit.artefacts import canonical_json
from kit.ensemble import Ensemble, Member
from kit.errors import KitError
from kit.inference import views
from kit.local import own_sources, safetensors_header
from kit.local.ensemble_check import require_usable
from kit.local.forward_check import forward, inputs_of
from kit.local.safetensors_header import StoredTensor
from kit.models import build
from kit.models.registry import OWN

_AGAIN = "train it again, or run `ensemble` again to place the weights that belong to this network"
_BLOCK = 1 << 22
_SHOWN = 4
_EXPONENTS: dict[str, tuple[str, int]] = {
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF0000000000000),
}
"""Bits of the exponent of each type. A number whose exponent has all of them set is infinite or NaN."""
_WHOLE = frozenset({"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL"})


@dataclass(frozen=True)
class WeightsFile:
    """Where a member's weights lie.

    Attributes:
        path: the file, or the archive that holds it.
        inside: its name in the archive; None for a file of its own.
    """

    path: Path
    inside: str | None = None

    @property
    def where(self) -> Path:
        """What messages name."""
        return self.path if self.inside is None else self.path / self.inside

    @contextmanager
    def opened(self) -> Iterator[tuple[IO[bytes], int]]:
        """Open the file for reading and yield it with its size in bytes."""
        if self.inside is None:
            with self.path.open("rb") as stream:
                yield stream, self.path.stat().st_size
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self.inside) as packed:
            yield packed, archive.getinfo(self.inside).file_size


def check_members(
    ensemble: Ensemble,
    files: Mapping[str, WeightsFile],
    *,
    where: Path,
    values: bool = True,
    on_checked: Callable[[Member], None] = lambda _: None,
) -> None:
    """Check an ensemble's words and all its members.

    Args:
        ensemble: the ensemble.
        files: by member's name. Of a member without a file, only the network and its settings are checked.
        where: file of the ensemble, for messages.
        values: read the weights, too, and refuse NaN and infinity.
        on_checked: called after each member.

    Raises:
        KitError: as `require_usable` and `check_member`, or the source of a model of one's own is not there.
    """
    require_usable(ensemble, where)
    own_sources.require(ensemble.members, where.parent / own_sources.FOLDER)
    for index, member in enumerate(ensemble.members):
        shown = [item.view for item in ensemble.passes if item.member == index]
        check_member(member, files.get(member.name), views_of_passes=shown, where=where, values=values)
        on_checked(member)


def check_member(
    member: Member,
    weights: WeightsFile | None,
    *,
    views_of_passes: Sequence[str] = ("identity",),
    where: Path | None = None,
    values: bool = True,
) -> None:
    """Check that a member's weights are those of its network, and that the network takes its settings.

    Args:
        member: the member.
        weights: its file; None if it is elsewhere.
        views_of_passes: names of the views under which it runs.
        where: file of the ensemble, for messages.
        values: read the weights, too, and refuse NaN and infinity.

    Raises:
        KitError: the network is unknown or cannot be built, a tensor is missing, unknown or of another shape
            or type, a value is no finite number, or the network cannot take an input of its settings' size.
            The message names the member, the tensor and both shapes.
    """
    place = f"{where or 'ensemble'}, member {member.name}"
    expected = _expected(canonical_json(member.network))
    if isinstance(expected, KitError):
        raise KitError(expected.problem, where=place, fix=expected.fix) from expected
    if weights is not None:
        _check_file(member, weights, expected, values=values)
    scales = {view.scale for name in views_of_passes for view in views.get_set(name)}
    for inputs in dict.fromkeys(inputs_of(member, tuple(sorted(scales)), place)):
        fault = forward(canonical_json(member.network), inputs).fault
        if fault is not None:
            raise KitError(
                f"{member.name}: {member.network['network']} cannot predict {inputs.batch} inputs of "
                f"{inputs.height} x {inputs.width} pixels, which its settings ask for: {fault}",
                where=place,
                fix="correct the recipe's inference settings or the network's config, and train again",
            )


@cache
def _expected(config: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]] | KitError:
    """Return name -> (shape, type) of a network's state dict; the error if it cannot be built."""
    network = json.loads(config)
    try:
        # A class of the user's may compute with values when it is made; tensors on "meta" have none.
        with torch.device("cpu" if network["network"] == OWN else "meta"):
            module = build(network)
    except KitError as error:
        return error
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AssertionError) as error:
        return KitError(f"its network cannot be built: {error}", fix="correct the network's config")
    return {name: (tuple(value.shape), value.dtype) for name, value in module.network.state_dict().items()}


def _check_file(
    member: Member,
    weights: WeightsFile,
    expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
    *,
    values: bool,
) -> None:
    try:
        with weights.opened() as (stream, size):
            if size != member.size:
                raise KitError(
                    f"the weights of {member.name} have {size} bytes, the ensemble names {member.size}",
                    where=weights.where,
                    fix="run `ensemble` and `bundle build` again, one after the other",
                )
            header = safetensors_header.read_stream(stream, size, weights.where)
            _check_names(member, weights.where, header.tensors, expected)
            if values:
                _check_values(member, weights.where, header.tensors, stream)
    except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise KitError(
            f"the weights of {member.name} cannot be read: {error}",
            where=weights.where,
            fix="run `bundle build` again",
        ) from error


def _check_names(
    member: Member,
    where: Path,
    tensors: Sequence[StoredTensor],
    expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
) -> None:
    found = {item.name: item for item in tensors}
    faults = {
        "missing": [f"{name} {expected[name][0]}" for name in expected if name not in found],
        "unknown": [f"{name} {item.shape}" for name, item in found.items() if name not in expected],
        "of another shape": [
            f"{name} {found[name].shape} instead of {shape}"
            for name, (shape, _) in expected.items()
            if name in found and found[name].shape != shape
        ],
        "of another type": [
            f"{name} {found[name].dtype} instead of {str(dtype).removeprefix('torch.')}"
            for name, (_, dtype) in expected.items()
            if name in found and found[name].dtype not in (_EXPONENTS if dtype.is_floating_point else _WHOLE)
        ],
    }
    parts = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for what, names in faults.items()
        if names
    ]
    if parts:
        raise KitError(
            f"the weights of {member.name} do not belong to its {member.network['network']}: "
            f"{'; '.join(parts)}",
            where=where,
            fix=_AGAIN,
        )


def _check_values(member: Member, where: Path, tensors: Sequence[StoredTensor], stream: IO[bytes]) -> None:
    """Refuse weights that are not finite numbers; the stream stands at the first tensor."""
    # float32 infinity is 0x7F800000: the exponent's eight bits are set. NaN has other bits set besides.
    bad: dict[str, int] = {}
    for item in tensors:
        kind, exponent = _EXPONENTS.get(item.dtype, ("", 0))
        left = item.size
        while left:
            block = stream.read(min(left, _BLOCK))
            if not block:
                raise EOFError("the file ends early")
            left -= len(block)
            if kind:
                bits = np.frombuffer(block, kind) & exponent
                if count := int(np.count_nonzero(bits == exponent)):
                    bad[item.name] = bad.get(item.name, 0) + count
    if bad:
        shown = ", ".join(f"{name} ({count:,})" for name, count in list(bad.items())[:_SHOWN])
        raise KitError(
            f"the weights of {member.name} have values that are not finite numbers (NaN, infinity) in "
            f"{len(bad)} of {len(tensors)} tensors: {shown}{', ...' if len(bad) > _SHOWN else ''}",
            where=where,
            fix="that training run diverged: see its log, lower the learning rate and train again",
        )
