"""The inference benchmark itself, on a tiny slide: all ways find the same, tables are measured and kept."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import parts, published, slide
from benchmarks.markdown import DOCS, block
from benchmarks.options import PARTS, InferenceOptions, Part
from benchmarks.slide_data import NETWORK, TISSUE, Windows, write_slide
from benchmarks.slide_published import VIEWS, encode
from kit.command_line import parse
from kit.errors import KitError
from kit.images.header import read_header
from kit.images.slide import open_slide
from kit.inference import views
from kit.local.estimate import estimate
from kit.masks import rle

PEERS_WARN = pytest.mark.filterwarnings("default")
"""monai, rasterio and zarr do, about their own code."""


def peers_of(part):
    """Skips a test where the libraries are missing that the part measures beside."""
    missing = [peer for peer in PARTS[part].peers if importlib.util.find_spec(peer) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} come with `nox -s bench -- inference`")


def options(*argv):
    return parse(argv, InferenceOptions, prog="benchmarks")


def measured(tmp_path, part):
    """Rows of the table that the command writes, as dicts, and what stands below it."""
    docs = Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))
    command = ["--part", part, "--tiny", "--rounds", "1", "--write-docs"]
    parts.run(options(*command), ["inference", *command], docs)
    written, _, how = block(docs, part).partition("\n\n")
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows], how


@PEERS_WARN
@peers_of("slide")
def test_a_slide_is_measured_beside_the_network_alone_and_the_peers(tmp_path):
    rows, how = measured(tmp_path, "slide")
    assert {key for row in rows for key in row} == set(slide.HEAD)
    assert [row["way"] for row in rows] == ["ours", slide.SKIPPING, "ours, gaussian", *slide.PEERS]
    windows = {row["way"]: int(row["windows"]) for row in rows}
    assert {windows["ours"], *(windows[peer] for peer in slide.PEERS)} == {100}
    assert windows[slide.SKIPPING] < 100
    assert all(float(row["IoU"]) > 0.9 and float(row["GB"]) > 0 for row in rows)
    assert how.startswith("`python -m benchmarks inference --part slide --tiny")


@PEERS_WARN
@peers_of("published")
def test_the_published_way_finds_the_same_under_four_views(tmp_path):
    rows, _ = measured(tmp_path, "published")
    assert {key for row in rows for key in row} == set(published.HEAD)
    assert [row["way"] for row in rows] == ["published", *slide.OURS]
    assert [int(row["windows"]) for row in rows[:2]] == [400, 400]
    assert all(float(row["IoU"]) >= slide.LEAST_IOU for row in rows)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(name, marks=[peers_of(name), *([PEERS_WARN] if part.peers else [])])
        for name, part in PARTS.items()
        if not part.sized
    ],
)
def test_every_other_table_is_measured_and_kept(part, tmp_path):
    rows, how = measured(tmp_path, part)
    assert rows
    assert all(row.values() for row in rows)
    assert how.startswith(f"`python -m benchmarks inference --part {part} --tiny")


def test_a_way_runs_in_a_process_of_its_own():
    with slide.bench(slide.SMALL_SIDE, small=True, threads=1) as found:
        for found.apart in (False, True):
            found.run("ours", "ours")
    here, apart = found.results["ours"]
    assert here.windows == apart.windows == 100
    assert 0 < apart.seconds["network"] < apart.seconds["wall"]
    assert apart.peak_bytes > 100e6


def test_different_masks_are_never_timed_against_each_other(tmp_path):
    found = slide.Bench(tmp_path, member=None, windows=slide.SMALL, side=slide.SMALL_SIDE, threads=1)
    mask_HW = np.zeros((found.side, found.side), bool)
    mask_HW[200:300, 200:300] = True
    np.save(tmp_path / "ours.npy", rle.encode(mask_HW))
    np.save(tmp_path / "same.npy", rle.encode(mask_HW))
    np.save(tmp_path / "other.npy", rle.encode(np.roll(mask_HW, 5, axis=0)))
    np.save(tmp_path / "nothing.npy", rle.empty())
    found.require_same("ours", "same")
    with pytest.raises(KitError, match=r"the masks of ours and other have an IoU of 0\.9048"):
        found.require_same("ours", "other")
    with pytest.raises(KitError, match="must not be empty"):
        found.require_same("nothing", "nothing")


def test_masks_are_compared_where_no_window_reaches_beyond_the_slide(tmp_path):
    found = slide.Bench(tmp_path, member=None, windows=slide.SMALL, side=slide.SMALL_SIDE, threads=1)
    inner_HW = np.zeros((found.side, found.side), bool)
    inner_HW[200:300, 200:300] = True
    border_HW = inner_HW.copy()
    border_HW[:, :5] = True
    np.save(tmp_path / "inner.npy", rle.encode(inner_HW))
    np.save(tmp_path / "border.npy", rle.encode(border_HW))
    assert found.iou("inner", "border") == 1.0


def test_the_slide_is_raw_and_planar_with_islands_of_tissue_away_from_the_border(tmp_path):
    write_slide(tmp_path / "slide.tiff", 600)
    header = read_header(tmp_path / "slide.tiff")
    assert (header.height, header.width, header.layout, header.compression) == (600, 600, "planar", "none")
    with open_slide(tmp_path / "slide.tiff") as opened:
        image_HWC = opened.read_band(0, 600)
    glass_HW = image_HWC.min(axis=2) >= 238
    assert abs((1 - glass_HW.mean()) - TISSUE) < 0.05
    assert all(edge.all() for edge in (glass_HW[:2], glass_HW[-2:], glass_HW[:, :2], glass_HW[:, -2:]))


def test_the_documents_say_how_much_work_the_network_is():
    side = Windows().input_side
    gflops = [
        estimate(config, side, side).forward_flops / side**2 / 1e3
        for config in (NETWORK, {"network": NETWORK["network"]})
    ]
    assert f"{gflops[0]:.0f} GFLOP a megapixel of its input" in (DOCS / "benchmarks.md").read_text()
    assert round(gflops[1] / gflops[0]) == 9  # "a ninth of the published one's"


@pytest.mark.parametrize("name", VIEWS)
def test_the_published_views_are_the_engines(name):
    x_NCHW = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    apply, invert = VIEWS[name]
    assert torch.equal(apply(x_NCHW), views.apply(name, x_NCHW))
    assert torch.equal(invert(apply(x_NCHW)), x_NCHW)


def test_the_published_run_lengths_are_ours():
    mask_HW = np.random.default_rng(0).random((7, 5)) < 0.5
    assert encode(mask_HW) == rle.to_kaggle(rle.encode(mask_HW))


def test_a_missing_peer_is_named_with_the_file_that_has_it(monkeypatch):
    monkeypatch.setitem(PARTS, "slide", Part("slide", 1, ("no_such_library",)))
    with pytest.raises(KitError, match="compares with no_such_library, which is not installed") as missing:
        parts.run(options("--part", "slide", "--tiny"), [])
    assert "requirements-bench.txt" in str(missing.value.fix)


def test_a_slide_that_the_disk_cannot_hold_is_refused_before_it_is_made():
    with pytest.raises(KitError, match="GB are free"), slide.bench(30_000_000, small=True, threads=1):
        raise AssertionError("was made")


@pytest.mark.parametrize(("side", "small", "least"), [(285, True, 288), (4605, False, 4608)])
def test_a_slide_without_a_core_that_can_be_compared_is_refused(side, small, least):
    with pytest.raises(KitError, match="too small to compare masks") as refused:
        slide.bench(side, small=small, threads=1).__enter__()
    assert str(least) in str(refused.value.fix)


@pytest.mark.parametrize(("option", "value"), [("--size", "100"), ("--size", "1000"), ("--rounds", "0")])
def test_sizes_and_rounds_that_cannot_be_are_refused(option, value, capsys):
    with pytest.raises(SystemExit):
        options(option, value)
    assert option in capsys.readouterr().err
