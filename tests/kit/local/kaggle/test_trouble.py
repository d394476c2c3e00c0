"""A person hears of calls that fail for a long time, and not of each."""

import re

from kit.errors import KitError
from kit.local.kaggle.trouble import EVERY_S, Trouble


def test_the_first_failure_is_told_at_once_and_then_one_in_half_a_minute(capsys):
    now = [100.0]
    trouble = Trouble(lambda: now[0])
    for step in (0, 1, EVERY_S / 2, EVERY_S / 2, 3):
        now[0] += step
        error = KitError(f"no route at {now[0]:g}", where="datasets.GetDataset")
        trouble.tell(error, pause=3, left=600)
    lines = capsys.readouterr().err.splitlines()
    assert [re.match(r"no route at ([0-9.]+)", line)[1] for line in lines] == ["100", "131"]
    assert re.search(
        r"; datasets\.GetDataset is tried again in 3 s, and until [0-9]{2}:[0-9]{2}:[0-9]{2}", lines[0]
    )
