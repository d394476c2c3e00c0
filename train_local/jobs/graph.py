"""The graph of jobs: what there is to do, what each job needs, and what decides its result.

Planning is pure: it reads no file and starts nothing. Recipes come as plain values (`jobs.forms`), so a plan
needs no torch.

A job's identity is the hash of its resolved config, of the identities of what it needs and of the source it
runs. So the identity of the last job is known before the first one is done, and a job is done exactly if its
`done.json` has its identity. Example, with the learning rate of stage 1 changed:

    vasculature/detectors-r50-stage1.fold0   its config changed             -> another identity: done again
    vasculature/detectors-r50.fold0          needs detectors-r50-stage1     -> another identity: done again
    vasculature/cbnetv2-swin-b.fold0         needs neither                  -> the same identity: stays done
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from kit.artefacts import sha256_json
from kit.errors import KitError, did_you_mean
from train_local.data.seen import metric_seen
from train_local.jobs.job import CompetitionData, Form, Job, Kind, Need, Resources, Setting
from train_local.runs import PRODUCTS

__all__ = ["CompetitionData", "Form", "Job", "Need", "Planner", "Resources", "Setting", "choose", "plan"]


def plan(
    data: Sequence[CompetitionData], forms: Mapping[str, Sequence[Form]], setting: Setting
) -> dict[str, Job]:
    """Plan everything there is to do for some competitions.

    Args:
        data: one entry per competition.
        forms: name of a competition -> the recipes that train for it, members and teachers.
        setting: folders and commands.

    Returns:
        The jobs by name, each behind those it needs.

    Raises:
        KitError: a teacher is no recipe, or a recipe needs labels that it makes itself.
    """
    jobs: dict[str, Job] = {}
    for item in data:
        jobs |= Planner(item, forms.get(item.competition, ()), setting).everything()
    return jobs


def choose(jobs: Mapping[str, Job], *patterns: str) -> dict[str, Job]:
    """Return the jobs whose name matches a pattern, and all they need, in the order of the plan.

    Args:
        jobs: by name, in order.
        patterns: of a job's name with or without the competition, or of its recipe's name, with or without
            "-tiny": "unet*", "kidney/*", "*.fold0"; without one, all jobs are taken.

    Raises:
        KitError: a pattern matches no job.
    """
    if not patterns:
        return dict(jobs)
    waiting: list[str] = []
    for pattern in patterns:
        matched = [name for name, job in jobs.items() if _matches(job, pattern)]
        if not matched:
            raise KitError(
                f"no job matches {pattern!r}",
                where="--only",
                fix=f"{did_you_mean(pattern, jobs)}choose from these jobs: {', '.join(jobs)}",
            )
        waiting += matched
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += jobs[name].needs
    return {name: job for name, job in jobs.items() if name in wanted}


def _matches(job: Job, pattern: str) -> bool:
    recipe = [job.config["recipe"]["name"]] if job.kind == "train" else []
    names = (job.name, job.short_name, *recipe)
    # With --tiny, "unet-regnety16" means its tiny form, unet-regnety16-tiny.
    return any(fnmatch(name, pattern) for name in (*names, *(text.removesuffix("-tiny") for text in recipe)))


class Planner:
    """Plans the jobs of one competition; each is added once, behind those it needs.

    Args:
        data: of the competition.
        forms: its recipes.
        setting: folders and commands.

    Attributes:
        jobs: planned so far, by name.
    """

    def __init__(self, data: CompetitionData, forms: Sequence[Form], setting: Setting) -> None:
        self._data, self._setting = data, setting
        self._forms = {form.name: form for form in forms}
        self._open: list[str] = []
        self.jobs: dict[str, Job] = {}

    def everything(self) -> dict[str, Job]:
        """Plan every recipe on its folds and the ensemble of the members; return the jobs."""
        self._prepared()
        # Members lead to nearly all the others: to their stages, and to the teachers of their labels. What is
        # left is trained for its own sake and enters no ensemble.
        planned = [
            (form, self.train(form, fold)) for form in self._forms.values() for fold in self.folds(form)
        ]
        runs = [run for form, run in planned if form.member]
        if runs:
            self._ensemble(runs)
        return self.jobs

    def folds(self, form: Form) -> list[int]:
        """Return the folds of a recipe that the prepared data has."""
        known = self._data.folds
        return [fold for fold in form.config["folds"] if known is None or fold < known]

    def train(self, form: Form, fold: int) -> Job:
        """Plan a recipe on a fold, and everything that has to be there before it starts."""
        config = form.config
        short_name = f"{form.name}.fold{fold}"
        with _no_circle(self._open, short_name):
            uses = list(self._prepared())
            if (earlier := config["earlier_stage"]) is not None:
                # A stage that trains fold 0 only serves all folds of the recipe after it.
                stage = replace(form, config=earlier, member=False)
                of_stage = fold if fold in earlier["folds"] else earlier["folds"][0]
                uses.append(Need(self.train(stage, of_stage).name, config["earlier_checkpoint"]))
            sets = [images["labels"] for images in config["data"]["sets"]]
            uses += [Need(self._labels(labels).name, "labels") for labels in sets if labels is not None]
        return self._add(
            "train",
            short_name,
            {"recipe": config, "fold": fold, **self._more_of_training(form)},
            uses,
            folder=self._data.runs / form.name / f"fold{fold}",
            modules=("train_local.engine.train", *form.modules),
            products=PRODUCTS,
            resources=self._setting.resources(config),
        )

    def _more_of_training(self, form: Form) -> dict[str, Any]:
        """What the budget, a published checkpoint and a metric add to the config of a training."""
        budget = {} if self._setting.budget is None else {"budget": self._setting.budget}
        metric = _defined("metric", metric_seen(self._data.definition))
        return {**budget, **_begun_with(form, self._setting), **metric}

    def _prepared(self) -> tuple[Need, ...]:
        """What every job takes from the preparation; nothing where that is not a job."""
        if self._data.prepare is None:
            return ()
        name = f"{self._data.competition}/prepare"
        if name not in self.jobs:
            self.jobs[name] = Job(
                kind="prepare",
                name=name,
                competition=self._data.competition,
                identity=self._data.prepare_identity,
                command=(*self._setting.launcher, "job", name, *self._setting.options),
                folder=self._data.folder,
                data=self._data.folder,
                products=(self._data.folder / "prepared.json",),
                config={"command": list(self._data.prepare)},
            )
        return (Need(name, "data"),)

    def _labels(self, labels: Mapping[str, Any]) -> Job:
        """Plan a round of pseudo labels: every teacher's predictions, and the labels they make."""
        short_name = f"labels/{labels['name']}@{labels['threshold']:g}"
        with _no_circle(self._open, short_name):
            uses = [*self._prepared()]
            for name in labels["teachers"]:
                teacher = self._teacher(name, short_name)
                uses += [
                    Need(self._predict(teacher, fold, labels).name, "predictions")
                    for fold in self.folds(teacher)
                ]
        return self._add(
            "label",
            short_name,
            {"round": labels},
            uses,
            folder=self._data.runs / short_name,
            modules=("train_local.jobs.label", "kit.inference.instance_engine"),
            products=("labels.json", "coco.json"),
        )

    def _teacher(self, name: str, asking: str) -> Form:
        # In a plan of tiny forms the teachers are tiny, too, and the round names either.
        for known in (name, f"{name}-tiny"):
            if known in self._forms:
                return self._forms[known]
        raise KitError(
            f"{asking} is made by {name}, which is no recipe of {self._data.competition}",
            fix=f"name teachers among {', '.join(self._forms)}",
        )

    def _predict(self, form: Form, fold: int, labels: Mapping[str, Any]) -> Job:
        """Plan the predictions of a trained network for the images that a round labels."""
        run = self.train(form, fold)
        images = {"dataset": labels["dataset"], "wsis": labels["wsis"]}
        # "detectors-x101.fold0.dataset3", or "...dataset3-6-7" where a round takes the slides 6 and 7 only.
        of = "-".join(map(str, (f"dataset{images['dataset']}", *(images["wsis"] or ()))))
        short_name = f"{form.name}.fold{fold}.{of}"
        return self._add(
            "predict",
            short_name,
            {"recipe": form.config, "fold": fold, "views": form.config["views"], "images": images},
            [*self._prepared(), Need(run.name, form.config["hand_over"])],
            folder=self._data.runs / "predictions" / short_name,
            modules=("train_local.jobs.predict", *form.modules),
            products=("predictions.json",),
            # One process predicts, however many train together.
            resources=replace(run.resources, hours=0.0, gpus=min(run.resources.gpus, 1)),
        )

    def _ensemble(self, runs: Sequence[Job]) -> Job:
        return self._add(
            "ensemble",
            "ensemble",
            # Thresholds are chosen by the metric, and ensemble.json holds the whole definition.
            {"runs": [run.short_name for run in runs], **_defined("definition", self._data.definition)},
            [*self._prepared(), *(Need(run.name, "out of fold") for run in runs)],
            folder=self._data.runs / "ensemble",
            modules=(
                "train_local.ensemble.build",
                "train_local.ensemble.write",
                *dict.fromkeys(m for f in self._forms.values() for m in f.modules),
            ),
            products=(self._data.ensemble,),
        )

    def _add(
        self,
        kind: Kind,
        short_name: str,
        config: Mapping[str, Any],
        uses: Sequence[Need],
        *,
        folder: Path,
        modules: Sequence[str],
        products: Sequence[str | Path],
        resources: Resources | None = None,
    ) -> Job:
        name = f"{self._data.competition}/{short_name}"
        if name in self.jobs:
            if self.jobs[name].config != config:
                raise KitError(
                    f"two different jobs are both called {name}",
                    fix="give one of the two recipes (or rounds of labels) another name",
                )
            return self.jobs[name]
        # The preparation counts by the data it made, not by how it was made: data that is prepared again and
        # comes out the same changes no job.
        taken = [[need.takes, self.jobs[need.job].identity] for need in uses if need.takes != "data"]
        identity = sha256_json(
            {
                "kind": kind,
                "config": config,
                "data": self._data.identity,
                "needs": taken,
                "source": self._setting.source(tuple(modules)),
            }
        )
        self.jobs[name] = Job(
            kind=kind,
            name=name,
            competition=self._data.competition,
            identity=identity,
            uses=tuple(uses),
            command=(*self._setting.launcher, "job", name, *self._setting.options),
            folder=folder,
            data=self._data.folder,
            products=tuple(folder / product for product in products),
            resources=resources or Resources(),
            config=config,
        )
        return self.jobs[name]


def _begun_with(form: Form, setting: Setting) -> dict[str, str]:
    """What the content of a published checkpoint adds to the config of a training that starts from it."""
    name: str = form.config.get("pretrained") or ""
    if name not in form.checkpoints:
        return {}
    network = {"network": form.config["network"]["name"], **form.config["network"]["arguments"]}
    content = setting.checkpoint(name, network, form.checkpoints[name])
    return {} if content is None else {"checkpoint": content}


def _defined(name: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a definition adds to the config of a job; nothing where a competition's name says it all."""
    return {} if value is None else {name: dict(value)}


@contextmanager
def _no_circle(open_jobs: list[str], short_name: str) -> Iterator[None]:
    """While the block plans what a job needs, nothing of that may need the job itself."""
    if short_name in open_jobs:
        raise KitError(
            f"{short_name} needs itself: {' <- '.join([*open_jobs, short_name])}",
            fix="take it out of the teachers of the labels that it is trained on",
        )
    open_jobs.append(short_name)
    yield
    open_jobs.remove(short_name)
