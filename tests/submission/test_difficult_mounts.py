"""The rendered predict.py on mounts that return little at a time, fail once, or map no files."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tifffile


@pytest.fixture
def run_on(kit_of_two, mount, difficult_mount, tmp_path):
    """Run it while a folder of the mount is difficult."""

    def run(folder: Path, trouble: dict[str, int]) -> str:
        options = ["--device", "cpu", "--budget", "600", "--workers", "1"]
        done = subprocess.run(
            [sys.executable, kit_of_two.script, "--input", mount, "--output", tmp_path / "out", *options],
            env=difficult_mount(folder, **trouble),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert [rung["state"] for rung in report["rungs"]] == ["done", "done"]
        assert report["problems"] == []
        return (tmp_path / "out" / "submission.csv").read_text()

    return run


@pytest.mark.parametrize(
    "trouble",
    [{"bytes": 65536}, {"bytes": 1021, "faults": 1}, {"no_maps": 1, "faults": 1}],
    ids=["64 KiB a read", "few bytes and faults", "no maps"],
)
def test_the_result_does_not_depend_on_how_a_mount_reads(mount, good_run, run_on, trouble):
    assert run_on(mount, trouble) == good_run.csv


def test_a_fault_that_passes_costs_no_compressed_slide(mount, run_on):
    for slide in (mount / "competitions").rglob("test/*.tiff"):
        pixels_HWC = tifffile.imread(slide)
        tifffile.imwrite(slide, pixels_HWC, tile=(64, 64), photometric="ycbcr", compression="jpeg")
    trouble = {"bytes": 1021, "faults": 1}
    assert run_on(mount / "competitions", trouble).startswith("id,predicted\naaa,")


def test_ours_is_found_beside_thousands_of_others_and_links_in_circles(mount, good_run, run_on):
    """And without its manifest, one file renamed, one in an archive that lies in an archive."""
    kit = next((mount / "datasets").rglob("manifest.json")).parent
    (kit / "manifest.json").unlink()
    (kit / "member0.safetensors").rename(kit / "blob-001")
    with zipfile.ZipFile(kit / "weights.zip", "w") as inner:
        inner.write(kit / "member1.safetensors", "member1.safetensors")
    with zipfile.ZipFile(kit / "upload.zip", "w") as outer:
        outer.write(kit / "weights.zip", "kit/weights.zip")
    (kit / "weights.zip").unlink()
    (kit / "member1.safetensors").unlink()
    (kit / "itself").symlink_to(kit)
    foreign = mount / "datasets" / "a" / "frames"
    foreign.mkdir(parents=True)
    for number in range(6_000):
        (foreign / f"{number}.csv").touch()
    assert run_on(mount, {}) == good_run.csv
