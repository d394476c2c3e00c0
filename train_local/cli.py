"""The typed command line: one verb a function, what it prints on stdout is for other programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit import competitions
from kit.errors import KitError
from kit.local.console import show_table
from train_local import recipes
from train_local.baseline import add_baseline_command
from train_local.data.sample import add_sample_command

if TYPE_CHECKING:
    from train_local.loop import Options
    from train_local.recipes.base import Recipe


Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def main(argv: Sequence[str]) -> int:
    """Parse and run one verb.

    Raises:
        KitError: bad input.
    """
    parser = argparse.ArgumentParser(
        prog="python -m train_local",
        description="Competition data -> weights, out-of-fold predictions, ensemble.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _prepare_arguments(verbs)
    _train_arguments(verbs)
    _train_all_arguments(verbs)
    _ensemble_arguments(verbs)
    _recipes_arguments(verbs)
    add_baseline_command(verbs)
    add_sample_command(verbs)
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _prepare_arguments(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "prepare", help="check the competition's files, build folds and training arrays"
    )
    parser.add_argument(
        "competition", metavar="COMPETITION", help=f"{'|'.join(competitions.names())}|FILE.toml"
    )
    parser.add_argument("--data", type=Path, required=True, help="the competition's unpacked folder")
    parser.add_argument("--out", type=Path, required=True, help="the prepared folder to write")
    parser.add_argument(
        "--folds", type=int, help="number of folds (default: published, or as many as groups allow)"
    )
    parser.add_argument(
        "--split", choices=("group", "strips", "stratified"), help="default: strips for tiles, else group"
    )
    parser.add_argument("--seed", type=int, default=42, help="of the split (default: 42)")
    parser.add_argument(
        "--scale",
        type=_scale,
        nargs="+",
        help="training resolutions of slides, e.g. 1/3 (default: all recipes')",
    )
    parser.set_defaults(run=_prepare)


def _prepare(arguments: argparse.Namespace) -> int:
    from train_local.data import prepare, slides

    source = competitions.get(arguments.competition)
    scales = arguments.scale or sorted(
        {form.data.scale for form in _all_forms() if recipes.suits(form, source.name, source.kind)}
    )
    made = prepare.prepare(
        arguments.competition,
        arguments.data,
        arguments.out,
        reductions=[slides.reduction_of(scale) for scale in scales] if source.kind == "semantic" else [],
        fold_count=arguments.folds,
        split=arguments.split,
        seed=arguments.seed,
    )
    prepare.show(made)
    return 0


def _scale(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no resolution; write 1, 1/2, 1/3, ...") from error


def _all_forms() -> list[Recipe]:
    """All recipes, earlier stages in front of those that start from them, and the tiny forms."""
    members = [recipes.get(name) for name in recipes.names()]
    stages = [recipes.get(name) for name in recipes.stage_names()]
    return [*stages, *members, *(recipe.tiny() for recipe in members)]


def _data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prepared", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--tiny", action="store_true", help="the small form, for a CPU and a few minutes")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.add_argument("--max-seconds", type=float, help="end each run cleanly after this much time")
    parser.add_argument("--workers", type=int, help="data loader processes (default: the recipe's)")
    parser.add_argument(
        "--threads", type=int, default=1, help="of the CPU, where there is no GPU (default: 1)"
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=300.0, help="default: 300")
    parser.add_argument(
        "--views",
        nargs="+",
        metavar="VIEW",
        help="to predict held-out images under, instead of the recipe's: hflip, rot90@0.8, identity+vflip",
    )
    parser.add_argument("--checkpoints", type=Path, help="folder of published checkpoints recipes start from")


def _options(arguments: argparse.Namespace) -> Options:
    from train_local.loop import Options

    for name in ("max_seconds", "workers"):
        value = getattr(arguments, name)
        if value is not None and value < 0:
            raise KitError(f"{value} is negative", where=f"--{name.replace('_', '-')}", fix="give 0 or more")
    return Options(
        device=arguments.device,
        max_seconds=arguments.max_seconds,
        workers=arguments.workers,
        checkpoint_seconds=arguments.checkpoint_seconds,
        threads=max(arguments.threads, 1),
    )


def _train_arguments(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("train", help="train one recipe; killed and run again, it goes on")
    parser.add_argument("recipe", choices=sorted([*recipes.names(), *recipes.stage_names()]))
    _data_arguments(parser)
    parser.add_argument("--fold", default="0", help="index, or all of the recipe's (default: 0)")
    parser.add_argument("--seed", type=int, help="default: the recipe's")
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> int:
    from train_local.data import prepared
    from train_local.planned_runs import PlannedRun
    from train_local.train import train

    data, options = prepared.load(arguments.prepared), _options(arguments)
    recipe = _form(arguments.recipe, arguments)
    if arguments.fold == "all":
        folds = [fold for fold in recipe.folds if fold < len(data.folds)]
    elif arguments.fold.isdigit():
        folds = [int(arguments.fold)]
    else:
        raise KitError(f"{arguments.fold!r} is no fold", where="--fold", fix="give a number from 0, or all")
    for fold in folds:
        planned = PlannedRun(recipe, fold)
        run, initial = planned.ready(
            data, arguments.out, seed=arguments.seed, published=arguments.checkpoints
        )
        print(json.dumps({"run": str(run.folder), **train(run, data, options, initial=initial)}))
    return 0


def _form(name: str, arguments: argparse.Namespace) -> Recipe:
    recipe = recipes.get(name)
    recipe = recipe.tiny() if arguments.tiny else recipe
    return replace(recipe, views=tuple(arguments.views)) if arguments.views else recipe


def _train_all_arguments(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("train-all", help="every recipe and fold of the prepared data, in order")
    _data_arguments(parser)
    parser.add_argument(
        "--only", metavar="PATTERN", help="runs whose name matches, e.g. 'unet*' or '*.fold0'"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs that train side by side (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, train nothing")
    parser.set_defaults(run=_train_all)


def _train_all(arguments: argparse.Namespace) -> int:
    from train_local.data import prepared
    from train_local.planned_runs import plan_runs
    from train_local.train_all import train_all

    data = prepared.load(arguments.prepared)
    forms = [_form(name, arguments) for name in recipes.names()]
    train_all(
        plan_runs(forms, data),
        data,
        arguments.out,
        _options(arguments),
        published=arguments.checkpoints,
        only=arguments.only,
        dry_run=arguments.dry_run,
        at_once=arguments.jobs,
    )
    return 0


def _ensemble_arguments(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser(
        "ensemble", help="members, rungs, weights and thresholds from out-of-fold predictions"
    )
    parser.add_argument("--prepared", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--runs", type=Path, required=True, help="folder of all runs")
    parser.add_argument(
        "--out", type=Path, required=True, help="ensemble.json to write; weights/ goes beside it"
    )
    parser.add_argument(
        "--keep-all", action="store_true", help="keep passes that do not raise the metric, too"
    )
    parser.set_defaults(run=_ensemble)


def _ensemble(arguments: argparse.Namespace) -> int:
    from train_local import ensemble
    from train_local.data import prepared

    data = prepared.load(arguments.prepared)
    runs = ensemble.find_finished_runs(data, arguments.runs)
    made = ensemble.build_ensemble(data, runs, keep_all=arguments.keep_all)
    ensemble.write_ensemble(made, runs, arguments.out)
    ensemble.show_ensemble(made)
    print(arguments.out)
    return 0


def _recipes_arguments(verbs: Verbs[argparse.ArgumentParser]) -> None:
    parser = verbs.add_parser("recipes", help="what can be trained")
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    parser.set_defaults(run=_recipes)


def _recipes(arguments: argparse.Namespace) -> int:
    forms = _all_forms()
    if arguments.json:
        print(json.dumps([form.as_dict() for form in forms], indent=1))
        return 0
    rows = []
    for form in forms:
        length = f"{form.epochs} epochs" if form.epochs is not None else f"{form.iterations} iterations"
        before = (
            form.earlier_stage.name if form.earlier_stage is not None else form.pretrained or "random weights"
        )
        folds = ", ".join(map(str, form.folds))
        rows.append(
            (form.name, form.competition, length, str(form.batch_size), folds, ", ".join(form.views), before)
        )
    headings = ("name", "competition", "length", "batch", "folds", "views", "starts from")
    show_table("recipes", headings, rows)
    return 0
