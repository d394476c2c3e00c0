"""Tiles of an instance competition as nobody expects them, through the golden detectors' predict.py."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.competitions import get
from kit.local.competitions import submission_files
from kit.local.offline.kaggle_shape import mount
from submission.render import render
from tests.golden.comparison import weights_dataset

GOLDEN = Path(__file__).parent.parent / "golden" / "vasculature"
VASCULATURE = get("vasculature")
ODD = {"dot": (1, 1), "line": (1, 100_000), "column": (3000, 2)}
BAD = ("absent", "floats", "empty", "grey")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, tools):
    """One golden tile among odd and bad ones."""
    folder = tmp_path_factory.mktemp("tiles")
    data, random = folder / VASCULATURE.slug, np.random.default_rng(5)
    (data / "test").mkdir(parents=True)
    tile = min((GOLDEN / "data" / "test").iterdir())
    (data / "test" / tile.name).write_bytes(tile.read_bytes())
    for name, size in ODD.items():
        image_HWC = random.integers(60, 220, (*size, 3)).astype(np.uint8)
        tifffile.imwrite(data / "test" / f"{name}.tif", image_HWC, photometric="rgb")
    grey_HW = random.integers(0, 255, (64, 64)).astype(np.uint8)
    tifffile.imwrite(data / "test" / "grey.tif", grey_HW, photometric="minisblack")
    floats_HWC = np.repeat(grey_HW[..., None], 3, axis=2).astype(np.float32)
    tifffile.imwrite(data / "test" / "floats.tif", floats_HWC, photometric="rgb")
    (data / "test" / "empty.tif").write_bytes(b"")
    header, rows = ",".join(VASCULATURE.columns), [tile.stem, *ODD, *BAD, "dot"]
    (data / "sample_submission.csv").write_text(header + "\n" + "".join(f"{row},512,512,\n" for row in rows))
    bundle = folder / "bundle"
    dataset = weights_dataset(GOLDEN / "ensemble.json", bundle)
    script = render(GOLDEN / "ensemble.json", bundle, folder / "predict.py").script
    mount(folder / "input", data, [dataset], VASCULATURE)
    return tile.stem, tools.run(script, folder / "input", folder / "out", "--workers", "1")


def test_odd_tiles_get_rows_and_bad_ones_a_reason(hostile):
    good, outcome = hostile
    assert outcome.code == 0, outcome.text
    report = {image["id"]: image for image in outcome.report["images"]}
    last = f"rung {len(outcome.report['rungs'])}"
    assert all(report[name]["row"] == last for name in (good, *ODD))
    assert all(report[name]["row"] == "fallback" and report[name]["reason"] for name in BAD)
    assert "Traceback" not in outcome.text
    assert any(
        "listed twice or more" in problem["what"] and "dot" in problem["what"]
        for problem in outcome.report["problems"]
    )


def test_the_good_tile_s_row_is_the_golden_one_and_the_file_is_valid(hostile):
    good, outcome = hostile
    sizes = {image["id"]: (image["height"], image["width"]) for image in outcome.report["images"]}
    submission = outcome.output / "submission.csv"
    found = VASCULATURE.validate(submission, list(sizes), sizes)
    assert found.ok, found.findings
    ours = submission_files.read(VASCULATURE, submission, sizes)[good]
    golden = submission_files.read(VASCULATURE, GOLDEN / "expected.csv", {})[good]
    assert len(ours.masks) == len(golden.masks)
    assert np.abs(ours.scores - golden.scores).max() < 1e-4
