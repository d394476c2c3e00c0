"""From a file, a class and weights to finished runs that `ensemble` takes like those of a recipe."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import kit
from kit.artefacts import sha256_file, sha256_json, write_json
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.fusion import PassResult
from kit.inference.runner import configure, open_member
from kit.local import own_sources
from kit.local.competitions.labelled import LabelledData
from kit.local.console import console
from kit.local.locks import only_one
from kit.local.safetensors_header import read_stream
from kit.local.sidecars import sidecar_path, write_sidecar
from kit.models import Network
from kit.models.own import OwnModel
from kit.models.registry import OWN
from kit.typed_json import to_plain
from train_local.add_model import loading
from train_local.add_model.checks import User, check_model
from train_local.add_model.declaration import Declaration, declaration_of
from train_local.add_model.imports import check_imports
from train_local.add_model.weights import Given, check_given, check_names, place_weights
from train_local.claims import claim, lock_of, record
from train_local.data.prepared import Prepared
from train_local.engine.fabric import make_fabric
from train_local.recipes import registry
from train_local.runs import OOF, WEIGHTS
from train_local.validation.evaluate import fused, score
from train_local.validation.out_of_fold import out_of_fold

_ENGINES = {"semantic": "classes_engine", "instance": "labels_engine"}
"""Kind -> module of `kit.inference` for a competition with several classes."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is added.

    Attributes:
        model: the user's file, or the folder of a package.
        class_name: of the class; None: the only one that says its kind.
        settings: keyword arguments of the class.
        name: of the runs, as a recipe's.
        weights: files, each of a fold or of none.
        runs: folder of all runs of the competition.
        lock: `requirements.lock`.
        device: "auto", "cpu" or "cuda".
    """

    model: Path
    class_name: str | None
    settings: Mapping[str, Any]
    name: str
    weights: tuple[Given, ...]
    runs: Path
    lock: Path
    device: str

    @property
    def module(self) -> str:
        """Name under which Python imports the model."""
        return self.model.name if self.model.is_dir() else self.model.stem


@dataclass(frozen=True)
class Added:
    """A finished run.

    Attributes:
        folder: of the run.
        member: that its weights make.
        metric: of the images that it never saw; None if it saw all.
        images: number of these.
    """

    folder: Path
    member: Member
    metric: float | None
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return the plain JSON value."""
        known = {"member": self.member.name, "sha256": self.member.sha256, "bytes": self.member.size}
        honest = {"metric": self.metric, "held_out_images": self.images}
        return {"folder": str(self.folder), **known, **honest}


@dataclass(frozen=True)
class _Run:
    """What `out_of_fold` asks of a run."""

    name: str
    identity: str
    oof: Path
    views: tuple[str, ...]


def add_model(request: Request, prepared: Prepared) -> list[Added]:
    """Check a model, predict the held-out images of each fold, and write finished runs.

    Raises:
        KitError: something is wrong with the file, the class, the weights or what the class returns.
    """
    check_given(request.weights, prepared)
    _check_name(request)
    files = own_sources.files_of(request.model)
    module = request.module
    with tempfile.TemporaryDirectory(prefix="own-model-") as name:
        # A copy of these files alone, as Kaggle will have them: what lies beside them is not found.
        staged = Path(name)
        own_sources.place(files, staged)
        check_imports(files, module, None, request.lock, request.model.parent)
        found = loading.load_class(staged, module, request.class_name, request.model)
        declared = declaration_of(found, request.model)
        check_imports(files, module, declared.requires, request.lock, request.model.parent)
        own = _own_model(request, prepared, files, found, declared)
        user = User(request.model, staged, found.__name__)
        loader = callable(getattr(found, "load", None))
        adder = _Adder(request, prepared, declared, own, user, own_loader=loader)
        own = replace(own, flops=adder.check(request.weights[0], Path(name) / "weights.safetensors"))
    home = request.runs / request.name / own_sources.FOLDER
    own_sources.replace(files, home, module)
    own_sources.importable(home, [module])
    adder = _Adder(request, prepared, declared, own, replace(user, folder=home), own_loader=loader)
    # Weights of no fold get a number each: a name of a run has one.
    return [adder.add(given, number) for number, given in enumerate(request.weights)]


def _check_name(request: Request) -> None:
    if request.name in registry.entries():
        raise KitError(
            f"{request.name} is the name of a recipe of the kit",
            where="--name",
            fix="choose another: runs of both would lie in one folder",
        )


def _own_model(
    request: Request, prepared: Prepared, files: Mapping[str, bytes], found: type, declared: Declaration
) -> OwnModel:
    form = prepared.source.format
    if declared.kind != form.kind:
        raise KitError(
            f"{found.__name__} is of kind {declared.kind!r}, and {prepared.competition} of {form.kind!r}",
            where=request.model,
            fix=f"write kind = {form.kind!r}, or prepare another competition",
        )
    classes = form.targets if form.kind == "values" else form.classes
    return OwnModel(
        module=request.module,
        class_name=found.__name__,
        settings=loading.settings_of(request.settings, found),
        source=own_sources.digest(files),
        requires=declared.requires,
        kind=declared.kind,
        output=declared.output,
        classes=classes,
        colour=declared.colour,
        mean=declared.mean,
        std=declared.std,
        size_divisor=declared.size_divisor,
        engine=_ENGINES.get(form.kind) if classes else None,
    )


class _Adder:
    """Makes runs of files of weights."""

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        declared: Declaration,
        own: OwnModel,
        user: User,
        *,
        own_loader: bool,
    ) -> None:
        self._request, self._prepared, self._declared, self._own = request, prepared, declared, own
        self._user, self._own_loader = user, own_loader
        self._inference = declared.settings(f"{request.model}, class {own.class_name}")
        self._fabric = make_fabric(request.device, "32-true")
        configure(self._fabric.device)  # as the workers on Kaggle: one thread on the CPU

    def check(self, given: Given, scratch: Path) -> float:
        """Predict parts of a few images; return floating point operations per megapixel."""
        member = self._placed(given, scratch, 0)
        module = self._opened(given, member, scratch)
        return check_model(module, member, self._prepared, self._user, self._fabric.device)

    def add(self, given: Given, number: int) -> Added:
        """Make one finished run, or find that it was made before."""
        fold = number if given.fold is None else given.fold
        folder = self._request.runs / self._request.name / f"fold{fold}"
        ids = [] if given.fold is None else list(self._prepared.fold(fold).valid)
        config = {
            "recipe": {
                "name": self._request.name,
                "kind": self._own.kind,
                "views": list(self._declared.views),
                "network": {"name": OWN, "arguments": to_plain(self._own)},
                "inference": self._inference,
                "model": self._request.model.name,
            },
            "fold": fold,
            "seed": 0,
            "weights": sha256_file(given.path),
            "all_images": given.fold is None,
        }
        identity = sha256_json([config, self._prepared.identity, kit.__version__])
        with only_one(lock_of(folder)):
            claim(folder, identity, config)
            weights = folder / WEIGHTS
            sidecar_path(weights).unlink(missing_ok=True)
            member = self._placed(given, weights, fold)
            self._describe(weights, member, identity, config)
            began = time.perf_counter()
            module = self._opened(given, member, weights)
            load = time.perf_counter() - began
            run = _Run(member.name, identity, folder / "oof", self._declared.views)
            timing = out_of_fold(run, self._prepared, module, member, ids, fabric=self._fabric) if ids else {}
            # What compares runs and rungs wants larger to be better: of an error or loss it is the negative.
            gain = self._score(folder, identity, member, ids)
            metric = None if gain is None else gain * self._prepared.source.format.metric.sign
            done = {
                "identity": identity,
                "complete": True,
                "step": 0,
                "total_steps": 0,
                "metric": gain,
                "score": metric,
                "metric_name": self._prepared.source.metric,
                "held_out_images": len(ids),
                "seconds_per_megapixel": timing,
                "load_seconds": round(load, 3),
            }
            write_json(folder / "done.json", done)
        return Added(folder, member, metric, len(ids))

    def _placed(self, given: Given, target: Path, fold: int) -> Member:
        """Write the weights, and return the member that they make."""
        file, size = place_weights(given.path, target, own_loader=self._own_loader)
        own = replace(self._own, file=file, file_size=size)
        name = f"{self._request.name}.fold{fold}"
        plain, defaults = to_plain(own), to_plain(OwnModel())
        kept = {
            key: value
            for key, value in plain.items()
            if value != defaults[key] or key in ("module", "class_name", "kind")
        }
        return Member(
            name=name,
            weights=f"{name}.safetensors",
            sha256=sha256_file(target),
            size=target.stat().st_size,
            network={"network": OWN, **kept},
            inference=self._inference,
            requires=[own_sources.distribution(own.module), *own.requires],
        )

    def _opened(self, given: Given, member: Member, weights: Path) -> Network:
        user = self._user
        with user.calls("__init__ or load"):
            if not self._own_loader:
                with weights.open("rb") as stream:
                    header = read_stream(stream, weights.stat().st_size, given.path)
                made = _made(user, member)
                check_names(
                    given.path, [item.name for item in header.tensors], list(made.network.state_dict())
                )
            try:
                return open_member(member, weights, self._fabric.device)
            except KitError as error:
                where = str(given.path) if error.where == str(weights) else error.where
                fix = error.fix
                if "do not belong" in error.problem:
                    fix = (
                        "give the weights that this class saved, or the settings they need (--set NAME=VALUE)"
                    )
                raise KitError(error.problem, where=where or user.shown, fix=fix) from error

    def _describe(self, weights: Path, member: Member, identity: str, config: Mapping[str, Any]) -> None:
        write_sidecar(
            weights,
            kind="weights",
            config=config,
            inputs={"run": identity, "prepared": self._prepared.identity, "source": self._own.source},
            code_version=kit.__version__,
            recipe=self._request.name,
            fold=config["fold"],
            seed=0,
            step=0,
            kind_of_weights="own",
            network=member.network,
            inference=member.inference,
            requires=member.requires,
        )

    def _score(self, folder: Path, identity: str, member: Member, ids: Sequence[str]) -> float | None:
        """Return the metric of the held-out images under the first view, larger is better; None without."""
        if not ids:
            return None
        stored = record(folder, identity, OOF)
        assert stored is not None, "it was written a moment ago"
        files = stored["files"][self._declared.views[0]]
        results = {
            image_id: [PassResult(file=folder / "oof" / name, weight=1.0, member=member)]
            for image_id, name in files.items()
        }
        truth = LabelledData(self._prepared.source, self._prepared.data).truth(ids)
        return score(self._prepared, fused(self._prepared, results, {}), truth)


def _made(user: User, member: Member) -> Network:
    from kit.models import build

    with user.calls("__init__"), torch.device("cpu"):
        return build(member.network)


def tell(added: Sequence[Added], metric: str) -> None:
    """Say on the screen what was added, and which scores are honest."""
    for item in added:
        text = "trained on all images: nobody knows its score"
        if item.metric is not None:
            images = "image" if item.images == 1 else "images"
            text = f"{metric} {item.metric:.4f} on {item.images} held-out {images} of its fold"
        console().print(f"{item.member.name}: {text}", markup=False)
