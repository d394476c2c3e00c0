"""Loading the weights of one plain network into both networks of a composite backbone."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TABLE = "relative_position_bias_table"
_POSITION = "absolute_pos_embed"
_DERIVED = ("relative_position_index", "attn_mask")
"""Buffers of published checkpoints that follow from sizes alone."""

_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    MemoryError,
)
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "module.", "backbone.", "encoder.")
"""Of distributed training and torch.compile, of a detector or segmenter, of MoBY's pretraining."""


@dataclass
class LoadReport:
    """What became of each key, by its name in the network that was loaded into.

    Attributes:
        loaded: copied as they are.
        resized: bias tables and absolute positions brought to another size.
        derived: buffers of the checkpoint that this network computes itself.
        missing: the network's keys without a counterpart; they keep their values.
        unexpected: the checkpoint's keys without a counterpart, such as a classifier.
        mismatched: same name, shapes that cannot be reconciled; not loaded.
    """

    loaded: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    derived: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    def add(self, other: LoadReport, prefix: str) -> None:
        """Append another report's keys behind a prefix."""
        for kind, keys in vars(other).items():
            getattr(self, kind).extend(prefix + key for key in keys)

    def __str__(self) -> str:
        return ", ".join(f"{len(keys)} {kind}" for kind, keys in vars(self).items())


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The weights in a local checkpoint file; code in it is never run.

    Args:
        path: a file written by `torch.save`.

    Raises:
        ValueError: no such file, or one that holds more than weights.
        TypeError: weights, but not in a mapping of names.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}; download the checkpoint and give its local path")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        # Only the name of what it asks for: torch's own text advises to switch the protection off.
        asks = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {asks[1]}, and no code was run" if asks else type(error).__name__
        raise ValueError(
            f"{path} is no checkpoint of plain weights ({reason}); download it again, or get the state dict "
            "alone"
        ) from error
    if not isinstance(held, Mapping):
        raise TypeError(
            f"{path} holds a {type(held).__name__}, not a state dict; re-save the state dict alone"
        )
    return plain_weights(held)


def plain_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """A network's own keys, out of the wrappers and prefixes that training programs put around them.

    Args:
        checkpoint: a state dict, or a mapping with one under "state_dict" or "model".

    Raises:
        ValueError: no weights inside, or those of a whole composite detector.
    """
    for wrapper in _WRAPPERS:
        inner = checkpoint.get(wrapper)
        if isinstance(inner, Mapping):
            checkpoint = inner
            break
    weights = {str(key): value for key, value in checkpoint.items() if isinstance(value, Tensor)}
    for prefix in _PREFIXES:
        inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        weights = inside or weights
    if any(key.startswith("cb_modules.") for key in weights):
        raise ValueError(
            "these are the weights of a composite backbone, not of one plain network; "
            "load them with load_state_dict (mmdet: load_from)"
        )
    if not weights:
        raise ValueError("there are no weights in the checkpoint; a state dict of tensors is needed")
    bad = [key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise ValueError(f"{len(bad)} tensors have values that are no finite numbers: {', '.join(bad[:3])}")
    return weights


def load_into_both(
    backbone: nn.Module, state_dict: Mapping[str, Any], *, least_share: float = 0.9
) -> LoadReport:
    """Load one plain network's weights into the assistant and into the lead.

    Args:
        backbone: composite: it has `cb_modules`.
        state_dict: of a plain Swin transformer (original key names), ResNet or Res2Net, with or without the
            wrappers and prefixes that `plain_weights` removes.
        least_share: of each network's numbers that must be found.

    Returns:
        What became of each key; names begin with "cb_modules.0." or "cb_modules.1.". The lead's report
        calls the stem's keys unexpected: it has none.

    Raises:
        TypeError: not a composite backbone.
        ValueError: too little found; the checkpoint is of another network.
    """
    nets = getattr(backbone, "cb_modules", None)
    if not isinstance(nets, nn.ModuleList):
        raise TypeError(
            f"{type(backbone).__name__} has no cb_modules; give CBSwinTransformer, CBResNet or CBRes2Net"
        )
    weights = plain_weights(state_dict)
    report = LoadReport()
    for index, net in enumerate(nets):
        report.add(load_into(net, weights, least_share=least_share), f"cb_modules.{index}.")
    return report


@torch.no_grad()
def load_into(net: nn.Module, weights: Mapping[str, Tensor], *, least_share: float = 0.9) -> LoadReport:
    """Load weights by name, resizing bias tables and absolute positions to the network's windows.

    Nothing is changed when too little fits.

    Args:
        net: to load into.
        weights: as `plain_weights` returns them.
        least_share: of the network's numbers that must be found.

    Raises:
        ValueError: less was found.
    """
    own = net.state_dict()
    report = LoadReport(missing=[key for key in own if key not in weights])
    fitting: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key.rpartition(".")[2] in _DERIVED:
            report.derived.append(key)
        elif key not in own:
            report.unexpected.append(key)
        elif value.shape == own[key].shape:
            fitting[key] = value
            report.loaded.append(key)
        else:
            resized = resize(key, value, own[key].shape)
            if resized is None:
                report.mismatched.append(key)
            else:
                fitting[key] = resized
                report.resized.append(key)
    found = sum(own[key].numel() for key in fitting)
    total = sum(value.numel() for value in own.values())
    if found < least_share * total:
        examples = ", ".join(list(weights)[:3])
        raise ValueError(
            f"only {found / total:.0%} of the network's weights are in the checkpoint ({report}); it is of "
            f"another network: its keys begin {examples}, the network's {', '.join(list(own)[:3])}"
        )
    for key, value in fitting.items():
        own[key].copy_(value)
    return report


def resize(key: str, value: Tensor, shape: torch.Size) -> Tensor | None:
    """A bias table or an absolute position embedding at another size of its square grid, bicubic.

    Args:
        key: of the state dict; its last part says what the value is.
        value: bias table ((2 w - 1)^2, heads) or positions (1, h w, C), as published.
        shape: wanted; positions are wanted as a map (1, C, h, w).

    Returns:
        The resized value, or None where it is neither or has other heads or channels.
    """
    name = key.rpartition(".")[2]
    if name == _TABLE and value.ndim == 2 and value.shape[1] == shape[1]:
        map_NCHW = _square(value.float().T[None])
        side = _side(shape[0])
        if map_NCHW is not None:
            return F.interpolate(map_NCHW, (side, side), mode="bicubic", align_corners=False)[0].flatten(1).T
    if name == _POSITION and value.ndim == 3 and value.shape[2] == shape[1]:
        map_NCHW = _square(value.float().transpose(1, 2))
        if map_NCHW is not None:
            return F.interpolate(map_NCHW, shape[2:], mode="bicubic", align_corners=False)
    return None


def _square(x_NCL: Tensor) -> Tensor | None:
    side = _side(x_NCL.shape[2])
    return x_NCL.reshape(*x_NCL.shape[:2], side, side) if side * side == x_NCL.shape[2] else None


def _side(area: int) -> int:
    return math.isqrt(area)
