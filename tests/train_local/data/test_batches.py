"""Batches stay the same when the processes that load them are killed."""

import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate, get_worker_info

from kit.errors import KitError
from train_local.data import sampler
from train_local.data.batches import Batches

LAYOUT = sampler.Layout(2, 2)


class Deadly:
    """Random numbers by position; kills the worker that loads the 9th step, as often as `marks` allow."""

    def __init__(self, marks, deaths):
        self.marks, self.deaths = marks, deaths

    def __getitem__(self, position):
        died = len(list(self.marks.iterdir()))
        if position == (9, 1) and get_worker_info() is not None and died < self.deaths:
            (self.marks / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return sampler.generator(7, *position).integers(0, 1 << 30)


class Broken:
    def __getitem__(self, position):
        raise KitError("slide aa cannot be read", where="aa.tiff", fix="download it again")


def loaded(examples, *, workers, first=0):
    batches = Batches(examples, default_collate, LAYOUT, first=first, total=12, workers=workers, pin=False)
    return np.stack([batch.numpy() for batch in batches])


def test_a_killed_worker_costs_nothing(tmp_path, capsys):
    undisturbed = loaded(Deadly(tmp_path, 0), workers=0, first=5)
    assert undisturbed.shape == (7 * 2, 2)
    assert np.array_equal(loaded(Deadly(tmp_path, 1), workers=2, first=5), undisturbed)
    assert "New workers begin at the present batch; the result is the same." in " ".join(
        capsys.readouterr().err.split()
    )
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, "no signal interrupts a step"


def test_workers_that_die_again_and_again_end_the_run_with_advice(tmp_path):
    with pytest.raises(KitError, match="data workers died 3 times in a row") as error:
        loaded(Deadly(tmp_path, 99), workers=1, first=9)
    assert "use fewer --workers" in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_input_in_a_worker_is_the_message_it_is_elsewhere(workers):
    with pytest.raises(KitError) as error:
        loaded(Broken(), workers=workers)
    assert str(error.value) == "slide aa cannot be read\n  where: aa.tiff\n  fix:   download it again"


class Faulty:
    def __getitem__(self, position):
        raise RuntimeError("shapes do not fit")


def test_a_fault_of_an_example_is_no_death_of_its_worker(capsys):
    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker process 0") as error:
        loaded(Faulty(), workers=1)
    assert "shapes do not fit" in str(error.value)
    assert "died" not in capsys.readouterr().err


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_a_step_has_the_same_examples_for_every_number_of_processes(processes):
    layouts = [sampler.Layout(4, 6, rank, processes) for rank in range(processes)]
    found = [layout.positions(3, index) for layout in layouts for index in range(layout.passes)]
    assert sorted(found) == [[(3, 4 * number + place) for place in range(4)] for number in range(6)]


def test_processes_that_cannot_share_a_step_are_told_which_numbers_can():
    with pytest.raises(KitError, match="4 processes cannot share the 6 forward passes") as error:
        sampler.Layout(2, 6, 0, 4)
    assert "use --gpus-per-run 1 or 2 or 3 or 6: the total batch stays" in str(error.value)


def test_steps_can_begin_between_the_passes_of_a_step():
    layout = sampler.Layout(1, 6, rank=1, processes=2)
    whole = list(sampler.Steps(4, 7, layout))
    assert [positions[0] for positions in whole[:4]] == [(4, 1), (4, 3), (4, 5), (5, 1)]
    assert list(sampler.Steps(4, 7, layout, skip=2)) == whole[2:]
    assert len(sampler.Steps(4, 7, layout, skip=2)) == len(whole) - 2


def test_tensors_pass_through_workers_too():
    class Tensors:
        def __getitem__(self, position):
            return torch.tensor(position)

    batches = Batches(Tensors(), default_collate, LAYOUT, first=0, total=1, workers=1, pin=False)
    assert [batch.tolist() for batch in batches] == [[[0, 0], [0, 1]], [[0, 2], [0, 3]]]
