"""What lies on the scratch disk during a run: running means if it is small, cleared as the run goes."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.inference.store import open_map
from kit.plan.changes import LeaveOut
from kit.plan.disk_space import DiskSpace, weights_agree
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.state import LadderState, results_to_average
from kit.plan.tasks import FuseTask, MeanTask, PassTask
from submission.runtime.work.running_mean import write_mean
from tests.kit.plan.ladders import of_subsets

MB = 1_000_000
IMAGES = {"small": 1.0, "large": 9.0, "middle": 4.0}
"""Megapixels; a 16-bit map takes two bytes per pixel, so the maps of one pass take 28 MB."""


def plan(owners, rungs, *, agree=True, kind="semantic") -> Ensemble:
    ensemble = of_subsets(owners, [list(range(n)) for n in rungs], kind=kind)
    last = replace(ensemble.rungs[-1], weights=[1.0] * len(owners))
    return ensemble if agree else replace(ensemble, rungs=[*ensemble.rungs[:-1], last])


class Disk:
    """What tasks leave on a disk of this many bytes: name of the file -> its size, its passes and weights."""

    def __init__(self, ensemble: Ensemble, size: int, workers: int = 2) -> None:
        self.size, self.files, self.most = size, {}, 0
        self.left_out, self.rows, self.left = [], {}, 1e9
        self.state = LadderState(ensemble, IMAGES)
        self.state.ready |= set(range(len(ensemble.members)))
        self.ladder = Ladder(
            self.state,
            chosen_policy(ensemble),
            lambda: Resources(self.left, self.free(), workers),
            self.note,
        )

    def note(self, decision) -> None:
        if isinstance(decision, LeaveOut):
            self.left_out.append(decision)

    def free(self) -> int:
        return self.size - sum(size for size, _ in self.files.values())

    def write(self, name: str, image: str, content: dict[int, float]) -> None:
        self.files[name] = (int(IMAGES[image] * 2 * MB), content)
        assert self.free() >= 0, "the disk is full in the middle"
        self.most = max(self.most, self.size - self.free())

    def clear(self) -> None:
        for name in self.state.stored.obsolete:
            del self.files[name]
        self.state.stored.obsolete.clear()

    def begin(self, task) -> SimpleNamespace:
        """A task as a worker gets it: what it reads is decided now."""
        reads = []
        if isinstance(task, MeanTask):
            reads = results_to_average(self.state, task)
        elif isinstance(task, FuseTask):
            reads = [(file, weight) for _, file, weight in self.state.results_to_fuse(task)]
        return SimpleNamespace(task=task, reads=reads)

    def end(self, begun: SimpleNamespace) -> None:
        task, content = begun.task, {}
        for name, weight in begun.reads:
            inside = self.files[name][1]
            total = sum(inside.values())
            content |= {index: weight * share / total for index, share in inside.items()}
        if isinstance(task, PassTask):
            name = f"pass {task.index} {task.image}"
            self.write(name, task.image, {task.index: 1.0})
            self.state.finished_pass(task, name, 1.0)
        elif isinstance(task, MeanTask):
            name = f"mean {task.index} {task.image}"
            self.write(name, task.image, content)
            self.state.finished_mean(task, name)
        else:
            self.rows[task.rung, task.image] = content
            self.state.finished_row(task, "row")

    def work(self) -> list:
        """Everything, one task at a time."""
        done = []
        while (task := self.ladder.next_task()) is not None:
            self.end(self.begin(task))
            self.clear()
            done.append(task)
        return done


def shares(content: dict[int, float]) -> dict[int, float]:
    total = sum(content.values())
    return {index: weight / total for index, weight in content.items()}


def test_on_a_large_disk_no_mean_is_made_and_everything_goes_once_its_last_row_is_written():
    disk = Disk(plan([0, 1, 2], [1, 3]), 1000 * MB)
    done = disk.work()
    assert not any(isinstance(task, MeanTask) for task in done)
    assert len(disk.rows) == 6
    assert disk.files == {}


def test_on_a_small_disk_an_image_keeps_one_mean_instead_of_all_its_maps():
    ensemble = plan([0, 1, 2, 3], [1, 2, 4])
    disk = Disk(ensemble, 100 * MB)
    done = disk.work()
    assert sum(isinstance(task, MeanTask) for task in done) == 9
    for (rung, image), content in disk.rows.items():
        assert shares(content) == pytest.approx(shares(dict(enumerate(ensemble.rungs[rung].weights)))), image
    assert len(disk.rows) == 9
    assert disk.most < 28 * MB + 3 * 18 * MB, "the four maps of all images would take 112 MB"
    assert disk.files == {}


def test_where_the_maps_cannot_wait_for_a_second_rung_the_first_is_done_from_hand_to_mouth():
    disk = Disk(plan([0, 1], [1, 2]), 25 * MB, workers=1)
    disk.work()
    assert sorted(disk.rows) == [(0, "large"), (0, "middle"), (0, "small")]
    assert "GB of scratch space" in disk.state.rungs.refused[1].reason
    assert disk.ladder.exhausted
    assert disk.most == 18 * MB


def test_an_image_whose_map_has_no_room_is_left_out_and_the_others_are_predicted():
    disk = Disk(plan([0], [1]), 10 * MB)
    disk.work()
    assert sorted(disk.rows) == [(0, "middle"), (0, "small")]
    reason = "needs 0.018 GB of scratch space, 0.009 GB can be used"
    assert disk.left_out == [LeaveOut(0, "large", "disk", reason)]
    assert disk.ladder.exhausted
    assert disk.state.settled(0)


def test_rungs_that_weigh_shared_passes_differently_use_no_means():
    assert weights_agree(plan([0, 1, 2], [1, 2, 3]))
    assert not weights_agree(plan([0, 1, 2], [1, 2, 3], agree=False))
    in_any_order = of_subsets([0, 1, 2], [[1], [1, 2], [0, 1, 2]])
    assert weights_agree(in_any_order), "the rungs contain one another: 2, 2:3 and 1:2:3"
    assert weights_agree(of_subsets([0, 1, 2], [[0], [1, 2], [0, 1, 2]])), "the main path leaves [0] out"
    lopsided = replace(in_any_order.rungs[1], weights=[3.0, 2.0])
    last = in_any_order.rungs[-1]
    assert not weights_agree(replace(in_any_order, rungs=[in_any_order.rungs[0], lopsided, last]))
    disk = Disk(plan([0, 1, 2], [1, 2, 3], agree=False), 80 * MB)
    done = disk.work()
    assert not any(isinstance(task, MeanTask) for task in done)
    assert list(disk.state.rungs.refused) == [2], "two passes fit, three do not"


def test_means_are_made_of_rungs_that_do_not_begin_with_the_first_pass():
    ensemble = of_subsets([0, 1, 2], [[1], [1, 2], [0, 1, 2]])
    disk = Disk(ensemble, 100 * MB)
    assert any(isinstance(task, MeanTask) for task in disk.work())
    assert len(disk.rows) == 9
    for (rung, image), content in disk.rows.items():
        wanted = {index: index + 1.0 for index in ensemble.rungs[rung].passes}
        assert shares(content) == pytest.approx(shares(wanted)), image
    assert disk.files == {}


def test_a_mean_weighs_its_maps_and_a_second_try_keeps_what_the_first_wrote(tmp_path):
    random = np.random.default_rng(0)
    maps = [random.integers(0, 65536, (50, 70)).astype(np.uint16) for _ in range(2)]
    maps.append(random.integers(0, 256, (50, 70)).astype(np.uint8))
    files = [tmp_path / f"{number}.npy" for number in range(3)]
    for path, levels_HW in zip(files, maps, strict=True):
        np.save(path, levels_HW)
    write_mean(files[:2], [1.0, 2.0], tmp_path / "means" / "a.npy")
    write_mean([tmp_path / "means" / "a.npy", files[2]], [3.0, 0.5], tmp_path / "means" / "b.npy")
    wanted_HW = (maps[0] / 65535 + 2 * (maps[1] / 65535) + 0.5 * (maps[2] / 255)) / 3.5
    found_HW = open_map(tmp_path / "means" / "b.npy")[:] / 65535
    assert np.abs(found_HW - wanted_HW).max() < 1.1 / 65535, "two roundings of half a level"
    before = (tmp_path / "means" / "b.npy").stat().st_mtime_ns
    files[2].unlink()
    write_mean([tmp_path / "means" / "a.npy", files[2]], [3.0, 0.5], tmp_path / "means" / "b.npy")
    assert (tmp_path / "means" / "b.npy").stat().st_mtime_ns == before
    with pytest.raises(KitError, match="this pass has no result"):
        write_mean([files[2]], [1.0], tmp_path / "means" / "c.npy")


def test_room_is_counted_by_the_depth_of_maps_and_with_what_is_being_written():
    ensemble = plan([0] * 10, [1, 10])
    shallow = replace(ensemble, members=[replace(ensemble.members[0], inference={"stored": "uint8"})])
    space = DiskSpace(ensemble, IMAGES)
    assert space.map_bytes(0, "large") == 18 * MB
    assert DiskSpace(shallow, IMAGES).map_bytes(0, "large") == 9 * MB
    assert space.all_maps(["small", "middle"]) == 5 * 2 * MB * len(ensemble.passes)
    # First means of 28 MB, and for each of two workers a map written, one waiting and the next mean of 18 MB.
    missing = partial(space.missing, range(10), list(IMAGES), averaging=True, workers=2)
    assert missing(free=150 * MB) == "needs 0.136 GB of scratch space, 0.135 GB can be used"
    assert missing(free=152 * MB) is None
    assert space.missing_now(0, "large", free=28 * MB, running=[]) is None
    told = space.missing_now(0, "large", free=28 * MB, running=[(0, "middle")])
    assert told.startswith("needs 0.026 GB")


def test_detections_take_no_room():
    disk = Disk(plan([0, 1], [1, 2], kind="instance"), 1)
    disk.write = lambda name, image, content: disk.files.update({name: (0, content)})
    disk.work()
    assert len(disk.rows) == 6
    assert not disk.state.rungs.refused


def test_a_mean_that_fails_is_tried_again_and_then_costs_the_image_its_later_rows():
    disk = Disk(plan([0, 1], [1, 2]), 100 * MB)
    tries = []
    while (task := disk.ladder.next_task()) is not None:
        begun = disk.begin(task)
        if isinstance(task, MeanTask) and task.image == "middle":
            tries.append(task)
            disk.ladder.fail(task, "crash", "reason")
        else:
            disk.end(begun)
        disk.clear()
    assert tries == [MeanTask(1, "middle")] * 3, "twice, and once more when all others are done"
    assert disk.state.settled(1)
    assert disk.state.rungs.best_row(1, "middle") == (0, "row")
    assert disk.files == {}


def test_a_full_disk_is_not_the_members_fault():
    disk = Disk(plan([0], [1]), 1000 * MB)
    told = []
    while (task := disk.ladder.next_task()) is not None:
        if isinstance(task, PassTask) and task.image != "small":
            told.append(disk.ladder.fail(task, "disk", "No space left on device"))
        else:
            disk.end(disk.begin(task))
    full = [LeaveOut(0, image, "disk", "No space left on device") for image in ("large", "middle")]
    assert told == full * 2, "there was room again, by then"
    assert not disk.state.losses.members
    assert list(disk.rows) == [(0, "small")]


def test_a_members_first_result_goes_if_its_image_was_lost_meanwhile():
    disk = Disk(plan([0, 1], [2]), 1000 * MB)
    running = [disk.begin(disk.ladder.next_task()) for _ in range(6)]
    last = running.pop()
    assert (last.task.index, last.task.image) == (1, "small")
    for begun in running:
        disk.ladder.fail(begun.task, "image", "reason")
    disk.end(last)
    disk.clear()
    assert disk.files == {}


STAGES = [None] * 6 + ["image", "read", "load", "forward", "error", "crash", "memory", "stall", "disk"]


@given(st.data())
@settings(max_examples=150)
def test_whatever_fails_every_row_is_fused_from_its_rungs_passes_and_the_disk_is_clear_at_the_end(data):
    owners = [0, *sorted(data.draw(st.lists(st.integers(0, 2), max_size=4)))]
    owners = [sorted(set(owners)).index(owner) for owner in owners]
    rungs = sorted({*data.draw(st.sets(st.integers(1, len(owners)))), len(owners)})
    ensemble = plan(owners, rungs)
    disk = Disk(ensemble, data.draw(st.sampled_from((30, 100, 140, 1000))) * MB)
    running, worked = [], set()
    while True:
        task = disk.ladder.next_task() if len(running) < 2 else None
        disk.clear()
        if task is not None:
            running.append(disk.begin(task))
            continue
        if not running and disk.ladder.exhausted:
            break
        if not running:
            disk.left -= 1.0
            continue
        begun = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert all(name in disk.files for name, _ in begun.reads), "a file went while it was needed"
        stage = data.draw(st.sampled_from(STAGES))
        if stage is None:
            live = [index for index in range(len(owners)) if owners[index] not in disk.state.losses.members]
            disk.end(begun)
            worked |= {owners[begun.task.index]} if isinstance(begun.task, PassTask) else set()
            if isinstance(begun.task, FuseTask):
                passes = [index for index in live if index in ensemble.rungs[begun.task.rung].passes]
                wanted = {index: ensemble.rungs[-1].weights[index] for index in passes}
                content = disk.rows[begun.task.rung, begun.task.image]
                assert shares(content) == pytest.approx(shares(wanted))
        else:
            disk.ladder.fail(begun.task, stage, "reason")
        disk.clear()
    if len(disk.state.losses.members) < len(ensemble.members):
        assert disk.ladder.exhausted
    # Without a lost member a rung may be another one again and is not started; it would be if it came back.
    if worked == {*owners} - set(disk.state.losses.members) and not disk.state.rungs.may_start:
        assert disk.files == {}, "only what waits for a member that never worked may stay"
