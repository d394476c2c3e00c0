"""One run from its first step to stored out-of-fold predictions. Parts that exist already are skipped."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kit
from kit.artefacts import sha256_file, write_json
from kit.ensemble import Member
from kit.local.console import console, progress
from kit.local.sidecars import read_sidecar, sidecar_path, write_sidecar
from kit.models import Network, load_weights, save_weights
from train_local.data.prepared import Prepared
from train_local.evaluate import Predicted, member_of, predict
from train_local.initial_weights import InitialWeights
from train_local.loop import Trainer
from train_local.options import Options
from train_local.runs import Run, claim_folder


def train(run: Run, prepared: Prepared, options: Options, *, initial: InitialWeights) -> dict[str, Any]:
    """Train, export the best weights and predict the held-out images; parts done before are kept.

    Args:
        run: what to train.
        prepared: on what.
        options: device, budget and the like.
        initial: weights to begin with.

    Returns:
        What `done.json` says: metric, step, whether the run is complete, where the time went.

    Raises:
        KitError: the data, weights or options are wrong, the disk is full, or the loss is not a number.
    """
    done = run.record("done.json")
    if done is not None and done["complete"]:
        console().print(f"{run.name} was finished before, metric {done['metric']:.4f}", markup=False)
        return done
    claim_folder(run)
    trainer = Trainer(run, prepared, options, initial=initial)
    try:
        done = _train(trainer, run, prepared, options)
    except BaseException:
        trainer.status.update(state="failed")
        raise
    trainer.status.update(state="finished" if done["complete"] else "out of time")
    _say(run, done)
    return done


def _train(trainer: Trainer, run: Run, prepared: Prepared, options: Options) -> dict[str, Any]:
    complete = trainer.fit()
    trainer.status.update(state="predicting")
    best = trainer.progress.best
    assert best is not None, "fit evaluates before it returns"
    trainer.network.load_state_dict(best["state"])
    trainer.network.eval()
    member = export(run, prepared, trainer.network, best, metric_name=trainer.validation.metric)
    load_weights(trainer.network, run.weights)  # as written: fp16 rounds, and Kaggle gets the rounded ones
    timing = out_of_fold(
        run, prepared, trainer.network, member, device=trainer.fabric.device, bars=options.bars
    )
    done = {
        "identity": run.identity,
        "complete": complete,
        "step": trainer.progress.step,
        "total_steps": trainer.total,
        "best_step": best["step"],
        "metric": best["metric"],
        "metric_name": trainer.validation.metric,
        "seconds": round(trainer.progress.seconds, 1),
        "spent": {name: round(value, 1) for name, value in trainer.clock.spent.items()},
        "seconds_per_megapixel": timing,
    }
    write_json(run.folder / "done.json", done)
    return done


def export(
    run: Run, prepared: Prepared, network: Network, best: dict[str, Any], *, metric_name: str
) -> Member:
    """Write the weights, then the JSON that says what made them.

    Args:
        run: that trained them.
        prepared: on what.
        network: with the best weights in it.
        best: step and metric of these weights.
        metric_name: of the competition.
    """
    # The old JSON goes first: new weights beside an old JSON would look like damaged ones.
    sidecar_path(run.weights).unlink(missing_ok=True)
    # One entry only: safetensors writes several in an order that changes from process to process.
    save_weights(network, run.weights, {"identity": run.identity}, half=run.recipe.half)
    member = member_of(run, prepared, sha256=sha256_file(run.weights), size=run.weights.stat().st_size)
    write_sidecar(
        run.weights,
        kind="weights",
        config=run.config(),
        inputs={"run": run.identity, "prepared": prepared.identity},
        metrics={metric_name: best["metric"]},
        code_version=kit.__version__,
        recipe=run.recipe.name,
        fold=run.fold,
        seed=run.seed,
        step=best["step"],
        network=member.network,
        inference=member.inference,
        requires=member.requires,
    )
    return member


def out_of_fold(
    run: Run, prepared: Prepared, network: Network, member: Member, *, device: Any, bars: bool = True
) -> dict[str, float]:
    """Predict the held-out images under each of the recipe's views; `oof.json` is written last.

    Args:
        run: that trained the network.
        prepared: where the images are.
        network: with the exported weights, in eval mode on `device`.
        member: that its weights make.
        device: where the network is.
        bars: draw progress.

    Returns:
        Measured seconds per megapixel, by view.
    """
    ids, views = prepared.fold(run.fold).valid, run.recipe.views
    _drop_unfinished(run.oof)
    with progress(shown=bars) as display:
        bar = display.add_task(f"{run.name} out of fold", total=len(ids) * len(views), note="")

        def stored(item: Predicted) -> None:
            display.advance(bar)
            # A prediction that was there already has its JSON, with the seconds it took when it was made.
            if item.seconds:
                write_sidecar(
                    item.path,
                    kind="oof",
                    config={"member": member.name, "view": item.view, "image": item.image_id},
                    inputs={"weights": member.sha256, "image": prepared.images[item.image_id].sha256},
                    code_version=kit.__version__,
                    seconds=item.seconds,
                )

        done = predict(network, member, prepared, ids, views, out=run.oof, device=device, on_image=stored)
    seconds = {item.path: float(read_sidecar(item.path, kind="oof")["seconds"]) for item in done}
    timing = {}
    for view in views:
        costs = [
            seconds[item.path]
            * 1e6
            / (prepared.images[item.image_id].height * prepared.images[item.image_id].width)
            for item in done
            if item.view == view
        ]
        # The first image takes longer: memory is allocated and kernels are loaded. The median ignores it.
        timing[view] = statistics.median(costs)
    files: dict[str, dict[str, str]] = {view: {} for view in views}
    for item in done:
        files[item.view][item.image_id] = item.path.relative_to(run.oof).as_posix()
    write_json(
        run.oof / "oof.json",
        {
            "identity": run.identity,
            "member": member.name,
            "weights": member.sha256,
            "views": list(views),
            "files": files,
            "seconds_per_megapixel": timing,
        },
    )
    return timing


def _drop_unfinished(folder: Path) -> None:
    """Delete predictions whose JSON was never written, because a kill came between the two."""
    found: Sequence[Path] = [*folder.glob("*/*/*.npy"), *folder.glob("*/*/*.npz")]
    for path in found:
        if not sidecar_path(path).is_file():
            path.unlink()


def _say(run: Run, done: dict[str, Any]) -> None:
    spent = done["spent"]
    screen = console()
    screen.print(
        f"{run.name}: {done['metric_name']} {done['metric']:.4f} at step {done['best_step']}; "
        f"data {spent['data']:.0f} s, steps {spent['step']:.0f} s, evaluation {spent['evaluation']:.0f} s",
        markup=False,
    )
    if not done["complete"]:
        screen.print(
            f"{run.name}: the time is up at step {done['step']} of {done['total_steps']}; "
            "run the same command again to go on.",
            style="yellow",
            markup=False,
        )
