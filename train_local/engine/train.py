"""One run from its first step to stored out-of-fold predictions. Parts that exist already are skipped."""

from __future__ import annotations

import time
from typing import Any

from kit.artefacts import write_json
from kit.errors import KitError
from kit.local import garbage
from kit.local.console import console
from kit.models import load_weights
from train_local.data.prepared import Prepared
from train_local.data.sampler import Layout
from train_local.engine.budget import fit_to_budget
from train_local.engine.device_errors import explained
from train_local.engine.exports import export, hand_over
from train_local.engine.fabric import computes_on_gpu
from train_local.engine.free_memory import free_memory
from train_local.engine.initial_weights import InitialWeights
from train_local.engine.loop import Trainer
from train_local.engine.memory_check import require_memory
from train_local.engine.processes import Member, run_together
from train_local.options import Options
from train_local.runs import Run, claim_folder
from train_local.validation.out_of_fold import out_of_fold


def train(run: Run, prepared: Prepared, options: Options, *, initial: InitialWeights) -> dict[str, Any]:
    """Train, export the weights and predict the held-out images; parts done before are kept.

    Args:
        run: what to train.
        prepared: on what.
        options: device, budget and the like.
        initial: weights to begin with.

    Returns:
        What `done.json` says: metric, step, whether the run is complete, where the time went.

    Raises:
        KitError: the data, weights or options are wrong, the disk is full, the loss is not a number, or a
            process of several or a GPU was lost.
    """
    done = run.record("done.json")
    lost = run.lost() if done is not None and done["complete"] else []
    if lost:
        text = f"{run.name} was finished before, and {lost[0]} is gone: it is made again from the checkpoint"
        console().print(text, style="yellow", markup=False, soft_wrap=True)
    elif done is not None and done["complete"]:
        metric = "" if done["metric"] is None else f", metric {done['metric']:.4f}"
        console().print(f"{run.name} was finished before{metric}", markup=False)
        return done
    on_gpu = computes_on_gpu(options.device, options.gpus)
    recipe = run.recipe
    Layout(recipe.batch_size, recipe.passes, 0, options.gpus)  # raises if they cannot share a step
    if recipe.sync_bn and options.gpus > 1 and not on_gpu:
        raise KitError(
            f"{recipe.name} shares the statistics of its batch norms over all GPUs, which torch cannot do on "
            "CPUs",
            where="--gpus-per-run",
            fix="use --gpus-per-run 1, or a machine with GPUs",
        )
    require_memory(recipe, *free_memory(options.gpus, on_gpu=on_gpu), on_gpu=on_gpu)
    claim_folder(run)
    if options.gpus > 1:
        work = (_train, run, prepared, options, initial)
        done = run_together(options.gpus, "nccl" if on_gpu else "gloo", *work)
    else:
        done = _train(Member(), run, prepared, options, initial)
    assert done is not None, "the first process returns what it did"
    _say(run, done)
    return done


def _train(
    member: Member, run: Run, prepared: Prepared, options: Options, initial: InitialWeights
) -> dict[str, Any]:
    """What each process of a run does."""
    with explained(run.folder):
        trainer = Trainer(run, prepared, options, initial, member)  # imports the network's libraries
        garbage.look_as_usual()
        try:
            if not trainer.load() and options.budget is not None:
                fit_to_budget(trainer, options.budget)
            complete = trainer.fit()
            trainer.reporter.state("predicting")
            done = _finish(trainer, run, prepared, options, complete=complete)
        except Exception:  # not Ctrl-C: what is interrupted goes on some day
            trainer.reporter.state("failed")
            raise
        trainer.reporter.state("finished" if complete else "out of time")
    return done


def _finish(
    trainer: Trainer, run: Run, prepared: Prepared, options: Options, *, complete: bool
) -> dict[str, Any]:
    """Export the weights, predict the held-out images and write `done.json`."""
    name, network = trainer.validation.metric, trainer.network
    which = run.recipe.hand_over if trainer.validation.ids else "last"
    # Copies, because `load_state_dict` below overwrites the network, whose tensors may be the last weights.
    states = {
        key: ({part: value.detach().cpu().clone() for part, value in state.items()}, facts)
        for key, (state, facts) in ((key, trainer.candidates.chosen(key)) for key in ("best", "last"))
    }
    for key, (state, facts) in states.items():
        network.load_state_dict(state)
        if trainer.writes:
            export(run, prepared, network, key, {**facts, "metric_name": name})
    facts = {**states[which][1], "metric_name": name}
    made = hand_over(run, prepared, run.folder / f"{which}.safetensors", facts) if trainer.writes else None
    made = trainer.fabric.broadcast(made) if trainer.member.count > 1 else made
    assert made is not None
    network.eval()
    began = time.perf_counter()
    load_weights(network, run.weights)  # as written: fp16 rounds, and Kaggle gets the rounded ones
    load = time.perf_counter() - began
    ids = trainer.validation.ids
    timing = out_of_fold(run, prepared, network, made, ids, fabric=trainer.fabric, bars=options.bars)
    last = trainer.progress.last
    done = {
        "identity": run.identity,
        "complete": complete,
        "step": trainer.progress.step,
        "total_steps": trainer.total,
        "published_steps": trainer.published,
        "stopped_early": trainer.stopped_early,
        "overflows": trainer.progress.overflows,
        "hand_over": which,
        "best_step": facts["step"],
        "weights_kind": facts["kind"],
        "metric": facts["metric"],
        "last_metric": None if last is None else last["metric"],
        "metric_name": name,
        "held_out_images": len(ids),
        "processes": trainer.member.count,
        "seconds": round(trainer.progress.seconds, 1),
        "spent": {part: round(value, 1) for part, value in trainer.clock.spent.items()},
        "seconds_per_megapixel": timing,
        "load_seconds": round(load, 3),
    }
    if trainer.writes:
        write_json(run.folder / "done.json", done)
    return done


def _say(run: Run, done: dict[str, Any]) -> None:
    screen, spent = console(), done["spent"]
    metric = "no image held out" if done["metric"] is None else f"{done['metric_name']} {done['metric']:.4f}"
    times = f"data {spent['data']:.0f} s, steps {spent['step']:.0f} s, evaluation {spent['evaluation']:.0f} s"
    lines = [f"{metric} at step {done['best_step']}; {times}"]
    steps = f"{done['step']} of {done['total_steps']}"
    if done["total_steps"] < done["published_steps"]:
        lines.append(
            f"fitted to a budget: {done['total_steps']} of the published {done['published_steps']} steps"
        )
    if done["stopped_early"]:
        lines.append(f"ended at step {steps}, since validations did not become better any more")
    if done["overflows"]:
        lines.append(f"float16 overflowed in {done['overflows']} steps, which changed no weight")
    for line in lines:
        screen.print(f"{run.name}: {line}", markup=False)
    if not done["complete"]:
        place = f"{run.name}: the time is up at step {steps}; run the same command again to go on."
        screen.print(place, style="yellow", markup=False)
