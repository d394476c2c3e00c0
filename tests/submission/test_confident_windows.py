"""Skipped windows on the rendered predict.py: the row is the one that replacing them by hand gives."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kit import ensemble as ensembles
from kit.ensemble import WindowSkip
from kit.inference import runner
from kit.inference.semantic_blocks import BLOCK, BlockDoubt
from kit.inference.store import open_map
from kit.masks import rle
from submission.render import render

SIZE = (700, 1100)
"""3 x 5 blocks, and 4 x 6 windows of a core of 200."""
CORE = 200
CPU = torch.device("cpu")


def of_pixels(values):
    """Give each pixel the value of its block."""
    return np.kron(values, np.ones((BLOCK, BLOCK)))[: SIZE[0], : SIZE[1]]


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """A slide, two members, and the row that skipping half of the blocks has to give, made step by step."""
    folder = tmp_path_factory.mktemp("confident")
    data = tools.write_kidney(folder / tools.slug, {"one": SIZE})
    kit = tools.make_kit(folder / "kit", inference={"core": CORE})
    plan = ensembles.load(kit.ensemble)
    maps = []
    runner.configure(CPU)
    for member in plan.members:
        module = runner.open_member(member, kit.weights / member.weights, CPU)
        slide = data / "test" / "one.tiff"
        file = runner.run_pass(module, member, "identity", "one", slide, folder / "maps", device=CPU)
        maps.append(np.array(open_map(file)))
    first_HW, second_HW = maps
    # A threshold that random networks reach everywhere: then all blocks are the mask's, some more clearly.
    doubt = BlockDoubt(*SIZE)
    doubt.add(first_HW, first_HW >= 0.01 * 65535, unit=1 / 65535)
    below = float(np.sort(doubt.of_blocks.ravel())[9:11].mean())
    confident = doubt.of_blocks < below
    skipped = 0
    for y0 in range(0, SIZE[0], CORE):
        for x0 in range(0, SIZE[1], CORE):
            core = np.s_[y0 : y0 + CORE, x0 : x0 + CORE]
            if of_pixels(confident)[core].all():
                skipped += 1
                second_HW[core] = np.floor(of_pixels(doubt.means.astype(np.float32))[core] * 65535 + 0.5)
    mean_HW = (first_HW.astype(float) + second_HW) / 2 / 65535
    threshold = float(np.median(mean_HW)) + 2e-6
    row = rle.to_kaggle(rle.encode(mean_HW >= threshold))
    low, high = plan.rungs
    rungs = [
        replace(low, settings={"threshold": 0.01}, skip=WindowSkip(below=below, share=0.3, cv=0.5)),
        replace(high, settings={"threshold": threshold}),
    ]
    ensembles.save(folder / "ensemble.json", replace(plan, rungs=rungs))
    script = folder / "dist" / "predict.py"
    render(folder / "ensemble.json", kit.bundle, script)
    mount = tools.mount(folder / "input", kit, data)
    return SimpleNamespace(script=script, mount=mount, row=row, left=(24 - skipped) / 24)


def test_the_dearer_pass_looks_at_the_other_windows_alone_and_the_row_is_as_made_by_hand(
    made, tmp_path, tools
):
    assert 0.3 < made.left < 0.95
    outcome = tools.run(made.script, made.mount, tmp_path / "out")
    assert outcome.code == 0, outcome.text
    alarms = [problem["what"] for problem in outcome.report["problems"]]
    assert all("a mask of image one covers the whole image" in alarm for alarm in alarms), "of the first rung"
    assert outcome.csv == f"id,predicted\none,{made.row}\n"
    tasks = [task for task in outcome.report["tasks"] if task["kind"] == "pass"]
    assert [(task["index"], task.get("left")) for task in tasks] == [(0, None), (1, made.left)]
    (image,) = outcome.report["images"]
    assert (image["row"], image["stopped"], image["left"]) == ("rung 2", False, [made.left] * 2)
    assert "confident   windows of dearer passes were skipped, which saved about" in outcome.text
