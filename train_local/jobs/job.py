"""One node of the graph of jobs, and what planning knows of recipes and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["prepare", "train", "predict", "label", "ensemble"]
Takes = Literal["data", "best", "last", "predictions", "labels", "out of fold"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job takes while it runs.

    Attributes:
        gpus: number of GPUs; 0 computes on the CPU.
        memory_gb: of each GPU, as the published log says; 0 if it is not known.
        hours: of GPU time, as the published log says; 0 if they are not known.
    """

    gpus: int = 0
    memory_gb: float = 0.0
    hours: float = 0.0


@dataclass(frozen=True)
class Need:
    """What a job takes from another one.

    Attributes:
        job: name of the other one.
        takes: which of its results; of a training the best or the last weights.
    """

    job: str
    takes: Takes


@dataclass(frozen=True, kw_only=True)
class Job:
    """One node of the graph.

    Attributes:
        kind: what is done.
        name: unique: "vasculature/detectors-r50.fold1".
        competition: its name.
        identity: hash of everything that decides the result. It is provisional until the data is prepared.
        uses: what it takes from which jobs.
        command: command line that does it.
        folder: holds the result, and `done.json`, which is written last.
        data: the prepared folder.
        products: files that a finished job has left; without one of them it is not finished.
        resources: what it takes while it runs.
        config: what is done, in plain values.
    """

    kind: Kind
    name: str
    competition: str
    identity: str
    uses: tuple[Need, ...] = ()
    command: tuple[str, ...] = ()
    folder: Path
    data: Path = Path()
    products: tuple[Path, ...] = ()
    resources: Resources = field(default_factory=Resources)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that have to be done before this one, each once."""
        return tuple(dict.fromkeys(need.job for need in self.uses))

    @property
    def short_name(self) -> str:
        """The name without the competition: "detectors-r50.fold1"."""
        return self.name.partition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A recipe in plain values, full size or tiny.

    Attributes:
        config: `Recipe.as_dict()`.
        modules: what its training imports by name, so that no import statement leads there: the family of
            its network and the inference engine.
        member: whether its runs enter the ensemble; earlier stages and teachers don't.
        checkpoints: published checkpoint that it or an earlier stage starts from -> names that its file may
            have.
    """

    config: Mapping[str, Any]
    modules: tuple[str, ...] = ()
    member: bool = True
    checkpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.config["name"])


@dataclass(frozen=True, kw_only=True)
class CompetitionData:
    """The data of one competition, as far as planning needs it.

    Attributes:
        competition: its name.
        folder: the prepared folder.
        runs: folder of all its runs.
        ensemble: the ensemble.json to write.
        identity: of the prepared data; of the prepare job where it is not prepared yet.
        folds: number of folds; None where it is not prepared yet, which stands for the recipe's number.
        prepare: arguments of the verb that prepares it; None if that is not a job.
        prepare_identity: of the prepare job.
        definition: the competition's; None where its name says it all.
    """

    competition: str
    folder: Path
    runs: Path
    ensemble: Path
    identity: str
    folds: int | None
    prepare: tuple[str, ...] | None = None
    prepare_identity: str = ""
    definition: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how jobs are done; but for `source`, `checkpoint` and `budget` no part of their identities.

    Attributes:
        launcher: start of each command line.
        options: end of each command line.
        source: modules -> hash of everything they import.
        checkpoint: name of a published checkpoint, plain dict of the network and names of the file -> hash of
            what the training starts from; None where the file is not there.
        resources: config of a recipe -> what its training takes.
        budget: seconds that the length of each training is fitted to. Unlike the rest it is a part of the
            identities: a shortened training gives another result.
    """

    launcher: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    source: Callable[[Sequence[str]], str]
    checkpoint: Callable[[str, Mapping[str, Any], Sequence[str]], str | None] = lambda *_: None
    resources: Callable[[Mapping[str, Any]], Resources] = lambda _: Resources(gpus=1)
    budget: float | None = None
