"""The rendered predict.py in its own processes: what it writes, and what it tells when things are wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import tifffile

from kit import ensemble as ensembles
from kit.ensemble import EarlyStop
from submission.render import render
from tests.submission.hold import Hold

FALLBACK = "id,predicted\naaa,\nbbb,\n"


def test_all_rungs_are_done_and_every_image_has_its_row(good_run):
    assert [line.split(",")[0] for line in good_run.csv.splitlines()] == ["id", "aaa", "bbb"]
    assert all(line.split(",")[1] for line in good_run.csv.splitlines())
    assert sorted(path.name for path in good_run.output.iterdir()) == ["report.json", "submission.csv"]
    assert "rungs       2 of 2 done, the best is 2" in good_run.text
    assert "2 of 2 rows predicted" in good_run.text


def test_the_report_tells_what_happened_when(good_run):
    report = good_run.report
    seconds = {event["name"]: event["seconds"] for event in reversed(report["events"])}
    order = ["start", "fallback", "installed", "first_forward", "rung", "end"]
    assert [seconds[name] for name in order] == sorted(seconds[name] for name in order)
    assert [(rung["state"], rung["passes"]) for rung in report["rungs"]] == [("done", [0]), ("done", [0, 1])]
    assert [item["images"] for item in report["passes"]] == [2, 2]
    assert all(item["seconds_per_megapixel"] > 0 for item in report["passes"])
    assert 0 < report["forward_seconds"] < report["wall_seconds"]
    assert [image["row"] for image in report["images"]] == ["rung 2", "rung 2"]
    assert {choice["name"] for choice in report["install"]["choices"]} >= {"torch", "timm", "tifffile"}
    assert report["problems"] == []
    assert report["exit_code"] == 0


def test_each_worker_imports_once_and_loads_no_member_twice_in_a_row(good_run):
    by_worker = {}
    for task in good_run.report["tasks"]:
        if task["kind"] == "pass":
            by_worker.setdefault(task["worker"], []).append(task)
    assert by_worker
    for tasks in by_worker.values():
        assert [("imports" in task) for task in tasks] == [True, *[False] * (len(tasks) - 1)]
        members = [task["index"] for task in tasks]  # each member has one pass
        changes = [before != after for before, after in zip([None, *members], members, strict=False)]
        assert [("load" in task) for task in tasks] == changes


def test_one_worker_other_batches_another_name_a_lost_manifest_and_a_pipe_change_no_byte(
    good_run, kit_of_two, competition, tmp_path, tools
):
    folder = tmp_path / "input" / "somebody-elses-name"
    shutil.copytree(kit_of_two.weights, folder / "versions" / "7")
    (folder / "versions" / "7" / "manifest.json").unlink()
    (folder / "versions" / "7" / "member0.safetensors").rename(folder / "renamed by hand.bin")
    shutil.copytree(competition, tmp_path / "input" / competition.name)
    outcome = tools.run("-", tmp_path / "input", tmp_path / "out", "--workers", "1", stdin=kit_of_two.script)
    assert outcome.code == 0, outcome.text
    assert outcome.csv == good_run.csv
    how = {item["member"]: item["how"] for item in outcome.report["weights"]}
    assert how == {"member0": "renamed", "member1": "as is"}
    assert (
        "no folder carries the manifest of hubmap-kit-kidney-weights: looking for its files by content"
        in outcome.text
    )


def test_a_notebook_cell_outlives_the_run_and_may_run_it_again(mount, kit_of_two, good_run, tmp_path):
    (tmp_path / "out").mkdir()
    cells = f"""
import builtins, signal, sys
builtins.get_ipython = lambda: None  # what a kernel's cells find
before = signal.getsignal(signal.SIGINT)
sys.argv = {arguments(kit_of_two, mount, tmp_path / "out")[1:]!r}
source = open(sys.argv[0]).read()
for _ in range(2):
    exec(source, {{"__name__": "__main__", "__file__": sys.argv[0]}})  # as %run does
assert signal.getsignal(signal.SIGINT) is before
print("the next cell")
"""
    done = subprocess.run([sys.executable, "-c", cells], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("the next cell\n")
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[:-100])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "truncated", "damaged"])
def test_without_any_whole_weights_the_fallback_stays_and_the_file_is_named(
    mount, kit_of_two, tmp_path, tools, how
):
    for path in mount.rglob("*.safetensors"):
        damage(path, how)
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out")
    assert outcome.code == 2
    assert outcome.csv == FALLBACK
    assert f"member0.safetensors is {how}: expected" in outcome.text
    assert "bytes, sha256" in outcome.text
    assert "so:    member member0 is dropped" in outcome.text
    assert "nothing was predicted; submission.csv holds the fallback: member" in outcome.text


def test_one_damaged_member_is_dropped_and_the_others_predict(mount, kit_of_two, good_run, tmp_path, tools):
    damage(next(mount.rglob("member1.safetensors")), "damaged")
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out")
    assert outcome.code == 0, outcome.text
    assert "dropped     member1: member1.safetensors is damaged" in outcome.text
    assert outcome.report["rungs"][0]["state"] == "done"
    assert outcome.csv not in {FALLBACK, good_run.csv}


def test_unreadable_images_get_the_fallback_row_and_the_others_are_predicted(
    mount, kit_of_two, good_run, tmp_path, tools
):
    data = next((mount / "competitions").iterdir())
    (data / "test" / "headless.tiff").write_bytes(b"not a TIFF at all")
    whole = tifffile.imread(data / "test" / "aaa.tiff")
    torn = data / "test" / "torn.tiff"
    tifffile.imwrite(torn, whole, photometric="rgb", compression="deflate", rowsperstrip=32)
    with tifffile.TiffFile(torn) as tiff:
        start, count = tiff.pages[0].dataoffsets[2], tiff.pages[0].databytecounts[2]
    blob = bytearray(torn.read_bytes())
    blob[start : start + count] = b"\xff" * count
    torn.write_bytes(blob)
    listing = data / "sample_submission.csv"
    listing.write_text(listing.read_text() + "headless,\ntorn,\n")
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out")
    assert outcome.code == 0, outcome.text
    assert outcome.csv == good_run.csv + "headless,\ntorn,\n"
    rows = {image["id"]: image for image in outcome.report["images"]}
    assert rows["aaa"]["row"] == rows["bbb"]["row"] == "rung 2"
    assert rows["headless"]["row"] == rows["torn"]["row"] == "fallback"
    assert "fallback    image headless: " in outcome.text
    assert "fallback    image torn: " in outcome.text
    assert "2 of 4 rows predicted" in outcome.text


def test_missing_competition_data_is_told(kit_of_two, tmp_path, tools):
    (tmp_path / "input" / "datasets").mkdir(parents=True)
    outcome = tools.run(kit_of_two.script, tmp_path / "input", tmp_path / "out")
    assert outcome.code == 2
    assert (
        "error: the data of hubmap-kidney-segmentation is not among the inputs; found: datasets"
        in outcome.text
    )


def test_data_of_another_competition_is_told(kit_of_two, tmp_path, tools):
    other = tmp_path / "input" / "competitions" / "hubmap-hacking-the-human-vasculature"
    other.mkdir(parents=True)
    (other / "sample_submission.csv").write_text("id,height,width,prediction_string\n")
    outcome = tools.run(kit_of_two.script, tmp_path / "input", tmp_path / "out")
    assert outcome.code == 2
    assert "this folder is not the data of competition hubmap-kidney-segmentation" in outcome.text
    assert "predict.py was rendered for hubmap-kidney-segmentation" in outcome.text


def arguments(kit, root: Path, output: Path, *more: str) -> list[str]:
    named = ["--input", str(root), "--output", str(output), "--device", "cpu", "--budget", "600", *more]
    return [sys.executable, str(kit.script), *named]


@pytest.mark.parametrize(
    "case",
    [
        ("mount --bind {0} {0} && mount -o remount,bind,ro {0}", "Read-only file system"),
        (
            "mount -t tmpfs -o size=4k none {0} && head -c 4096 /dev/zero > {0}/theirs",
            "No space left on device",
        ),
    ],
)
def test_a_read_only_or_full_output_folder_is_told(mount, kit_of_two, tmp_path, in_namespace, case):
    setup, told = case
    output = tmp_path / "out"
    output.mkdir()
    done = in_namespace(setup.format(output), *arguments(kit_of_two, mount, output))
    assert done.returncode == 2
    assert f"error: cannot write submission.csv: {told}" in done.stdout
    assert f"where: {output}" in done.stdout
    assert "free space on that disk or choose a writable folder" in done.stdout


def test_when_the_disk_fills_up_later_the_old_valid_file_stays(mount, kit_of_two, tmp_path, in_namespace):
    output = tmp_path / "out"
    output.mkdir()
    data = next((mount / "competitions").iterdir())
    (data / "sample_submission.csv").write_text("id,predicted\naaa,\n")
    setup = f'mount -t tmpfs -o size=4k none {output}; "$@"; code=$?; cat {output}/submission.csv; exit $code'
    done = in_namespace(setup, *arguments(kit_of_two, mount, output))
    assert done.returncode == 2
    assert done.stdout.endswith("id,predicted\naaa,\n")
    assert "PROBLEM: cannot write submission.csv: No space left on device" in done.stdout
    assert "what was there before is unchanged" in done.stdout


def test_explain_prints_the_plan_and_runs_nothing(mount, kit_of_two, tmp_path, tools):
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", "--explain")
    assert outcome.code == 0
    assert list(outcome.output.iterdir()) == []
    assert "2 test images, 0.1 megapixels" in outcome.text
    assert f"{mount / 'datasets' / 'someone' / 'hubmap-kit-kidney-weights'}" in outcome.text
    assert "package      timm: keep the image's" in outcome.text
    assert "rung 2       passes 1-2, cross-validation 0.5100" in outcome.text


def test_explain_says_that_a_gpu_is_asked_for_and_none_is_there(
    mount, kit_of_two, tmp_path, tools, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", "--explain", "--device", "cuda")
    assert outcome.code == 0
    assert "device       no GPU is visible" in outcome.text
    assert "workers" not in outcome.text


@pytest.mark.parametrize("budget", ["0.01", "1"])
def test_a_budget_of_no_use_leaves_the_fallback_and_says_so(mount, kit_of_two, tmp_path, tools, budget):
    (tmp_path / "out").mkdir()
    of_killed_runs = [tmp_path / "out" / f".{name}.0f.tmp" for name in ("report.json", "submission.csv")]
    for path in of_killed_runs:
        path.write_text("")
        os.utime(path, (0, 0))
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", "--budget", budget)
    assert outcome.code == 2, outcome.text
    assert outcome.csv == "id,predicted\naaa,\nbbb,\n"
    assert not any(path.exists() for path in of_killed_runs)
    assert "raise --budget" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_rung_that_nobody_could_score_is_unknown(mount, kit_of_two, tmp_path, tools):
    plan = json.loads(kit_of_two.ensemble.read_text())
    for rung in plan["rungs"]:
        rung["cv"] = None
    unscored, script = tmp_path / "ensemble.json", tmp_path / "predict.py"
    unscored.write_text(json.dumps(plan))
    render(unscored, kit_of_two.bundle, script)
    assert "rung 2: 2 of 2 passes (1-2), cv unknown" in script.read_text()
    outcome = tools.run(script, mount, tmp_path / "out", "--explain")
    assert outcome.code == 0
    assert "rung 2       passes 1-2, cross-validation unknown" in outcome.text


@pytest.mark.parametrize(
    "case",
    [
        ("--budget -1", "--budget: '-1' cannot be used: it is -1.0; it has to be above 0"),
        ("--budget nan", "--budget: 'nan' cannot be used: it is nan, not a finite number"),
        ("--budget 1e12", "it has to be above 0 and at most 2592000"),
        ("--stall soon", "--stall: 'soon' is not a number"),
        ("--workers 0", "--workers: '0' cannot be used: it is 0; it has to be at least 1"),
        ("--workers -1", "it has to be at least 1"),
        ("--batch-size 0", "--batch-size: '0' cannot be used"),
        ("--batch-size 1.5", "--batch-size: '1.5' is not an integer"),
        ("--device tpu", "device is 'tpu'"),
        ("--frobnicate 3", "unrecognized arguments: --frobnicate 3"),
    ],
)
def test_impossible_options_are_refused(mount, kit_of_two, tmp_path, tools, case):
    option, told = case
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", *option.split())
    assert outcome.code == 2
    assert told in outcome.text
    assert list(outcome.output.iterdir()) == []


class Disturbed:
    """A run whose only worker is held, mostly as it opens the last of three images for the first time."""

    def __init__(
        self, kit, root: Path, folder: Path, *more: str, place: str = "c.tiff", stops: bool = False
    ) -> None:
        folder.mkdir()
        self.output, self.scratch = folder / "out", folder / "scratch"
        self.output.mkdir()
        self.scratch.mkdir()
        self.hold = Hold(folder / "hold", place, stops=stops)
        self.process = subprocess.Popen(
            arguments(kit, root, self.output, "--workers", "1", *more),
            env={**self.hold.environment, "TMPDIR": str(self.scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def held_worker(self) -> int:
        return self.hold.wait(self.process)

    def end(self) -> str:
        text, _ = self.process.communicate(timeout=1200)
        return text


@pytest.fixture
def mount_of_three(tmp_path, kit_of_two, tools):
    data = tools.write_kidney(tmp_path / "three" / tools.slug, dict.fromkeys(("a", "b", "c"), (200, 280)))
    return tools.mount(tmp_path / "input", kit_of_two, data)


def test_a_rung_that_seemed_far_too_long_is_begun_and_done(mount, kit_of_two, good_run, tmp_path, tools):
    plan = ensembles.load(kit_of_two.ensemble)
    # The first pass tells how fast this machine is; by that, the second takes many times the budget.
    passes = [replace(plan.passes[n], seconds_per_megapixel=cost) for n, cost in ((0, 0.01), (1, 3e4))]
    ensembles.save(tmp_path / "ensemble.json", replace(plan, passes=passes))
    script = tmp_path / "predict.py"
    render(tmp_path / "ensemble.json", kit_of_two.bundle, script)
    outcome = tools.run(script, mount, tmp_path / "out", "--workers", "1")
    assert outcome.code == 0, outcome.text
    second = outcome.report["rungs"][1]
    assert (second["state"], second["chance"]) == ("done", 0.0)
    assert second["predicted_seconds"] > 600
    assert "s left, 0 % likely to be done in time" in outcome.text
    assert outcome.csv == good_run.csv


def test_images_that_an_unfinished_rung_has_done_have_its_rows(mount_of_three, kit_of_two, tmp_path, tools):
    calm = tools.run(kit_of_two.script, mount_of_three, tmp_path / "calm")
    for budget in ("20", "60", "240"):  # a busy machine needs longer for the first rows
        limits = ("--budget", budget, "--stall", "3600")
        place = "*/passes/member1-*/identity/c.npy"
        run = Disturbed(kit_of_two, mount_of_three, tmp_path / budget, *limits, place=place)
        text = run.end()
        if run.hold.reached:
            break
    assert run.process.returncode == 0, text
    report = json.loads((run.output / "report.json").read_text())
    rows = {image["id"]: image["row"] for image in report["images"]}
    assert rows["c"] == "rung 1"
    assert "rung 2" in rows.values()
    assert [rung["state"] for rung in report["rungs"]] == ["done", "incomplete"]
    assert "part of rung 2" in text
    assert "rungs       1 of 2 done, the best is 1" in text
    mixed, full = ((run.output / "submission.csv").read_text().splitlines(), calm.csv.splitlines())
    same = {line.split(",")[0] for line in mixed if line in full}
    assert same >= {"id", *(image for image, row in rows.items() if row == "rung 2")}


def test_a_stopped_worker_does_not_hold_the_deadline_and_finished_rows_are_kept(
    mount_of_three, kit_of_two, tmp_path
):
    for budget in ("40", "240"):  # a busy machine needs longer for the first rows
        limits = ("--budget", budget, "--stall", "3600")
        run = Disturbed(kit_of_two, mount_of_three, tmp_path / budget, *limits, stops=True)
        text = run.end()
        if run.hold.reached:
            break
    worker = run.held_worker()
    assert run.process.returncode == 0, text
    assert "time is up" in text
    assert "part of rung 1" in text
    rows = dict(line.split(",") for line in (run.output / "submission.csv").read_text().splitlines()[1:])
    assert sorted(rows) == ["a", "b", "c"]
    assert 1 <= sum(bool(row) for row in rows.values()) < 3
    assert not Path(f"/proc/{worker}").exists(), "the stopped worker outlived the run"


def test_a_stopped_worker_is_replaced_when_it_gave_no_sign_of_life_for_long(
    mount_of_three, kit_of_two, tmp_path
):
    run = Disturbed(kit_of_two, mount_of_three, tmp_path / "run", "--stall", "5", stops=True)
    text = run.end()
    assert run.process.returncode == 0, text
    assert "no sign of life for 5 s; image " in text
    assert "is tried again with a batch of one" in text
    assert "rungs       2 of 2 done, the best is 2" in text


def test_a_killed_worker_is_replaced_and_the_result_is_the_same(mount_of_three, kit_of_two, tmp_path, tools):
    run = Disturbed(kit_of_two, mount_of_three, tmp_path / "run")
    worker = run.held_worker()
    begun = [
        folder / f".{image}.npy.begun.tmp"
        for folder in run.scratch.glob("predict-*/passes/*/*")
        for image in ("a", "b", "c")
    ]
    for file in begun:
        file.touch()
    os.kill(worker, signal.SIGKILL)
    while all(file.exists() for file in begun):
        time.sleep(0.005)
    assert sum(not file.exists() for file in begun) == 1, "what the dead worker left takes room"
    text = run.end()
    assert run.process.returncode == 0, text
    assert "worker ended with code -9" in text
    assert "is tried again with a batch of one" in text
    undisturbed = tools.run(kit_of_two.script, mount_of_three, tmp_path / "calm")
    assert (run.output / "submission.csv").read_text() == undisturbed.csv


def test_a_signal_to_the_supervisor_keeps_what_is_finished_and_leaves_no_process(
    mount_of_three, kit_of_two, tmp_path
):
    run = Disturbed(kit_of_two, mount_of_three, tmp_path / "run")
    worker = run.held_worker()
    run.process.terminate()
    text = run.end()
    assert run.process.returncode == 0, text
    assert "stopped by a signal" in text
    assert "part of rung 1" in text
    assert not Path(f"/proc/{worker}").exists()
    assert list(run.scratch.iterdir()) == []


def test_a_killed_supervisor_takes_its_workers_along(mount_of_three, kit_of_two, tmp_path):
    run = Disturbed(kit_of_two, mount_of_three, tmp_path / "run")
    worker = run.held_worker()
    run.process.kill()
    run.end()
    while Path(f"/proc/{worker}").exists():
        time.sleep(0.01)
    assert (run.output / "submission.csv").read_text() == "id,predicted\na,\nb,\nc,\n"
    report = json.loads((run.output / "report.json").read_text())
    assert [event["name"] for event in report["events"]][:2] == ["start", "fallback"]


def test_half_a_line_of_a_start_up_hook_does_not_swallow_a_workers_first_message(
    mount, kit_of_two, tools, tmp_path, monkeypatch
):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.stdout.write('half a line')\nsys.stdout.flush()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out")
    assert outcome.code == 0, outcome.text
    assert outcome.report["problems"] == []


def test_a_fault_of_the_program_is_told_as_one(mount, kit_of_two, tmp_path, tools):
    text = kit_of_two.script.read_text()
    (loop,) = re.findall(r"( +)def work\(self\):\n", text)  # predict.py has half of the indent, and no types
    head = f"{loop}def work(self):\n"
    faulty = tmp_path / "predict.py"
    faulty.write_text(text.replace(head, f"{head}{2 * loop}raise RuntimeError('planted')\n"))
    outcome = tools.run(faulty, mount, tmp_path / "out")
    assert (outcome.code, outcome.csv) == (1, FALLBACK)
    assert outcome.report["exit_code"] == 1
    last = outcome.text.splitlines()[-1]
    assert "nothing was predicted" in last
    assert "RuntimeError: planted" in last


def test_images_that_stop_early_skip_the_dearer_member_and_are_told(
    mount, kit_of_two, good_run, tmp_path, tools
):
    plan = ensembles.load(kit_of_two.ensemble)
    stop = EarlyStop(below=1.0, share=0.5, cv=0.5)
    first, last = plan.rungs
    ensembles.save(tmp_path / "ensemble.json", replace(plan, rungs=[replace(first, stop=stop), last]))
    script = tmp_path / "dist" / "predict.py"
    render(tmp_path / "ensemble.json", kit_of_two.bundle, script)
    outcome = tools.run(script, mount, tmp_path / "out")
    assert outcome.code == 0, outcome.text
    images = outcome.report["images"]
    assert [(image["row"], image["stopped"]) for image in images] == [("rung 1", True)] * 2
    assert all(0 < image["doubt"] < 1 for image in images)
    assert [rung["state"] for rung in outcome.report["rungs"]] == ["done", "done"]
    assert {task["index"] for task in outcome.report["tasks"] if task["kind"] == "pass"} == {0}
    assert "stopped     2 of 2 images early, which saved about" in outcome.text
    assert outcome.csv != good_run.csv
    assert not any(image["stopped"] for image in good_run.report["images"])
    assert all(0 < image["doubt"] < 1 for image in good_run.report["images"])
