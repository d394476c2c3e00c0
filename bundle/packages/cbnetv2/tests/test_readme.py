"""The example in the README runs as printed."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_first_example_trains_a_step_and_detects(capsys):
    [example, *_] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    assert {"loss_bbox0_w0.5", "loss_bbox1", "loss_mask0_w0.5", "loss_mask1", "acc0"} <= set(names["log"])
    assert names["boxes"][0].shape[1] == 5
    assert len(names["masks"][0]) == len(names["boxes"][0])
    assert "loss_rpn_cls1" in capsys.readouterr().out
