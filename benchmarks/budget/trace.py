"""One world in words: its facts, what each way reached, and what the policy in use decided when."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.budget.comparison import compare
from benchmarks.budget.events import Log, Span
from benchmarks.budget.summary import ours
from benchmarks.budget.ways import WAYS
from benchmarks.budget.world import World, world_of
from kit.local.wording import counted
from kit.plan.tasks import FuseTask, PassTask, Task, ValidateTask


def facts(seed: int, number: int, *, nested: bool) -> Iterator[str]:
    """Yield lines that describe a world and how all ways did in it."""
    world, compared = world_of(seed, number, nested=nested), compare(number, seed, nested=nested)
    megapixels = sum(world.images.values())
    images = f"{counted(len(world.images), 'image')} of {megapixels:.4g} megapixels"
    yield f"world {number} of seed {seed}: {world.ensemble.kind}, {images}"
    fits = f"{100 * world.share:.0f} % of the ladder fits"
    yield f"budget {world.budget:.0f} s, deadline {world.deadline:.0f} s, {fits}"
    for name, text in world.machine.facts().items():
        yield f"{name}: {text}"
    yield from _passes(world)
    yield from _rungs(world)
    for way, result in zip(WAYS, compared.results, strict=True):
        late = ", late" if result.late else ""
        yield f"{way.name}: {result.score:.5f}, {100 * result.used:.0f} % of the budget, {result.file}{late}"
    yield f"best: {compared.best:.5f} by {compared.choice}"


def _passes(world: World) -> Iterator[str]:
    total = sum(world.images.values())
    for index, item in enumerate(world.ensemble.passes):
        seconds = float(world.machine.seconds[0, index].sum())
        prior = item.seconds_per_megapixel
        yield (
            f"pass {index + 1}: member {item.member}, {item.view}: {seconds:.0f} s over all images, "
            f"{seconds / total:.3g} s per megapixel, {prior:.3g} expected"
        )


def _rungs(world: World) -> Iterator[str]:
    machine = world.machine
    for number, rung in enumerate(world.ensemble.rungs):
        score = float(world.truth.scores_I(rung.passes).mean())
        work = float((machine.seconds[0, rung.passes].sum(axis=0) + machine.fuse * len(rung.passes)).sum())
        part = work / machine.capacity(world.deadline)
        text = (
            f"rung {number + 1}: passes {[index + 1 for index in rung.passes]}, cv {rung.cv:.5f}, "
            f"true score {score:.5f}, {100 * part:.0f} % of the time"
        )
        if rung.stop is not None:
            below = float((world.stopping.doubts[number] < rung.stop.below).mean())
            text += f", {100 * below:.0f} % may stop, {100 * rung.stop.share:.0f} % expected"
        yield text


def decisions(seed: int, number: int, *, nested: bool) -> Iterator[str]:
    """Yield every decision and task of the policy in use, in the order of time."""
    log = Log()
    WAYS[ours()].run(world_of(seed, number, nested=nested), log)
    lines = [(second, f"{second:9.1f}  {decision}") for second, decision in log.decisions]
    lines += [(span.begin, _span(span)) for span in log.spans]
    yield from (line for _, line in sorted(lines, key=lambda line: line[0]))


def _span(span: Span) -> str:
    failed = "" if span.stage is None else f", {span.stage}"
    return (
        f"{span.begin:9.1f}  worker {span.worker}: {_name(span.task)}, {span.end - span.begin:.1f} s{failed}"
    )


def _name(task: Task) -> str:
    match task:
        case PassTask():
            again = f", try {task.attempt + 1}" if task.attempt else ""
            return f"pass {task.index + 1} over {task.image}{again}"
        case FuseTask():
            return f"row of {task.image} of rung {task.rung + 1}"
        case ValidateTask():
            return f"file of rung {task.rung + 1}"
        case _:
            return str(task)
