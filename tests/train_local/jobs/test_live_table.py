import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from train_local.jobs.live_table import JobRow, LiveTable
from train_local.monitor.progress import StatusFile


@pytest.fixture
def jobs(tmp_path):
    rows = []
    for name in ("kidney/unet.fold0", "kidney/unet.fold1", "kidney/[lung].fold0", "kidney/ensemble"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        group, hours = name.partition(".")[0], 0.0 if "ensemble" in name else 2.0
        rows.append(JobRow(name=name, folder=folder, log=folder / "job.log", group=group, hours=hours))
    return rows


def screen(*, terminal, height=40):
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, height=height, color_system=None)


def drawn(table):
    out = Console(file=io.StringIO(), width=160, height=40, color_system=None)
    out.print(table.render())
    return out.file.getvalue()


def test_the_table_shows_each_job_with_what_its_process_says(jobs):
    status = StatusFile(jobs[0].folder, total=100, device="cuda", gpu="3", memory_mb=lambda: 20500.0, every=0)
    status.update(state="training")
    for step in range(1, 41):
        status.update(step=step, data_share=0.02)
    status.update(metric=0.5, best_metric=0.75)
    table = LiveTable(jobs, True, screen(terminal=True))
    with table:
        table.update({"kidney/unet.fold0": "running", "kidney/[lung].fold0": "failed"})
    text = drawn(table)
    line = next(line for line in text.splitlines() if "unet.fold0" in line)
    for cell in ("training", "40/100", " 3 ", "20.5 GB", "2%", "0.5000"):
        assert cell in line
    assert "kidney/[lung].fold0 failed; its log:" in text, "brackets are no markup"
    assert str(jobs[2].log) in text.replace("\n", "")
    assert "0 of 4 jobs done, 1 failed, 1 running, 2 waiting" in text


def test_a_narrow_terminal_has_whole_columns_and_fewer_of_them(jobs):
    status = StatusFile(jobs[0].folder, total=100, device="cuda", gpu="3", memory_mb=lambda: 20500.0, every=0)
    status.update(state="training")
    for step in range(1, 41):
        status.update(step=step, data_share=0.02)
    status.update(metric=0.5, best_metric=0.75)
    tables = {}
    for width in (120, 60, 55):
        narrow = Console(file=io.StringIO(), force_terminal=True, width=width, height=40, color_system=None)
        table = LiveTable(jobs, True, narrow)
        table.update({jobs[0].name: "running"})
        narrow.file.truncate(0)
        narrow.print(table.render())
        tables[width] = narrow.file.getvalue()
        assert "kidney/unet.fold0" in tables[width]
        assert "…" not in tables[width]
    headings = ("state", "step", "steps/s", "left", "GPU", "memory", "data", "metric")
    assert all(heading in tables[120] for heading in headings)
    assert "memory" not in tables[60]
    assert all(heading in tables[60] for heading in ("state", "left", "metric"))
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({})
    assert "GPU" not in drawn(table), "no job has a text for it"


def test_a_job_whose_time_was_up_shows_where_it_stopped(jobs):
    StatusFile(jobs[0].folder, total=100, step=70)
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "stopped early"})
    line = next(line for line in drawn(table).splitlines() if "unet.fold0" in line)
    assert "stopped early" in line
    assert "70/100" in line


def test_a_new_plan_has_rows_for_its_jobs_and_no_others(jobs):
    table = LiveTable(jobs[:2], True, screen(terminal=True))
    table.update({})
    table.jobs = jobs[1:]
    table.update({jobs[3].name: "running"})
    assert jobs[0].name not in drawn(table)
    assert "0 of 3 jobs done, 1 running, 2 waiting" in drawn(table)


def test_failed_jobs_are_red(jobs):
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "failed"})
    out = Console(file=io.StringIO(), width=160, height=40, force_terminal=True, color_system="standard")
    out.print(table.render())
    (row,) = [line for line in out.file.getvalue().splitlines() if "unet.fold0" in line and "log" not in line]
    assert "\x1b[31m" in row


def test_the_whole_is_estimated_from_what_was_measured(jobs, monkeypatch):
    now = 0.0
    monkeypatch.setattr("train_local.jobs.live_table.time.monotonic", lambda: now)
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "running"})
    now = 600.0
    table.update({jobs[0].name: "done"})
    # unet.fold1 like fold0: 10 min; [lung] with the same published hours: 10 min; the ensemble: unknown.
    assert "1 of 4 jobs done, 3 waiting; about 20 min left" in drawn(table)


def test_what_was_done_before_took_no_time_now(jobs):
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "done"})
    assert "left" not in drawn(table).splitlines()[-1]


def test_a_process_that_is_silent_shows_for_how_long(jobs, monkeypatch):
    StatusFile(jobs[0].folder, total=100)
    written = time.time()
    monkeypatch.setattr("train_local.jobs.live_table.time.time", lambda: written + 720)
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "running"})
    assert "starting (12 min)" in drawn(table)


def test_a_job_that_waits_shows_nothing_of_an_earlier_start(jobs):
    StatusFile(jobs[0].folder, total=100, step=70)
    table = LiveTable(jobs, True, screen(terminal=True))
    table.update({jobs[0].name: "queued"})
    assert "70/100" not in drawn(table)


def test_of_more_jobs_than_lines_the_failed_and_running_ones_are_shown(jobs):
    many = [replace(jobs[0], name=f"job{number}") for number in range(100)]
    table = LiveTable(many, True, screen(terminal=True, height=20))
    table.update({"job90": "failed", "job80": "running", "job70": "done"})
    text = drawn(table)
    assert "job90" in text
    assert "job80" in text
    assert "job70 " not in text
    assert len(text.splitlines()) <= 20


@pytest.mark.parametrize(("bars", "terminal"), [(False, True), (True, False)])
def test_without_a_terminal_each_change_is_one_line(jobs, bars, terminal):
    out = screen(terminal=terminal)
    with LiveTable(jobs, bars, out) as table:
        table.update({jobs[0].name: "done"})
        table.update({jobs[0].name: "done", jobs[1].name: "running"})
        table.update({jobs[0].name: "done", jobs[1].name: "running"})
        StatusFile(jobs[1].folder, total=1).update(state="finished", best_metric=0.625)
        table.update({jobs[0].name: "done", jobs[1].name: "done", jobs[2].name: "running"})
        table.update({jobs[0].name: "done", jobs[1].name: "done", jobs[2].name: "failed"})
    lines = out.file.getvalue().splitlines()
    assert lines[:2] == ["1 of 4 jobs done, 3 waiting", "kidney/unet.fold1: running"]
    assert lines[2].startswith(
        "kidney/unet.fold1: done after 0 s, metric 0.6250; 2 of 4 jobs done, 1 running"
    )
    assert lines[3:] == [
        "kidney/[lung].fold0: running",
        f"kidney/[lung].fold0: failed; its log: {jobs[2].log}",
    ]


def test_where_no_state_changes_a_line_each_half_minute_says_how_far_the_jobs_are(jobs, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("train_local.jobs.live_table.time.monotonic", lambda: now[0])
    StatusFile(jobs[0].folder, total=240, step=40)
    table = LiveTable(jobs, True, screen(terminal=False))
    states = {jobs[0].name: "running", jobs[1].name: "running"}

    def told():
        table.update(states)
        lines = table.screen.file.getvalue().splitlines()
        table.screen.file.seek(0)
        table.screen.file.truncate()
        return lines

    assert told()[1:] == ["kidney/unet.fold0: running", "kidney/unet.fold1: running"]
    now[0] += 29
    assert told() == []
    now[0] += 1
    (line,) = told()
    assert line.startswith("kidney/unet.fold0 at step 40 of 240; 0 of 4 jobs done, 2 running, 2 waiting")
    now[0] += 10
    assert told() == [], "half a minute after the last line"
    states[jobs[1].name] = "done"
    now[0] += 15
    assert len(told()) == 1
    now[0] += 29
    assert told() == [], "a change of a state is a line, too"
