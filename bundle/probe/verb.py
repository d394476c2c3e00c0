"""`python -m bundle probe`: a Kaggle image, this machine or somebody's freeze becomes a target."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from bundle.probe import freeze, kernel, observed
from kit.artefacts import read_json, write_json
from kit.command_line import option
from kit.errors import KitError
from kit.local import targets
from kit.local.kaggle.account import account
from kit.local.kaggle.waiting import Waiting, open_wire, say
from kit.local.lockfile import PYTHONS
from kit.local.targets import Target, marker_environment
from kit.local.verbs import Verb
from kit.names import Name
from kit.typed_json import convert, to_plain

CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Describe an image as a target: look at it on Kaggle, or at this machine, or read somebody's freeze.

    Attributes:
        accelerator: Kaggle's name of the machine, or "cpu".
        image: container reference with digest; None for Kaggle's present default.
        local: look at this machine instead.
        freeze: read this list of packages, or an observed.json, instead.
        python: interpreter of `local`, or version of the Python that `freeze` is of.
        name: of the target; None makes one from the month and the machine.
        out: the target file; None puts it beside the kit's own.
        replace: overwrite a target file that is there.
        owner: Kaggle user name; None asks Kaggle for that of the credentials.
        title: of the kernel.
        state: folder for the kernel's state and output.
        waiting: how long Kaggle may take.
    """

    accelerator: str = field(
        default="NvidiaTeslaT4", metadata=option("Kaggle's name of the machine, or cpu", metavar="ID")
    )
    image: str | None = field(
        default=None, metadata=option("container with digest (default: Kaggle's present one)", metavar="REF")
    )
    local: bool = field(default=False, metadata=option("look at this machine, not at Kaggle"))
    freeze: Path | None = field(
        default=None,
        metadata=option("read a pip freeze, pip list or observed.json", flag="--from", metavar="FILE"),
    )
    python: str | None = field(
        default=None,
        metadata=option(
            "with --from: version of its Python; with --local: the interpreter", metavar="PYTHON"
        ),
    )
    name: str | None = field(default=None, metadata=option("of the target"))
    out: Path | None = field(
        default=None, metadata=option("the target file (default: among the kit's targets)", metavar="FILE")
    )
    replace: bool = field(default=False, metadata=option("overwrite a target file that is there"))
    owner: str | None = field(
        default=None, metadata=option("Kaggle user name (default: that of the credentials)", metavar="NAME")
    )
    title: str | None = field(default=None, metadata=option("of the kernel (default: by the machine)"))
    state: Path = field(
        default=Path("dist/probe"), metadata=option("folder for the kernel's state and output", metavar="DIR")
    )
    waiting: Waiting

    def __post_init__(self) -> None:
        if self.local and self.freeze is not None:
            raise KitError("--local and --from are two ways to do the same", fix="give one of them")
        if self.python is not None and not (self.local or self.freeze is not None):
            raise KitError("the probe on Kaggle finds the Python out", where="--python", fix="leave it out")


def run(options: Options) -> int:
    """Run the verb `probe`: write a target file and print its path.

    Raises:
        KitError: bad options, a file that is there already, or a probe that failed.
    """
    known = targets.known()
    folder = Path(str(files(targets.__name__)))
    if (asked := _expected_name(options)) is not None or options.out is not None:
        _require_room(options, options.out or folder / f"{asked}.json")  # before minutes of a session
    target = _target(options, known)
    out = options.out or folder / f"{target.name}.json"
    _require_room(options, out)
    write_json(out, to_plain(target))
    targets.load(out)  # what is written can be read: the next build would fail otherwise
    say(f"{target.name}: Python {target.python}, torch {target.torch or 'unknown'}, glibc {target.glibc}")
    for note in target.notes:
        say(f"  {note}")
    if target.minor not in PYTHONS:
        # It is what the image has, so it is written down; what somebody types is refused before.
        say(
            f"no bundle can be built for Python {target.minor} yet: requirements.lock holds for "
            f"{', '.join(PYTHONS)} only"
        )
    if out.parent == folder:
        say("the next `bundle` builds for it, too; delete the file if it should not")
    print(json.dumps({"target": target.name, "file": str(out)}))
    return 0


def _expected_name(options: Options) -> str | None:
    """The target's name as far as it is known before anything is looked at."""
    if options.name is not None or options.local or options.freeze is not None:
        return options.name
    return _kaggle_name(datetime.now(UTC).date().isoformat(), _accelerator(options))


def _require_room(options: Options, out: Path) -> None:
    if out.exists() and not options.replace:
        raise KitError("there is a target file already", where=out, fix="give another --name, or --replace")


def _target(options: Options, known: list[Target]) -> Target:
    if options.freeze is not None:
        return _from_file(options, options.freeze, known)
    if options.local:
        seen = kernel.here(options.python or sys.executable)
        tag = "cp" + "".join(seen.python.split(".")[:2])
        return observed.to_target(seen, _name(options, f"here-{tag}"), known)
    accelerator = _accelerator(options)
    seen = _on_kaggle(options, accelerator)
    return observed.to_target(seen, _name(options, _kaggle_name(seen.date, accelerator)), known)


def _accelerator(options: Options) -> str | None:
    return None if options.accelerator.lower() == CPU else options.accelerator


def _kaggle_name(date: str, accelerator: str | None) -> str:
    """The name of what was seen on Kaggle: "kaggle-2026-11-t4"."""
    kind = accelerator or CPU
    return f"kaggle-{date[:7]}-{kind.removeprefix('NvidiaTesla').removeprefix('Nvidia').lower()}"


def _from_file(options: Options, path: Path, known: list[Target]) -> Target:
    if (
        path.suffix == ".json"
        and isinstance(value := read_json(path), dict)
        and value.get("kind") == "observed"
    ):
        if options.python is not None:
            raise KitError(
                "an observed.json says which Python it is of", where="--python", fix="leave it out"
            )
        seen = observed.load(path)
        return observed.to_target(seen, _name(options, path.stem), known)
    packages, unknown = freeze.read_freeze(path)
    if options.python is None:
        raise KitError(
            "a list of packages does not say which Python it is of",
            where=path,
            fix="add it, for example --python 3.13",
        )
    _require_supported(options.python)
    name = _name(options, path.stem)
    return observed.from_freeze(
        packages, unknown, name=name, python=options.python, like=known, source=f"the list {path.name}"
    )


def _require_supported(python: str) -> None:
    """Refuse a Python that no bundle can be built for: nobody saw it, and it may be a slip of the pen."""
    minor = marker_environment(python)["python_version"]
    if minor not in PYTHONS:
        raise KitError(
            f"the kit has no wheels for Python {minor}: requirements.lock holds for {', '.join(PYTHONS)}",
            where="--python",
            fix=f"correct it; if an image has Python {minor}, run `probe` there, on Kaggle or as --local",
        )


def _on_kaggle(options: Options, accelerator: str | None) -> observed.Observed:
    with open_wire(options.waiting) as wire:
        return kernel.on_kaggle(
            wire,
            owner=options.owner or account(wire).name,
            title=options.title or f"Probe {accelerator or 'CPU'}",
            accelerator=accelerator,
            image=options.image,
            folder=options.state,
            say=say,
        )


def _name(options: Options, otherwise: str) -> str:
    name: str = convert(
        Name, options.name or otherwise, "--name", fix="give a --name of letters, digits and hyphens"
    )
    return name


VERB = Verb(
    "probe",
    Options,
    run,
    "Kaggle's images",
    ("probe", "probe --local --name this-machine", "probe --from freeze.txt --python 3.13 --name theirs"),
    "a kernel that was pushed goes on, and is waited for again",
)
"""`probe [--accelerator ID | --local | --from FILE]`."""
