import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from submission.runtime.result.report import RunReport, process_start

ROOT = Path(__file__).parents[4]


def test_the_clock_starts_with_the_process_and_not_with_our_first_line():
    code = (
        "import time; time.sleep(0.5); import sys; sys.path.insert(0, sys.argv[1])\n"
        "from submission.runtime.result.report import process_start\n"
        "print(time.monotonic() - process_start())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=True)
    assert float(done.stdout) >= 0.49


def test_an_old_process_counts_from_now(monkeypatch):
    monkeypatch.setattr("submission.runtime.result.report._LONGEST_STARTUP", 0.0)
    before = time.monotonic()
    assert process_start() >= before


def test_lines_carry_the_elapsed_seconds(capsys):
    RunReport(time.monotonic() - 12.3).say("first\nsecond")
    first, second = capsys.readouterr().out.splitlines()
    for line, text in ((first, "first"), (second, "second")):
        assert float(re.fullmatch(rf"\[ *(\d+\.\d) s\] {text}", line)[1]) >= 12.3


def test_names_that_are_no_utf8_are_printed_and_reported(tmp_path, capfdbinary):
    name = os.fsdecode(b"m\xff.bin")
    report = RunReport(time.monotonic(), path=tmp_path / "report.json")
    report.problem(f"{name} is damaged")
    report.save()
    assert b"m\\udcff.bin is damaged" in capfdbinary.readouterr().out
    assert json.loads(report.path.read_text())["problems"][0]["what"] == f"{name} is damaged"


@pytest.mark.parametrize("to", ["/dev/full", "a closed pipe"])
def test_lines_that_nobody_can_read_end_nothing(to):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from submission.runtime.result.report import RunReport\n"
        "RunReport(0.0).say('one')\nRunReport(0.0).say('two')\nos._exit(7)"
    )
    if to == "/dev/full":
        stdout = os.open(to, os.O_WRONLY)
    else:
        reader, stdout = os.pipe()
        os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(stdout)
    assert (done.returncode, done.stderr) == (7, "")


def test_the_reportis_written_whole_and_again_and_again(tmp_path):
    report = RunReport(time.monotonic())
    report.path = tmp_path / "report.json"
    report.event("start")
    report.save()
    report.problem("something was survived", image="a")
    report.save()
    written = json.loads(report.path.read_text())
    assert [event["name"] for event in written["events"]] == ["start"]
    assert written["problems"][0]["what"] == "something was survived"
    assert written["problems"][0]["image"] == "a"


def test_a_reportthat_cannot_be_written_is_told_and_costs_nothing(tmp_path, capsys):
    (tmp_path / "file").touch()
    report = RunReport(time.monotonic(), path=tmp_path / "file" / "report.json")
    report.save()
    assert "report.json was not written" in capsys.readouterr().err


ON_A_FULL_DISK = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from submission.runtime.result.report import RunReport
folder, tasks = Path(sys.argv[2]), int(sys.argv[3])
report = RunReport(0.0, path=folder / "report.json")
report.save()
report.keep_room()
before = sorted(path.name for path in folder.iterdir())
with (folder / "theirs").open("wb", buffering=0) as theirs:
    try:
        while theirs.write(bytes(4096)):
            pass
    except OSError:
        pass
report.values.update(tasks=["task"] * tasks, state="rung 2")
report.save()
middle = json.loads(report.path.read_text()).get("state")
report.save(last=True)
after = json.loads(report.path.read_text())
left = sorted(path.name for path in folder.iterdir())
print(json.dumps([before, middle, after["state"], len(after.get("tasks", ())), after.get("left_out"), left]))
"""


@pytest.mark.parametrize(
    ("size", "tasks", "kept"),
    [("32m", 1000, 1000), ("32m", 500_000, 0), ("64k", 100_000, 0)],
    ids=["in the room that was kept", "too long for it", "a disk without room to keep"],
)
def test_the_last_report_is_written_on_a_disk_that_others_filled(in_namespace, tmp_path, size, tasks, kept):
    setup = f"mount -t tmpfs -o size={size} none {tmp_path}"
    command = (sys.executable, "-c", ON_A_FULL_DISK, str(ROOT), str(tmp_path), str(tasks))
    done = in_namespace(setup, *command)
    assert done.returncode == 0, done.stdout
    before, middle, state, tasks_kept, left_out, left = json.loads(done.stdout.splitlines()[-1])
    assert before == ([".report.json.room"] if size == "32m" else []) + ["report.json"]
    assert middle is None, "the older report stayed as it was"
    assert (state, tasks_kept) == ("rung 2", kept)
    assert left_out == (None if kept else ["tasks", "images", "forecasts", "notes", "memory"])
    assert left == ["report.json", "theirs"]


def test_a_value_that_json_does_not_know_does_not_cost_the_older_report(tmp_path, capsys):
    report = RunReport(time.monotonic(), path=tmp_path / "report.json")
    report.save()
    report.values["seconds"] = float("nan")
    report.save(last=True)
    assert "seconds" not in json.loads(report.path.read_text())
    assert "report.json was not written" in capsys.readouterr().err
