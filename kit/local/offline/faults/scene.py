"""What faults change of a rehearsal: the image, the machine, the mounted data, the weights, the signals."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from kit.errors import KitError
from kit.local.offline.file_server import Mount

Gpus = Literal["pretended", "unusable"]
Point = Literal["start", "open", "put in place", "convolution"]
Action = Literal[
    "kill",
    "kill the fattest",
    "stop",
    "terminate the supervisor",
    "raise",
    "fill",
    "read error",
    "memory",
    "poison",
    "lose",
    "slow",
]


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault that strikes at events of predict.py's processes.

    Attributes:
        fault: its name.
        point: which events: a worker starts, a file is opened, a file is put in place by renaming, a
            convolution is computed.
        action: what happens there.
        after: events before the first one.
        times: events at which it strikes, one after another.
        argument: of the action.
        role: whose events.
        only: value of CUDA_VISIBLE_DEVICES of the processes it strikes; None: of any.
        on: end of the names of the files.
    """

    fault: str
    point: Point
    action: Action
    after: int = 0
    times: int = 1
    argument: Any = None
    role: Literal["worker", "supervisor"] = "worker"
    only: str | None = None
    on: str = ""


@dataclass
class Scene:
    """A rehearsal before it begins; faults change it.

    Attributes:
        draw: decides moments and victims.
        strikes: of the image's start-up hook.
        gpus: two that the image lists; None: none.
        clock: (seconds, jump of the wall clock in seconds); None: it does not jump.
        modules: name -> text of modules that the image has instead of its own.
        environment: further variables.
        mount: how the input reads.
        slow_down: of the machine.
        full: disks ("working", "scratch") that somebody else fills.
        closed: predict.py gets no stdout.
        hidden: changes of the test part: "empty", "three times", "unlisted".
        weights: changes of members: "constant", "not a number", "identical".
    """

    draw: random.Random
    strikes: list[Strike] = field(default_factory=list)
    gpus: Gpus | None = None
    clock: tuple[float, float] | None = None
    modules: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    mount: Mount = field(default_factory=Mount)
    slow_down: float = 1.0
    full: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    hidden: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)

    @property
    def needs_namespaces(self) -> bool:
        """Whether a fault can be made only where the sandbox may mount something."""
        return bool(self.full) or not self.mount.plain

    def write_hook(self, folder: Path, disks: dict[str, Path]) -> dict[str, str]:
        """Write the image's start-up hook, and return the variables with which it runs.

        Args:
            folder: for the hook; every process can write there.
            disks: name -> folder of the disks that may be filled.
        """
        folder.mkdir()
        hook = (files("kit.local.offline.faults") / "hook.py").read_text(encoding="utf-8")
        (folder / "sitecustomize.py").write_text(f"{hook}\n\nbegin()\n", encoding="utf-8")
        for name, text in self.modules.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        strikes = [asdict(strike) for strike in self.strikes]
        for strike in strikes:
            if strike["action"] == "fill":
                strike["argument"] = [str(disks[name]) for name in strike["argument"]]
        plan = {"strikes": strikes, "gpus": self.gpus, "clock": self.clock}
        (folder / "strikes.json").write_text(json.dumps(plan), encoding="utf-8")
        listed = {"CUDA_VISIBLE_DEVICES": "0,1"} if self.gpus is not None else {}
        return {**listed, **self.environment, "PYTHONPATH": str(folder), "REHEARSAL_FAULTS": str(folder)}


def struck(folder: Path) -> list[str]:
    """Return the faults that struck through the hook, in their order, each time they did.

    Raises:
        KitError: the hook itself failed.
    """
    failed = folder / "failed.txt"
    if failed.is_file():
        raise KitError(
            f"the faults could not be planted: {failed.read_text().splitlines()[0]}",
            where=folder,
            fix="this is a fault of the kit: report it with the options of the rehearsal",
        )
    told = folder / "struck.txt"
    return [line.split(" ", 1)[0] for line in told.read_text().splitlines()] if told.is_file() else []
