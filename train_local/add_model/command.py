"""`python -m train_local add-model MODEL.py --weights FILE@FOLD ...`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kit.command_line import option
from kit.errors import KitError
from train_local.places import require_folder

if TYPE_CHECKING:
    from train_local.add_model.weights import Given


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE; the value is JSON, or else a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise KitError("a setting is NAME=VALUE", fix="write it such as width=32")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _weights(text: str) -> Given:
    from train_local.add_model.weights import parse  # loads torch, which --help does not need

    return parse(text)


@dataclass(frozen=True, kw_only=True)
class AddModel:
    """Check a trained model of your own, predict its held-out images, and write finished runs."""

    model: Path = field(
        metadata=option(
            "Python file of the model, or the folder of a package", metavar="MODEL", positional=True
        )
    )
    weights: tuple[Any, ...] = field(
        metadata=option(
            "weights of a fold (FILE@0), or trained on all images (FILE)",
            metavar="FILE[@FOLD]",
            read=_weights,
        )
    )
    prepared: Path = field(metadata=option("folder that `prepare` wrote", metavar="DIR"))
    runs: Path = field(metadata=option("folder of all runs of this competition", metavar="DIR"))
    name: str | None = field(
        default=None, metadata=option("of the runs (default: that of the file)", metavar="NAME")
    )
    class_name: str | None = field(
        default=None,
        metadata=option(
            "class in the file (default: the one that says its kind)", metavar="NAME", flag="--class"
        ),
    )
    settings: tuple[Any, ...] = field(
        default=(),
        metadata=option(
            "argument of the class, may be repeated",
            metavar="NAME=VALUE",
            flag="--set",
            repeat=True,
            read=_setting,
        ),
    )
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))
    device: Literal["auto", "cpu", "cuda"] = field(
        default="auto", metadata=option("where held-out images are predicted")
    )
    json: bool = field(default=False, metadata=option("print what was added as JSON"))


def add_model(options: AddModel) -> int:
    """Run the verb `add-model`: print the folder of each run, or in JSON what is known of it."""
    from kit.names import Name
    from kit.typed_json import convert
    from train_local.add_model.add import Request, add_model, tell
    from train_local.data import prepared

    require_folder("--runs", options.runs)
    data = prepared.load(options.prepared)
    name = options.name or options.model.stem.replace("_", "-")
    request = Request(
        model=options.model,
        class_name=options.class_name,
        settings=dict(options.settings),
        name=convert(Name, name, "--name"),
        weights=options.weights,
        runs=options.runs,
        lock=options.lock,
        device=options.device,
    )
    added = add_model(request, data)
    tell(added, data.source.metric)
    if options.json:
        print(json.dumps([item.as_dict() for item in added], indent=1))
    else:
        for item in added:
            print(item.folder)
    return 0
