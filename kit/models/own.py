"""A model of one's own behind the kit's interface: a class in a module that the bundle installs as a wheel.

docs/own-model.md describes the class. It imports nothing of the kit; what it declares stands in the member's
config, so that nobody has to import it to know its kind. `python -m train_local add-model` writes the config.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit.errors import KitError
from kit.models.detections import Detections
from kit.models.entry import Entry
from kit.models.network import InstanceNetwork, Logits, Network, SemanticNetwork
from kit.models.network_spec import NetworkSpec
from kit.models.own_file import OwnFile
from kit.names import FileName, Hexadecimal, Name
from kit.typed_json import Checked, Limit, at_least

Identifier = Annotated[str, Limit(str.isidentifier, "a name of Python")]
_ADD_AGAIN = "correct the class and run `add-model` again"


@dataclass(frozen=True, kw_only=True)
class OwnModel(Checked):
    """What the config of a member says of a class of one's own.

    Attributes:
        module: that has the class; a wheel of the bundle brings it.
        class_name: of the class.
        settings: keyword arguments of the class.
        source: sha256 of the module's files.
        requires: distributions it imports, beside those that every member has.
        kind: of its predictions.
        output: what `forward` of a semantic model returns: "logit" or "sigmoid" (N, K, H, W), or "softmax"
            (N, 1 + K, H, W) with the background first. K is the number of classes.
        classes: names of the classes, in the order of its channels or labels; () for one class. Of kind
            "values" the names of its values.
        colour: channel order of its input.
        mean: subtracted from each channel, 0..255, in the order of `colour`.
        std: divides each channel, 0..255, in the order of `colour`.
        size_divisor: its input is padded to a multiple of it.
        file: name of its weights in a format of its own; "" where they are safetensors of a state dict.
        file_size: bytes of that file.
        flops: floating point operations of an input of one megapixel, counted once; 0 if nothing counted.
        engine: module of `kit.inference` that runs it, where it is not the one of its kind.
    """

    module: Identifier = "my_model"
    class_name: Identifier = "MyModel"
    settings: dict[str, Any] = field(default_factory=dict)
    source: Hexadecimal = "0"
    requires: tuple[Name, ...] = ()
    kind: Literal["semantic", "instance", "values"] = "semantic"
    output: Literal["logit", "sigmoid", "softmax"] = "logit"
    classes: tuple[str, ...] = ()
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size_divisor: Annotated[int, at_least(1)] = 1
    file: FileName | None = None
    file_size: Annotated[int, at_least(0)] = 0
    flops: Annotated[float, at_least(0)] = 0.0
    engine: Identifier | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(self.std):
            raise KitError("std is 0, and the input is divided by it", fix=_ADD_AGAIN)


def _declared(size: OwnModel) -> NetworkSpec:
    """Return the declaration of a class, as other networks have it in their family."""
    outputs: dict[str, Any] = {"semantic": size.output, "instance": "detections", "values": "values"}
    return NetworkSpec(
        name=f"{size.module}.{size.class_name}",
        system="own",
        kind=size.kind,
        output=outputs[size.kind],
        colour=size.colour,
        mean=size.mean,
        std=size.std,
        size_divisor=size.size_divisor,
        requires=size.requires,
        classes=max(1, len(size.classes)),
    )


def _build(spec: NetworkSpec, size: OwnModel) -> Network:
    module = importlib.import_module(size.module)
    made = getattr(module, size.class_name, None)
    if made is None:
        raise KitError(f"{size.module} has no class {size.class_name}", where=module.__file__, fix=_ADD_AGAIN)
    model = made(**size.settings)
    network = model
    if size.file is not None:
        network = OwnFile(model, size.file, size.file_size)
    elif not isinstance(model, nn.Module):
        raise KitError(
            f"{size.class_name} is no torch.nn.Module, so safetensors cannot be loaded into it",
            where=module.__file__,
            fix="derive it from torch.nn.Module, or give it a method load(path) that reads its own file",
        )
    kinds: dict[str, Any] = {"semantic": OwnSemantic, "instance": OwnInstance, "values": OwnValues}
    adapter: Network = kinds[size.kind](spec, network, model, size.classes)
    return adapter


class _Own(Network):
    """What the adapters of all kinds share.

    Attributes:
        model: the user's object.
        names: of classes or values.
    """

    def __init__(self, spec: NetworkSpec, network: nn.Module, model: Any, names: tuple[str, ...]) -> None:
        super().__init__(spec, network)
        self.names = names
        # In a list, because a module as attribute would be a second submodule with the same parameters.
        self._model = [model]

    @property
    def model(self) -> Any:
        """The user's object."""
        return self._model[0]

    def normalise(self, x_NCHW: Tensor) -> Tensor:
        """Put the channels into the declared order, then normalise as every network does."""
        return super().normalise(x_NCHW.flip(1) if self.spec.colour == "BGR" else x_NCHW)

    def _padded(self, x_NCHW: Tensor) -> Tensor:
        height, width = x_NCHW.shape[-2:]
        return F.pad(self.normalise(x_NCHW), self.padding(height, width), mode="replicate")


class OwnSemantic(_Own, SemanticNetwork):
    """A class whose `forward` returns a value per pixel and class."""

    def forward(self, x_NCHW: Tensor, *, logits: bool = False) -> Tensor | Logits:
        """Predict; arguments as of `SemanticNetwork`.

        Returns:
            (N, K, H, W): logits or probabilities of the K classes, as `spec.output` says.

        Raises:
            KitError: the class returned something else.
        """
        if logits:
            raise KitError(f"{self.spec.name} is trained by its own script", fix="add it with `add-model`")
        height, width = x_NCHW.shape[-2:]
        padded = self._padded(x_NCHW)
        value = self.model(padded)
        background = self.spec.output == "softmax"
        wanted = (len(padded), self.spec.classes + background, *padded.shape[-2:])
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if found != wanted:
            raise KitError(
                f"{self.spec.name}.forward returned {found} for an input of {tuple(padded.shape)}, not "
                f"{wanted}",
                fix="return (N, classes, H, W) of the input's size; with output 'softmax' one channel more, "
                "the background first",
            )
        # softmax of one class: (N, 2, H, W) is background and foreground, and the foreground is kept.
        value_NKHW: Tensor = value[:, int(background) :, :height, :width]
        return value_NKHW if self.spec.output == "logit" else value_NKHW.float()


class OwnInstance(_Own, InstanceNetwork):
    """A class whose `forward` returns boxes, scores and masks of each image, as torchvision's do."""

    @torch.no_grad()
    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Return the instances of each image, best score first.

        Raises:
            KitError: the class returned something else.
        """
        found = self.model(self._padded(x_NCHW))
        if not isinstance(found, list | tuple) or len(found) != len(x_NCHW):
            what = f"{len(found)} items" if isinstance(found, list | tuple) else type(found).__name__
            raise KitError(
                f"{self.spec.name}.forward returned {what} for {len(x_NCHW)} images",
                fix="return a list with a dict of boxes, scores and masks for each image",
            )
        return [self._detections(item, tuple(x_NCHW.shape[-2:])) for item in found]

    def _detections(self, found: Any, size: tuple[int, ...]) -> Detections:
        """Return one image's dict as `Detections`: {"boxes": (n, 4), "scores": (n,), "masks": (n, H, W)}."""
        absent = {"boxes", "scores", "masks"} - set(found if isinstance(found, Mapping) else ())
        if absent:
            raise KitError(
                f"{self.spec.name}.forward returned no {' and no '.join(sorted(absent))}",
                fix="return a dict with the keys boxes, scores and masks for each image",
            )
        used = ("boxes", "scores", "masks", *(("labels",) if self.spec.classes > 1 else ()))
        for key in used:
            if not isinstance(found.get(key, torch.empty(0)), Tensor):
                raise KitError(
                    f"{self.spec.name}.forward returned {key} as {type(found[key]).__name__}",
                    fix="return tensors of torch: torch.as_tensor(...)",
                )
        boxes, scores, masks = (found[key] for key in used[:3])
        if masks.ndim == 4:  # torchvision: (n, 1, H, W)
            masks = masks[:, 0]
        if masks.dtype != torch.bool:
            masks = masks >= 0.5
        masks = masks[:, : size[0], : size[1]]
        labels = found.get("labels") if self.spec.classes > 1 else None
        if self.spec.classes > 1 and labels is None:
            raise KitError(
                f"{self.spec.name}.forward returned no labels, and there are {self.spec.classes} classes",
                fix='add "labels": (n,) int64, the index of each instance\'s class, from 0',
            )
        if labels is not None:
            wrong = labels[(labels < 0) | (labels >= self.spec.classes)]
            if len(labels) != len(scores) or len(wrong):
                said = (
                    f"label {wrong[0]:g}" if len(wrong) else f"{len(labels)} labels for {len(scores)} scores"
                )
                raise KitError(
                    f"{self.spec.name}.forward returned {said}, and there are {self.spec.classes} classes",
                    fix="labels (n,) are indices of the definition's classes, from 0; torchvision's begin "
                    "at 1",
                )
        order = scores.argsort(descending=True, stable=True)
        return Detections(
            boxes[order], scores[order], masks[order], None if labels is None else labels[order]
        )


class OwnValues(_Own):
    """A class whose `predict` returns numbers or words about a whole image."""

    def forward(self, image_HWC: Any) -> dict[str, float | str]:
        """Return `predict` of the class: the value of each name.

        Args:
            image_HWC: uint8 (H, W, 3), in the declared order of colours; of a folder of slices a sequence of
                such images, each of which is read when it is asked for.

        Raises:
            KitError: the class returned something else than a number or word for each name.
        """
        image = image_HWC
        if self.spec.colour == "BGR":
            volume = isinstance(image, Sequence)
            image = image.mapped(_swapped) if volume else _swapped(image)
        found = self.model.predict(image)
        if not isinstance(found, Mapping):
            raise KitError(
                f"{self.spec.name}.predict returned {type(found).__name__}",
                fix="return a dict: name of each value -> number or word",
            )
        if set(found) != set(self.names):
            raise KitError(
                f"{self.spec.name}.predict returned {', '.join(map(str, found)) or 'nothing'}",
                fix=f"return a value for each target of the competition: {', '.join(self.names)}",
            )
        return {str(name): _plain(name, value) for name, value in found.items()}


def _swapped(image_HWC: Any) -> Any:
    return image_HWC[..., ::-1].copy()


def _plain(name: str, value: Any) -> float | str:
    """A number or word of any library: a tensor or array of one number becomes that number."""
    try:
        return str(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError) as error:
        raise KitError(
            f"predict returned {name} as {type(value).__name__}: {error}", fix="return a number or a text"
        ) from error


ENTRY = Entry(spec=_declared(OwnModel()), size=OwnModel(), build=_build, declare=_declared)
"""Of the network "own"; it lies in no family's module, so `names` does not list it."""
