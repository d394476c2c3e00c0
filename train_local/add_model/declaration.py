"""What a class of the user's declares: read from its attributes, checked, and made into a member's config."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.errors import KitError
from kit.inference import views
from kit.inference.instance_settings import InstanceSettings
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.values_settings import ValuesSettings
from kit.local.console import console
from kit.names import Name
from kit.typed_json import Checked, above, at_least, from_plain, to_plain

Count = Annotated[int, at_least(1)]
_SETTINGS: dict[str, type[Any]] = {
    "semantic": SemanticSettings,
    "instance": InstanceSettings,
    "values": ValuesSettings,
}


@dataclass(frozen=True, kw_only=True)
class Declaration(Checked):
    """The attributes that a class may have; all but `kind` have defaults.

    Attributes:
        kind: what it predicts.
        output: what `forward` of a semantic model returns.
        requires: distributions that its file imports, beside torch, torchvision, numpy and OpenCV.
        colour: channel order of its input.
        mean: subtracted from each channel, 0..255.
        std: divides each channel, 0..255.
        size_divisor: its input is padded to a multiple of it.
        window: pixels of the image, per side, that it sees at once.
        context: pixels on each side of a window whose prediction is not kept; None: an eighth of the window.
        scale: pixels of the input per pixel of the image, of windows.
        size: longer side of the whole image at the input, in place of windows.
        overlap: pixels that neighbouring windows share, of instances.
        batch: windows in one forward pass.
        views: under which images are predicted, the first one first.
        inference: further settings of the engine, by their names in docs/own-model.md.
    """

    kind: Literal["semantic", "instance", "values"]
    output: Literal["logit", "sigmoid", "softmax"] = "logit"
    requires: tuple[Name, ...] = ()
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[
        Annotated[float, above(0)], Annotated[float, above(0)], Annotated[float, above(0)]
    ] = (1.0, 1.0, 1.0)  # fmt: skip
    size_divisor: Count = 1
    window: Count | None = None
    context: Annotated[int, at_least(0)] | None = None
    scale: Annotated[float, above(0)] = 1.0
    size: Count | None = None
    overlap: Annotated[int, at_least(0)] = 0
    batch: Count = 8
    views: tuple[str, ...] = ("identity",)
    inference: dict[str, Any] = field(default_factory=dict)

    def settings(self, where: str) -> dict[str, Any]:
        """Return the settings of the engine, as `Member.inference` has them.

        Raises:
            KitError: they cannot be.
        """
        made = {"semantic": self._semantic, "instance": self._instance, "values": self._values}[self.kind]()
        fix = "correct the class's attributes"
        checked = from_plain(_SETTINGS[self.kind], {**made, **self.inference}, where=where, fix=fix)
        # Only what differs from the defaults: a new setting of the engine changes no older member.
        plain, defaults = to_plain(checked), {item.name: item.default for item in fields(checked)}
        return {name: value for name, value in plain.items() if value != defaults[name]}

    def _semantic(self) -> dict[str, Any]:
        if self.size is not None:
            return {"size": self.size, "batch_size": self.batch}
        if self.window is None:
            raise KitError(
                "the class says neither `window` nor `size`",
                fix="write window = 512 (pixels per side that it sees), or size = 512 (images as a whole)",
            )
        context = self.window // 8 if self.context is None else self.context
        core = self.window - 2 * context
        if core < 1:
            raise KitError(
                f"context is {context} on each side, which leaves nothing of a window of {self.window}",
                fix="make `context` smaller than half of `window`",
            )
        return {"core": core, "context": context, "scale": self.scale, "batch_size": self.batch}

    def _instance(self) -> dict[str, Any]:
        size = self.size or (self.window and max(1, int(self.window * self.scale + 0.5)))
        if size is None:
            raise KitError(
                "the class says neither `size` nor `window`",
                fix="write size = 1024 (longer side of the image at its input), and window = 1024 for large "
                "images",
            )
        return {"size": size, "window": self.window, "overlap": self.overlap}

    def _values(self) -> dict[str, Any]:
        return {"size": self.size}


def declaration_of(found: type, where: Path) -> Declaration:
    """Read the attributes of a class.

    Args:
        found: the class.
        where: its file, for messages.

    Raises:
        KitError: an attribute has the wrong type or value, looks misspelt, or a view is unknown.
    """
    place, known = f"{where}, class {found.__name__}", [item.name for item in fields(Declaration)]
    given: dict[str, Any] = {}
    for base in reversed(found.__mro__[:-1]):  # what a parent declares, a child may change
        if base.__module__.partition(".")[0] in ("torch", "builtins"):
            continue
        for name, value in vars(base).items():
            if name in known:
                given[name] = value
            elif _plain(name, value) and (near := difflib.get_close_matches(name, known, 1, 0.8)):
                raise KitError(
                    f"{name} is nothing that a class declares",
                    where=place,
                    fix=f"write {near[0]}; if it is something of your own, call it _{name}",
                )
    declared: Declaration = from_plain(Declaration, given, where=place, fix="see docs/own-model.md")
    if idle := sorted(_idle(declared) & set(given)):
        console().print(
            f"{found.__name__} declares {', '.join(idle)}, which does nothing for a model of kind "
            f"{declared.kind!r}{' with a size' if declared.size and declared.kind == 'semantic' else ''}",
            style="yellow",
            markup=False,
        )
    for view in declared.views:
        try:
            views.get_set(view)
        except KitError as error:
            raise KitError(error.problem, where=f"{place}, views", fix=error.fix) from error
    if not declared.views or len(set(declared.views)) < len(declared.views):
        raise KitError(
            f"views is {list(declared.views)}", where=place, fix="name each view once: ['identity', 'hflip']"
        )
    return declared


def _idle(declared: Declaration) -> frozenset[str]:
    """Return the attributes that a kind does not look at."""
    if declared.kind == "values":  # `predict` gets the image itself
        return frozenset(
            ("output", "mean", "std", "size_divisor", "window", "context", "scale", "overlap", "batch")
        )
    if declared.kind == "instance":
        return frozenset(("output", "context", "batch"))
    return frozenset(("overlap", *(("window", "context", "scale") if declared.size else ())))


def _plain(name: str, value: Any) -> bool:
    return not name.startswith("_") and isinstance(value, str | int | float | list | tuple | dict)
