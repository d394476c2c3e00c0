import pytest
import torch

from submission.runtime.work.stopwatch import Stopwatch


def test_forward_passes_are_timed_and_the_first_is_announced_once():
    announced = []
    stopwatch = Stopwatch("cpu", announced.append)
    forward = stopwatch.wrap(torch.nn.Linear(64, 64))
    assert stopwatch.take() == 0
    assert forward(torch.ones(4, 64)).shape == (4, 64)
    forward(torch.ones(4, 64))
    assert len(announced) == 1
    assert stopwatch.take() > 0
    assert stopwatch.take() == 0, "it starts anew"


def test_a_forward_pass_that_raises_is_timed_too():
    stopwatch = Stopwatch("cpu", lambda at: None)
    forward = stopwatch.wrap(torch.nn.Linear(64, 64))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        forward(torch.ones(4, 3))
    assert stopwatch.take() > 0
