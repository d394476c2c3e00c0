"""The rendered predict.py on scratch disks of a few megabytes."""

import shutil
import subprocess
import sys

import pytest

from kit.competitions import get
from kit.masks import rle
from submission.runtime.output import image_sizes

KIDNEY = get("kidney")


def in_namespace(*command: str) -> subprocess.CompletedProcess:
    """Run a command where mounts may be made that end with it."""
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )


pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None or in_namespace("true").returncode != 0,
    reason="this machine allows no mount namespaces",
)


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tools):
    """Three members, three rungs."""
    return tools.make_kit(tmp_path_factory.mktemp("kit"), members=3)


def masks(data, submission):
    sizes, _ = image_sizes(KIDNEY, data, KIDNEY.test_ids(data))
    return KIDNEY.parse(submission, sizes)


def run_on(scratch_bytes: int, kit, root, folder) -> subprocess.CompletedProcess:
    """Run predict.py with a scratch disk of that size."""
    for name in ("out", "scratch"):
        (folder / name).mkdir()
    setup = f'mount -t tmpfs -o size={scratch_bytes} none "$0"; TMPDIR="$0" exec "$@"'
    options = ["--input", str(root), "--output", str(folder / "out"), "--device", "cpu", "--budget", "120"]
    command = [sys.executable, str(kit.script), *options, "--workers", "1"]
    return in_namespace("sh", "-c", setup, str(folder / "scratch"), *command)


def test_a_ladder_that_does_not_fit_is_folded_to_the_same_masks(kit, tmp_path, tools):
    data = tools.write_kidney(tmp_path / "data" / tools.slug, dict.fromkeys(("a", "b"), (1000, 1000)))
    root = tools.mount(tmp_path / "input", kit, data)
    plain = tools.run(kit.script, root, tmp_path / "plain", "--workers", "1")
    assert plain.code == 0, plain.text
    assert plain.report["folded"] is False
    done = run_on(16 << 20, kit, root, tmp_path)  # three passes leave 12 MB, with running means 10 at most
    assert done.returncode == 0, done.stdout
    folded = tools.report_of(tmp_path / "out")
    assert folded["folded"] is True
    assert [task["kind"] for task in folded["tasks"]].count("fold") == 4
    assert [rung["state"] for rung in folded["rungs"]] == ["done"] * 3
    assert folded["problems"] == plain.report["problems"]
    ours, theirs = (
        masks(data, tmp_path / "out" / "submission.csv"),
        masks(data, plain.output / "submission.csv"),
    )
    for image_id in ("a", "b"):
        common = rle.intersection(ours[image_id].runs, theirs[image_id].runs)
        union = rle.area(ours[image_id].runs) + rle.area(theirs[image_id].runs) - common
        assert common / union > 0.999, image_id


def test_what_has_no_room_is_told_and_the_rest_is_predicted(kit, tmp_path, tools):
    data = tools.write_kidney(tmp_path / "data" / tools.slug, {"large": (1500, 1500), "small": (300, 300)})
    root = tools.mount(tmp_path / "input", kit, data)
    done = run_on(3 << 20, kit, root, tmp_path)
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
