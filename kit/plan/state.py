"""The state of the ladder: what is done, running, stored and lost. It decides nothing.

A row can be fused as soon as all live passes of its rung have results over the image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from kit.ensemble import Ensemble
from kit.plan.changes import (
    BringBack,
    Change,
    GiveUp,
    Item,
    LeaveOut,
    LoseImage,
    LoseMember,
    LoseRow,
    RefuseRung,
    StartRung,
    TryAgain,
    UseRunningMeans,
)
from kit.plan.costs import Costs
from kit.plan.failures import Failures
from kit.plan.image_groups import ImageGroups
from kit.plan.losses import Losses
from kit.plan.rungs import Rungs
from kit.plan.second_chances import Chances
from kit.plan.stored_results import StoredResults
from kit.plan.tasks import FuseTask, LadderTask, MeanTask, PassTask
from kit.plan.to_do import ToDo


class LadderState:
    """What is known of a run's ladder.

    Args:
        ensemble: members, passes and rungs.
        images: image -> megapixels; more images can be added later.

    Attributes:
        megapixels: of every image.
        costs: of the passes, as measured so far.
        stored: the results of passes on the disk.
        losses: images, members, passes and rows that were set aside.
        chances: that these got since then.
        failure_counts: of tasks.
        to_do: passes that images have to be started on.
        groups: live images of the same standing together.
        rungs: which are started or refused, and their rows.
        ready: members whose weights and libraries are in place.
        running: tasks that workers have.
        combinable: rows and means that the stored results allow, first come first.
    """

    def __init__(self, ensemble: Ensemble, images: Mapping[str, float]) -> None:
        self.ensemble = ensemble
        self.megapixels: dict[str, float] = {}
        self._live: list[str] | None = None
        self.costs = Costs(ensemble)
        self.stored = StoredResults()
        self.losses = Losses(ensemble)
        self.rungs = Rungs(ensemble, self.losses)
        self.chances = Chances(self.losses, self.rungs)
        self.ready: set[int] = set()
        self.running: set[LadderTask] = set()
        self.combinable: deque[MeanTask | FuseTask] = deque()
        self.failure_counts = Failures(ensemble)
        self.to_do = ToDo(len(ensemble.passes))
        self.groups = ImageGroups()
        for image, megapixels in images.items():
            self.add_image(image, megapixels)

    # Questions

    def live_passes(self, rung: int) -> list[int]:
        """Return the passes of a rung whose member was not dropped."""
        return self.losses.live_passes(rung)

    def live_images(self) -> list[str]:
        """Return the images that were not given up, the largest first: none is left for the end."""
        if self._live is None:
            self._live = [image for image in self.to_do.largest_first() if image not in self.losses.images]
        return self._live

    def images_to_do(self, index: int) -> Iterator[str]:
        """Yield the images that a pass has to be started on for a started rung, largest first."""
        yield from self.to_do.images(index)

    def finished_images(self, index: int) -> int:
        """Return the number of live images that a pass was done over."""
        return sum(len(group) for group in self.groups if self.stored.was_done(index, next(iter(group))))

    def settled(self, rung: int) -> bool:
        """Whether every live image has its row of a started rung, or needs none or gets none."""
        return self.rungs.settled(rung, self.groups.one_of_each())

    def work(self, index: int, image: str) -> float:
        """Return the megapixels that a pass has to look at: of an image with confident blocks, a part."""
        return self.megapixels[image] * self.rungs.share_left(index, image)

    def failures(self, task: LadderTask) -> int:
        """Return how many times a task has failed."""
        return self.failure_counts.of(task)

    def results_to_fuse(self, task: FuseTask) -> list[tuple[int, str, float]]:
        """Return (pass, file, weight) of every result that a row is fused from, in the order of the passes.

        With running means it is one result, named after the first pass.
        """
        live = self.live_passes(task.rung)
        files = self.stored.files(live, task.image)
        assert files is not None, task
        rung = self.ensemble.rungs[task.rung]
        return [(index, file, rung.weight(index)) for index, file in zip(live, files, strict=False)]

    # What happens

    def add_image(self, image: str, megapixels: float) -> None:
        """Add an image, at the start or at any time later."""
        self.megapixels[image] = megapixels
        self.to_do.add(image, megapixels)
        self._live = None
        self._update([image])

    def finished_pass(
        self, task: PassTask, file: str, seconds: float, load: float = 0.0, left: float = 1.0
    ) -> None:
        """Note the result of a pass over an image, and how long it and the loading of its member took.

        Where only a part `left` of the windows was looked at, the time tells of so many megapixels.
        """
        self.running.discard(task)
        self.stored.add(task.index, task.image, file)
        if left > 0:
            self.costs.observe(task.index, self.megapixels[task.image] * left, seconds, load)
        member = self.ensemble.passes[task.index].member
        if first := self.losses.note_success(member):
            self.chances.note_success(member)
        # After its first success a member is not dropped for failures any more: images on which it failed
        # before are blocked for good, and their results can go. This task's image may be lost by now.
        self._update([*(self.live_images() if first else ()), task.image])

    def finished_mean(self, task: MeanTask, file: str) -> None:
        """Note that a map was added to its image's mean, which now is in this file."""
        self.running.discard(task)
        self.stored.averaged(task.index, task.image, file)
        self._update([task.image])

    def finished_row(
        self,
        task: FuseTask,
        file: str,
        seconds: float | None = None,
        doubt: float | None = None,
        left: Sequence[float] = (),
    ) -> None:
        """Note the row of a rung (`Rungs.note_row`) and how long it took: the image may stop here."""
        self.running.discard(task)
        if seconds is not None:
            self.costs.observe_row(self.megapixels[task.image], seconds)
        self.rungs.note_row(task.rung, task.image, file, doubt, left)
        self.chances.note_success(task.image)
        self._update([task.image])

    def failed(self, task: LadderTask) -> None:
        """Note that a task failed; a `Consequence` has to be applied next."""
        self.running.discard(task)
        self.failure_counts.add(task)

    def apply(self, change: Change) -> None:
        """Carry out what the policy decided."""
        match change:
            case PassTask():
                self.running.add(change)
                self.to_do.start(change.index, change.image)
            case MeanTask() | FuseTask():
                self.running.add(change)
                self.combinable.remove(change)
            case UseRunningMeans():
                self.stored.averaging = True
            case StartRung():
                self.rungs.started.add(change.rung)
                self.rungs.begun[change.rung] = change
                self._update(self.live_images())
            case RefuseRung():
                self.rungs.refused[change.rung] = change
                self._update(self.live_images())
            case TryAgain():
                self._update([change.task.image])
            case LoseMember() | LeaveOut() | LoseRow() | LoseImage():
                self.losses.add(change)
                self._live = None
                self._update(self.live_images() if isinstance(change, LoseMember) else [change.image])
            case BringBack():
                self._bring_back(change.item, change.seconds)
            case GiveUp():
                self.losses.stages.pop(change.item, None)

    def _bring_back(self, item: Item, seconds: float) -> None:
        self.chances.give(item, seconds)
        self.losses.take_back(item)
        self._live = None
        if isinstance(item, str):
            self._update([item])
            return
        # Two images that end every worker cost a member that tried them first. So it gets its chance with
        # another image; only if it failed on all of them, with these.
        if self.losses.blamed_on(item).issuperset(self.live_images()):
            self.losses.forgive(item)
        self._update(self.live_images())

    def _update(self, images: Iterable[str]) -> None:
        """List what images need now, queue what their results allow, and mark results that no rung needs.

        While a worker reads results of an image for a row or a mean, none of them becomes obsolete.
        """
        # How one image goes through rungs with passes [0] and [0, 1]:
        #     pass 0 -> stored -> row of rung 0 -> pass 1 -> stored -> row of rung 1
        #                 |                                    |
        #         kept for rung 1                     both obsolete: no rung needs them
        # If rung 1 is refused, the result of pass 0 is obsolete as soon as the row of rung 0 is there.
        chosen = dict.fromkeys(images)
        self.combinable = deque(task for task in self.combinable if task.image not in chosen)
        running = {(task.index, task.image) for task in self.running if isinstance(task, PassTask)}
        for image in chosen:
            self.groups.put(image, _standing(self, image))
            there = self.stored.holds(image) | self.losses.left_out.get(image, {}).keys()
            wanted = set(self.rungs.wanted_passes(image)) - there
            self.to_do.set_passes(image, {index for index in wanted if (index, image) not in running})
            self.combinable.extend(task for task in _combinations(self, image) if task not in self.running)
            if not any(task.image == image and not isinstance(task, PassTask) for task in self.running):
                self.stored.keep(self.rungs.needed_passes(image), image)


def results_to_average(state: LadderState, task: MeanTask) -> list[tuple[str, float]]:
    """Return (file, weight) of an image's running mean and of the map that is added to it."""
    # A mean of passes 0 and 1 with weights 0.5 and 1.5 counts with weight 2 against the next map.
    weights = state.ensemble.rungs[-1].weights  # the last rung has all passes
    mean = sum(weights[index] for index in state.stored.averaged_passes(task.image))
    files = state.stored.mean_and_map(task.index, task.image)
    return list(zip(files, [mean, weights[task.index]], strict=True))


def _standing(state: LadderState, image: str) -> Hashable | None:
    """Return what images of one group have in common; None for one that was given up."""
    if image in state.losses.images:
        return None
    return state.stored.done(image), state.rungs.standing(image), state.losses.standing(image)


def _combinations(state: LadderState, image: str) -> Iterator[MeanTask | FuseTask]:
    """Yield rows that can be fused now, or the pass whose map comes next into the mean."""
    # With running means only the lowest open rung counts. Rungs [0, 1] and [0, 1, 2], mean (0, 1), map 2
    # is there: if it were added now, rung 0 could never be fused from (0, 1). So its row comes first.
    mean = set(state.stored.averaged_passes(image))
    for rung in state.rungs.open_for(image):
        live = state.live_passes(rung)
        if not mean.issubset(live):
            continue  # it can have no row any more; the image may have come back after a failed row
        if state.stored.files(live, image) is not None:
            yield FuseTask(rung, image)
        elif (index := state.stored.next_to_average(live, image)) is not None:
            yield MeanTask(index, image)
        if state.stored.averaging:
            return
