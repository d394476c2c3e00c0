"""Options of the verbs `train-all` and `job`, and how a command line is made of them again."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.command_line import option
from kit.errors import KitError
from kit.typed_json import at_least
from train_local.options import Options


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What is trained, on what data, and where the runs go."""

    out: Path = field(metadata=option("folder of all runs: DIR/COMPETITION/RECIPE/foldK", metavar="DIR"))
    prepared: tuple[Path, ...] = field(
        default=(), metadata=option("folders that `prepare` wrote, one per competition", metavar="DIR")
    )
    data: tuple[tuple[str, Path], ...] = field(
        default=(),
        metadata=option(
            "a competition and its unpacked folder, to be prepared first", metavar=("NAME", "DIR")
        ),
    )
    work: Path = field(default=Path("work"), metadata=option("folder to prepare --data in", metavar="DIR"))
    dist: Path | None = field(
        default=None,
        metadata=option(
            "folder of the ensembles, DIR/COMPETITION/ensemble.json (default: --out)", metavar="DIR"
        ),
    )
    tiny: bool = field(default=False, metadata=option("the small forms, for a CPU and a few minutes"))
    views: tuple[str, ...] = field(
        default=(),
        metadata=option("to predict held-out images under, instead of the recipes'", metavar="VIEW"),
    )
    checkpoints: Path | None = field(
        default=None, metadata=option("folder of published checkpoints recipes start from", metavar="DIR")
    )
    batch_size: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option(
            "most examples of a forward pass, for smaller GPUs; the total batch stays as published",
            metavar="N",
        ),
    )
    checkpointing: bool = field(
        default=False,
        metadata=option("compute activations twice where a network can, for smaller GPUs"),
    )
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, kw_only=True)
class TrainAll:
    """Train every recipe, stage and fold, make pseudo labels and ensembles; what is done is kept."""

    graph: Graph
    only: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "jobs whose name or recipe matches, and what they need: 'unet*', 'kidney/*', '*.fold0'; "
            "may be repeated",
            metavar="PATTERN",
            repeat=True,
        ),
    )
    executor: Literal["local", "slurm", "ray"] = field(
        default="local", metadata=option("where jobs run; all machines have to share the folders")
    )
    machine_gpus: Annotated[int, at_least(0)] | None = field(
        default=None,
        metadata=option("GPUs of this machine to use (default: all)", metavar="N", flag="--gpus"),
    )
    jobs: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option(
            "jobs side by side on this machine (default: one per GPU; without GPUs one, with --tiny as many"
            " as the cores have room for)",
            metavar="N",
        ),
    )
    submit: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "Slurm: submitit's parameters, e.g. slurm_partition=gpu timeout_min=600", metavar="KEY=VALUE"
        ),
    )
    address: str = field(default="auto", metadata=option("Ray: address of the cluster", metavar="HOST:PORT"))
    dry_run: bool = field(
        default=False,
        metadata=option("print the jobs in their order, what is done, GPU hours and memory; do nothing"),
    )
    json: bool = field(
        default=False, metadata=option("print the jobs, at the end or of the dry run, in JSON")
    )

    def __post_init__(self) -> None:
        given = {
            "--gpus": ("local", self.machine_gpus is not None),
            "--jobs": ("local", self.jobs is not None),
            "--submit": ("slurm", bool(self.submit)),
            "--address": ("ray", self.address != "auto"),
        }
        for flag, (executor, there) in given.items():
            if there and executor != self.executor:
                raise KitError(
                    f"{flag} is for --executor {executor}, and this is {self.executor}",
                    where=flag,
                    fix=f"leave it out, or use --executor {executor}",
                )


@dataclass(frozen=True, kw_only=True)
class OneJob:
    """Do one job of the graph, as `train-all --dry-run` lists it; killed and run again, it goes on."""

    name: str = field(metadata=option("such as kidney/unet-regnety16.fold0", positional=True))
    graph: Graph


def flags(values: Any) -> list[str]:
    """Return the command line that gives a dataclass of options these values; defaults are left out.

    `flags(Options(threads=2))` is ["--threads", "2"].
    """
    written: list[str] = []
    for item in fields(values):
        value, told = getattr(values, item.name), item.metadata.get("option")
        if isinstance(value, Options):
            written += flags(value)
        if told is None or value == item.default:
            continue
        name = told.flag or f"--{item.name.replace('_', '-')}"
        if isinstance(value, bool):
            written.append(name)
        elif item.name == "data":
            written += [part for pair in value for part in (name, *map(str, pair))]
        elif isinstance(value, tuple):
            written += [name, *map(str, value)] if value else []
        else:
            written += [name, str(value)]
    return written
