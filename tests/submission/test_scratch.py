"""The rendered predict.py on scratch disks of a few megabytes."""

import sys
from pathlib import Path

import pytest

from kit.competitions import get
from kit.local.competitions import submission_files
from kit.masks import rle
from submission.runtime.result.submission_file import image_sizes
from tests.submission.hold import START, Hold

KIDNEY = get("kidney")


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tools):
    """Three members, three rungs."""
    return tools.make_kit(tmp_path_factory.mktemp("kit"), members=3)


def masks(data, submission):
    sizes, _ = image_sizes(KIDNEY, data, KIDNEY.test_ids(data))
    return submission_files.read(KIDNEY, submission, sizes)


def only_disk(scratch: Path, size: int, output: Path) -> str:
    """Shell lines that leave this one disk for temporary files; all others are full or cannot be written."""
    return f"""mount --bind {output} /mnt
        for place in /var/tmp /dev/shm; do mount -t tmpfs -o size=64k none $place; done
        mount --bind /tmp /tmp; mount -o remount,ro,bind /tmp
        mount -t tmpfs -o size=512k none {output}; mount -t tmpfs -o size={size} none {scratch}
        export TMPDIR={scratch}"""


def command_and_copy(output: Path, *command: str) -> list[str]:
    """A command whose output folder lies on a disk that ends with the namespace."""
    line = f'"$@"; code=$?; cp {output}/*.* /mnt; ls -A {output} > /mnt/left; exit $code'
    return ["sh", "-c", line, "sh", *command]


@pytest.fixture
def run_on(in_namespace, kit, tmp_path):
    """Run predict.py with a scratch disk of this many bytes."""

    def run(scratch_bytes: int, root: Path):
        for name in ("out", "scratch"):
            (tmp_path / name).mkdir()
        scratch = tmp_path / "scratch"
        setup = only_disk(scratch, scratch_bytes, tmp_path / "out")
        options = ["--input", str(root), "--output", str(tmp_path / "out"), "--device", "cpu"]
        command = [sys.executable, str(kit.script), *options, "--budget", "600", "--workers", "1"]
        return in_namespace(setup, *command_and_copy(tmp_path / "out", *command))

    return run


def test_a_ladder_that_does_not_fit_uses_running_means_and_gives_the_same_masks(kit, run_on, tmp_path, tools):
    data = tools.write_kidney(tmp_path / "data" / tools.slug, dict.fromkeys(("a", "b"), (1000, 1000)))
    root = tools.mount(tmp_path / "input", kit, data)
    plain = tools.run(kit.script, root, tmp_path / "plain", "--workers", "1")
    assert plain.code == 0, plain.text
    assert plain.report["running_means"] is False
    done = run_on(16 << 20, root)  # three passes leave 12 MB, with running means 10 at most
    assert done.returncode == 0, done.stdout
    averaged = tools.report_of(tmp_path / "out")
    assert averaged["running_means"] is True
    assert [task["kind"] for task in averaged["tasks"]].count("running mean") == 4
    assert [rung["state"] for rung in averaged["rungs"]] == ["done"] * 3
    (about_the_disk,) = (item for item in averaged["problems"] if item not in plain.report["problems"])
    assert "TMPDIR" in about_the_disk["what"]
    ours, theirs = (
        masks(data, tmp_path / "out" / "submission.csv"),
        masks(data, plain.output / "submission.csv"),
    )
    for image_id in ("a", "b"):
        common = rle.intersection(ours[image_id].runs, theirs[image_id].runs)
        union = rle.area(ours[image_id].runs) + rle.area(theirs[image_id].runs) - common
        assert common / union > 0.999, image_id


def test_a_disk_that_somebody_else_fills_costs_rows_and_the_reason_is_told(
    kit, in_namespace, tmp_path, tools
):
    data = tools.write_kidney(tmp_path / "data" / tools.slug, dict.fromkeys(("a", "b"), (1000, 1000)))
    root = tools.mount(tmp_path / "input", kit, data)
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    output.mkdir()
    hold = Hold(tmp_path / "hold", START)
    setup = f"""{only_disk(scratch, 32 << 20, output)}
        mount --bind {hold.folder} {hold.folder}; mount -o remount,rw,bind {hold.folder}
        export PYTHONPATH={hold.folder}
        (until ls {hold.folder}/held; do sleep 0.01; done; cat /dev/zero > {scratch}/theirs
        touch {hold.folder}/go) > /dev/null 2>&1 & :"""
    options = ["--input", str(root), "--output", str(output), "--device", "cpu", "--budget", "600"]
    command = [sys.executable, str(kit.script), *options, "--workers", "1"]
    done = in_namespace(setup, *command_and_copy(output, *command))
    assert done.returncode == 2, done.stdout
    assert (output / "submission.csv").read_text() == "id,predicted\na,\nb,\n"
    assert "submission.csv holds the fallback: image a: needs 0.002 GB of scratch space, 0" in done.stdout
    assert all(image["reason"] for image in tools.report_of(output)["images"])
    assert "Traceback" not in done.stdout


def test_what_has_no_room_is_told_and_the_rest_is_predicted(kit, run_on, tmp_path, tools):
    data = tools.write_kidney(tmp_path / "data" / tools.slug, {"large": (1500, 1500), "small": (300, 300)})
    root = tools.mount(tmp_path / "input", kit, data)
    done = run_on(3 << 20, root)
    assert done.returncode == 0, done.stdout
    report = tools.report_of(tmp_path / "out")
    rows = {image["id"]: image["row"] for image in report["images"]}
    assert rows == {"large": "fallback", "small": "rung 1"}
    assert [rung["state"] for rung in report["rungs"]] == ["done", "no room", "not begun"]
    (told,) = [problem["what"] for problem in report["problems"] if problem.get("stage") == "disk"]
    assert told.startswith("pass 1, image large: needs 0.0045 GB of scratch space, 0.00")
    reasons = {image["id"]: image["reason"] for image in report["images"]}
    assert reasons == {"large": told.split("; ")[0].removeprefix("pass 1, image large: "), "small": None}
    assert "not begun   rung 2: needs 0.0" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("kaggle", [True, False], ids=["kaggle", "elsewhere"])
def test_a_small_temporary_disk_beside_an_empty_one_costs_nothing(kit, in_namespace, tmp_path, tools, kaggle):
    """The output folder has room: it is used, that is told, and nothing is left behind in it."""
    data = tools.write_kidney(tmp_path / "data" / tools.slug, {"a": (200, 280)})
    root = tools.mount(tmp_path / "input", kit, data)
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    output.mkdir()
    setup = f"""{only_disk(scratch, 1 << 20, output)}; mount -t tmpfs -o size=600m none {output}
        export KAGGLE_KERNEL_RUN_TYPE={"Batch" if kaggle else "Interactive"}"""
    options = ["--input", str(root), "--output", str(output), "--device", "cpu", "--budget", "600"]
    command = [sys.executable, str(kit.script), *options, "--workers", "1"]
    done = in_namespace(setup, *command_and_copy(output, *command))
    assert done.returncode == 0, done.stdout
    assert f"temporary files go to {output} (0.6" in done.stdout
    assert [rung["state"] for rung in tools.report_of(output)["rungs"]] == ["done"] * 3
    assert (output / "left").read_text().split() == ["report.json", "submission.csv"]
