"""The typed command line: one verb is one dataclass of options and one function.

What a verb prints on stdout is for other programs. Libraries are imported when a verb runs, so that `--help`
answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from kit.command_line import option
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from kit.local.verbs import Program, Verb
from kit.local.wording import counted
from kit.typed_json import above, at_least, at_most
from train_local import recipes
from train_local.add_model import command as add_command
from train_local.examples import EXAMPLES
from train_local.jobs import command, command_options
from train_local.options import Options
from train_local.places import require_file
from train_local.recipe_commands import Diff, Recipes, Show, all_forms, diff, list_recipes, show
from train_local.report import command as report_command

if TYPE_CHECKING:
    from train_local.recipes.base import Recipe

_COMPETITIONS = "|".join([*sorted(PRESETS), "FILE.toml"])


def _names() -> list[str]:
    return sorted(PRESETS)


Seed = Annotated[int, at_least(0), at_most(2**63 - 1)]
"""What both numpy and torch take as a seed."""


def main(argv: Sequence[str]) -> int:
    """Parse and run one verb.

    Raises:
        KitError: bad input.
    """
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    data, training, result, recipe = "data", "training", "ensemble and report", "recipes"
    kept = "the last checkpoint of each training is kept"
    read = "nothing was to be written"
    verbs = (
        Verb("prepare", Prepare, _prepare, data, EXAMPLES["prepare"], "arrays that are whole are kept"),
        Verb(
            "stain", Stain, _stain, data, EXAMPLES["stain"], "copies that are whole stay, and are made again"
        ),
        Verb("sample", Sample, _sample, data, EXAMPLES["sample"], "the sample is incomplete"),
        Verb("train", Train, _train, training, EXAMPLES["train"], kept),
        Verb(
            "train-all",
            command_options.TrainAll,
            command.train_all,
            training,
            EXAMPLES["train-all"],
            "jobs that are done and the last checkpoint of each training are kept",
        ),
        Verb(
            "job",
            command_options.OneJob,
            lambda options: command.one_job(options, main),
            training,
            EXAMPLES["job"],
            kept,
        ),
        Verb(
            "add-model",
            add_command.AddModel,
            add_command.add_model,
            training,
            EXAMPLES["add-model"],
            "models that are added and predictions that are whole are kept",
        ),
        Verb(
            "ensemble",
            Ensemble,
            _ensemble,
            result,
            EXAMPLES["ensemble"],
            "the ensemble of before is unchanged",
        ),
        Verb(
            "report",
            report_command.Report,
            report_command.report,
            result,
            EXAMPLES["report"],
            "the page of before is unchanged",
        ),
        Verb("baseline", Baseline, _baseline, result, EXAMPLES["baseline"]),
        Verb("recipes", Recipes, list_recipes, recipe, EXAMPLES["recipes"], read),
        Verb("show", Show, show, recipe, EXAMPLES["show"], read),
        Verb("diff", Diff, diff, recipe, EXAMPLES["diff"], read),
    )
    description = "Competition data -> weights, out-of-fold predictions, ensemble."
    return Program("python -m train_local", description, verbs)


def _scale(text: str) -> float:
    """A resolution written as a number or a fraction: "1/3"."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise KitError("a resolution is a number such as 1, 1/2 or 1/3", fix="write one of these") from error


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Check the competition's files, build folds and training arrays."""

    competition: str = field(
        metadata=option(_COMPETITIONS, metavar="COMPETITION", positional=True, names=_names)
    )
    data: Path = field(metadata=option("the competition's unpacked folder", metavar="DIR"))
    out: Path = field(metadata=option("the prepared folder to write", metavar="DIR"))
    folds: Annotated[int, at_least(2)] | None = field(
        default=None,
        metadata=option("number of folds (default: published, or as many as groups allow)", metavar="N"),
    )
    split: Literal["published", "group", "strips", "stratified"] | None = field(
        default=None,
        metadata=option(
            "how images become folds (default: published if these are the published images, else strips for "
            "tiles and group for others)"
        ),
    )
    seed: Seed = field(default=42, metadata=option("of the split", metavar="N"))
    scale: tuple[float, ...] = field(
        default=(),
        metadata=option(
            "training resolutions of slides, e.g. 1/3 (default: all recipes')", metavar="SCALE", read=_scale
        ),
    )
    tiny: bool = field(default=False, metadata=option("the resolutions of the recipes' tiny forms only"))
    stains: Path | None = field(
        default=None,
        metadata=option("copies of the images in other stains: DIR/<stain>/<id>.png or .jpg", metavar="DIR"),
    )
    repeats: Literal["keep", "once"] = field(
        default="keep", metadata=option("outlines that are there twice: the published pipeline kept them")
    )
    jobs: Annotated[int, at_least(1)] | None = field(
        default=None, metadata=option("processes (default: the processors, for much data)", metavar="N")
    )
    dry_run: bool = field(default=False, metadata=option("say what would be written and how large it is"))
    json: bool = field(default=False, metadata=option("print folds, findings and sizes in JSON"))


def _prepare(options: Prepare) -> int:
    from kit import competitions
    from train_local.data import array_jobs, preparation_report, prepare, slides

    source = competitions.get(options.competition)
    # Slides are stored once at each resolution that some recipe trains at: scale 1/3 -> reduction 3.
    # Recipes are of one class.
    several = bool(source.format.classes)
    forms = [f for f in all_forms() if not several and recipes.suits(f, source.name, source.kind)]
    published_stains = sorted({stain for form in forms for stain in form.data.stains})
    forms = [form for form in forms if form.name.endswith("-tiny") or not options.tiny]
    reductions, sides = array_jobs.needed(form.data for form in forms if source.kind == "semantic")
    if options.scale:
        reductions = [slides.reduction_of(scale) for scale in options.scale]
    places = (options.competition, options.data, options.out)
    choices: prepare.Choices = {
        "reductions": reductions,
        "sides": sides,
        "stains": options.stains,
        "published_stains": published_stains,
        "fold_count": options.folds,
        "rule": options.split,
        "seed": options.seed,
        "keep_repeats": options.repeats == "keep",
    }
    if options.dry_run:
        made, jobs = prepare.plan(*places, **choices)
        if not options.json:
            preparation_report.show_plan(made, jobs, options.out)
            return 0
        told = preparation_report.planned(jobs, options.out)
    else:
        made, told = prepare.prepare(*places, **choices, jobs=options.jobs), {}
        preparation_report.show(made)
    if options.json:
        print(json.dumps({**preparation_report.described(made), **told}, indent=1))
    return 0


@dataclass(frozen=True, kw_only=True)
class Stain:
    """Recolour the labelled images like images in other stains (Macenko's method), for `prepare --stains`."""

    competition: str = field(
        metadata=option(_COMPETITIONS, metavar="COMPETITION", positional=True, names=_names)
    )
    data: Path = field(metadata=option("the competition's unpacked folder", metavar="DIR"))
    out: Path = field(
        metadata=option(
            "folder of the copies, DIR/NAME/<id>.jpg: what `prepare --stains` takes", metavar="DIR"
        )
    )
    like: tuple[str, ...] = field(
        metadata=option(
            "a stain and any image of tissue that has it, once for each stain; the recipes of body know "
            "hubmap1, hubmap2, sample1, test, pas and pas2",
            metavar="NAME=FILE",
        )
    )
    jobs: Annotated[int, at_least(1)] | None = field(
        default=None, metadata=option("processes (default: the processors, for much data)", metavar="N")
    )


def _stain(options: Stain) -> int:
    from train_local.data import stains

    made = stains.make_copies(
        options.competition, options.data, options.out, stains.named(options.like), jobs=options.jobs
    )
    print(f"{counted(made, 'copy', plural='copies')}: prepare them with --stains {options.out}")
    return 0


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained, on what, and where the runs go."""

    prepared: Path = field(metadata=option("folder that `prepare` wrote", metavar="DIR"))
    out: Path = field(metadata=option("folder of all runs of this competition", metavar="DIR"))
    tiny: bool = field(default=False, metadata=option("the small form, for a CPU and a few minutes"))
    variant: str = field(
        default="published",
        metadata=option("of the recipe, as `show` lists them: text, held-out", metavar="NAME"),
    )
    views: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "to predict held-out images under, instead of the recipe's: hflip, rot90@0.8, identity+vflip",
            metavar="VIEW",
        ),
    )
    checkpoints: Path | None = field(
        default=None, metadata=option("folder of published checkpoints recipes start from", metavar="DIR")
    )
    batch_size: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option(
            "examples of a forward pass, for a smaller GPU; the total batch stays as published", metavar="N"
        ),
    )
    checkpointing: bool = field(
        default=False, metadata=option("compute activations twice instead of keeping them, for a smaller GPU")
    )
    options: Options = field(default_factory=Options)

    def recipe(self, name: str) -> Recipe:
        """Return the recipe of a name, as these options change it."""
        from train_local.recipes.passes import with_batch_size, with_checkpointing, with_less_memory

        recipe = recipes.get(name).in_variant(self.variant)
        recipe = recipe.tiny() if self.tiny else recipe
        recipe = with_checkpointing(recipe) if self.checkpointing else recipe
        recipe = with_batch_size(recipe, self.batch_size) if self.batch_size is not None else recipe
        # Earlier stages were trained on the same card.
        recipe = with_less_memory(recipe, batch=self.batch_size, checkpointing=self.checkpointing)
        return replace(recipe, views=self.views) if self.views else recipe


def _fold(text: str) -> str:
    """A fold's index, or "all"."""
    if text != "all" and not text.isdigit():
        raise KitError("a fold is a number from 0, or all", fix="write 0 for the first fold")
    return text


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train one recipe; killed and run again, it goes on."""

    recipe: str = field(
        metadata=option(
            "as `recipes` lists it",
            positional=True,
            metavar="RECIPE",
            choices=lambda: sorted(recipes.entries()),
            read=recipes.spelled,
        )
    )
    training: Training
    fold: str = field(default="0", metadata=option("index of the fold, or all of the recipe's", read=_fold))
    seed: Seed | None = field(default=None, metadata=option("default: the recipe's", metavar="N"))
    short_gpus: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option(
            "short for --gpus-per-run; the total batch stays as published", metavar="N", flag="--gpus"
        ),
    )


def _train(options: Train) -> int:
    from kit.local.locks import only_one
    from train_local.data import prepared
    from train_local.engine.train import train
    from train_local.planned_runs import PlannedRun

    shared = options.training
    data, recipe = prepared.load(shared.prepared), shared.recipe(options.recipe)
    how = (
        replace(shared.options, gpus=options.short_gpus) if options.short_gpus is not None else shared.options
    )
    # A recipe of 5 folds on data prepared with 3 trains the first three.
    every = [fold for fold in recipe.folds if fold < len(data.folds)]
    if options.fold == "all" and not every:
        raise KitError(
            f"{recipe.name} is trained on fold {min(recipe.folds)}, and the prepared data has "
            f"{counted(len(data.folds), 'fold')}, from 0",
            where=shared.prepared,
            fix=f"prepare with --folds {min(recipe.folds) + 1}, or train another fold: --fold 0",
        )
    for fold in every if options.fold == "all" else [int(options.fold)]:
        planned = PlannedRun(recipe, fold)
        run, initial = planned.ready(
            data,
            shared.out,
            seed=options.seed,
            published=shared.checkpoints,
            budget=shared.options.budget,
        )
        with only_one(run.lock):
            done = train(run, data, how, initial=initial)
        print(json.dumps({"run": str(run.folder), **done}))
    return 0


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Choose members, rungs, weights and thresholds from out-of-fold predictions."""

    prepared: Path = field(metadata=option("folder that `prepare` wrote", metavar="DIR"))
    runs: Path = field(metadata=option("folder of all runs", metavar="DIR"))
    out: Path = field(metadata=option("ensemble.json to write; weights/ goes beside it", metavar="FILE"))
    keep_all: bool = field(default=False, metadata=option("keep passes that do not raise the metric, too"))
    cost: Literal["flops", "seconds"] = field(
        default="flops",
        metadata=option(
            "what the search divides gains by: FLOPs of the networks (equal runs give equal ladders), or "
            "seconds measured in training"
        ),
    )
    members: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "take these runs only, e.g. unet-regnety16.fold0 (default: all finished)", metavar="RUN"
        ),
    )
    as_published: str | None = field(
        default=None,
        metadata=option(
            "a published ensemble instead of a search; `list` shows their names", metavar="PLAN|list"
        ),
    )
    allow_missing: bool = field(
        default=False, metadata=option("build a published ensemble without the networks that are missing")
    )
    processes: Annotated[int, at_least(1)] | None = field(
        default=None, metadata=option("that read predictions (default: one for each CPU)", metavar="N")
    )
    images: Annotated[int, at_least(1)] | None = field(
        default=None,
        metadata=option("in the hidden test set (default: as the competition says)", metavar="N"),
    )
    megapixels: Annotated[float, above(0)] | None = field(
        default=None,
        metadata=option("of all hidden images together (default: as the competition says)", metavar="M"),
    )
    workers: Annotated[int, at_least(1)] = field(
        default=2, metadata=option("GPUs of the hidden run", metavar="N")
    )
    hours: Annotated[float, above(0)] = field(
        default=9.0, metadata=option("that the competition allows", metavar="HOURS")
    )
    json: bool = field(default=False, metadata=option("print the rungs, or the list, in JSON"))


def _ensemble(options: Ensemble) -> int:
    from kit.local.console import track
    from kit.local.ensemble_check import require_usable
    from kit.local.member_check import WeightsFile, check_member
    from kit.plan.hidden_run import hidden_set
    from train_local.data import prepared
    from train_local.ensemble import as_published, build, own_runs, prices, published_plans, unscored, write
    from train_local.ensemble.costs import with_estimates
    from train_local.ensemble.finished_runs import find_finished_runs

    if options.as_published == "list":
        titles = {plan.name: plan.title for plan in published_plans.PLANS}
        lines = [f"{name}: {title}" for name, title in titles.items()]
        print(json.dumps(titles, indent=1) if options.json else "\n".join(lines))
        return 0
    wanted = published_plans.get(options.as_published) if options.as_published else None
    require_file("--out", options.out)  # a search may take hours
    data = prepared.load(options.prepared)
    runs = find_finished_runs(data, options.runs, options.members)
    own_runs.require_sources(runs)
    for run in track(runs, total=len(runs), description="check members"):
        check_member(
            run.member, WeightsFile(run.weights), views_of_passes=list(run.views), where=options.runs
        )
    runs = with_estimates(data, runs)
    made = (
        unscored.build_unscored(data, runs)
        if wanted is None and own_runs.hold_nothing_out(runs)
        else build.build_ensemble(
            data, runs, keep_all=options.keep_all, cost=options.cost, processes=options.processes
        )
        if wanted is None
        else as_published.build_as_published(
            data, runs, wanted, allow_missing=options.allow_missing, processes=options.processes
        )
    )
    require_usable(made.ensemble, options.out)
    form = data.source.format
    sizes = [image.height * image.width / 1e6 for image in data.images.values()]
    hidden = hidden_set(
        options.images or form.hidden_images, options.megapixels or form.hidden_megapixels, sizes
    )
    hidden_run = prices.HiddenRun(hidden=hidden, workers=options.workers, hours=options.hours)
    told = prices.prices_of(made, data, runs, hidden_run)
    write.write_ensemble(made, runs, told, options.out)
    write.show_ensemble(made, told)
    if options.json:
        print(json.dumps({"ensemble": str(options.out), **write.described(made)}, indent=1))
        return 0
    print(options.out)
    return 0


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Write a submission without learning, to compare with."""

    competition: str = field(metadata=option(_COMPETITIONS, metavar="NAME", names=_names))
    data: Path = field(metadata=option("the competition's unpacked folder", metavar="DIR"))
    out: Path = field(metadata=option("the submission.csv to write", metavar="FILE"))
    kind: Literal["otsu", "otsu-smoothed", "all-foreground"] = field(
        default="otsu", metadata=option("how it finds foreground")
    )


def _baseline(options: Baseline) -> int:
    from train_local.baseline import write_baseline

    write_baseline(options.competition, options.data, options.out, options.kind)
    print(options.out)
    return 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Make the sample data sets from the labelled source images."""

    source: Path = field(metadata=option("folder with the labelled source images", metavar="DIR"))
    out: Path = field(default=Path("sample"), metadata=option("folder to fill", metavar="DIR"))


def _sample(options: Sample) -> int:
    from kit.local.console import working
    from train_local.data.sample import make_sample

    with working("cutting and writing the samples"):
        make_sample(options.source, options.out)
    print(options.out)
    return 0
