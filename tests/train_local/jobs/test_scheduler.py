"""Graphs of real processes on this machine."""

import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local.jobs import summary
from train_local.jobs.executors.base import Poll
from train_local.jobs.executors.local import LocalExecutor
from train_local.jobs.scheduler import Scheduler, explain, log_of
from train_local.jobs.status import state_of


def scheduler(jobs, folder, *, slots=2, gpus=None, **options):
    return Scheduler(lambda: jobs, LocalExecutor(slots, gpus or {}), folder, pause=0.02, **options)


def began(job):
    return json.loads((job.folder / "began.json").read_text())


def ended(job):
    return json.loads((job.folder / "done.json").read_text())["ended"]


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A process that has ended stays in the table until its parent has asked for it.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_job_starts_when_all_it_needs_is_done_and_a_second_call_starts_none(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", []), "b": ("wait:a", []), "c": ("done", ["a", "b"])})
    progress = scheduler(jobs, tmp_path).run()
    assert progress.complete
    assert max(ended(jobs["k/a"]), ended(jobs["k/b"])) <= began(jobs["k/c"])["time"]
    first = {name: began(job) for name, job in jobs.items()}
    assert scheduler(jobs, tmp_path).run().complete
    assert {name: began(job) for name, job in jobs.items()} == first
    assert "output of c" in log_of(jobs["k/c"], tmp_path).read_text()


def test_independent_jobs_go_on_after_a_failure_and_the_end_names_it(make_jobs, tmp_path, capsys):
    jobs = make_jobs(
        {"bad": ("fail", []), "next": ("done", ["bad"]), "last": ("done", ["next"]), "good": ("done", [])}
    )
    progress = scheduler(jobs, tmp_path).run()
    assert progress.standing == {
        "k/bad": "failed",
        "k/next": "blocked",
        "k/last": "blocked",
        "k/good": "done",
    }
    assert progress.blocked == {"k/next": ("k/bad",), "k/last": ("k/bad",)}
    summary.show_end(progress, tmp_path)
    told = capsys.readouterr().err
    assert "1 of 4 jobs are done" in told
    assert "k/bad failed: the data is bad\n  where: here\n  fix:   better data" in told
    assert f"log: {tmp_path / 'k' / 'logs' / 'bad.log'}" in told
    assert "could not run because of k/bad: k/next, k/last" in told


def test_a_job_that_runs_out_of_memory_is_told_as_such(make_jobs, tmp_path):
    jobs = make_jobs({"big": ("killed", [])})
    failure = scheduler(jobs, tmp_path).run().failures["k/big"]
    assert "was killed (signal 9), most likely because the machine's memory ran out" in failure.problem
    assert "--jobs" in failure.fix


def test_a_result_of_another_plan_is_no_result(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", []), "b": ("done", ["a"])})
    jobs["k/a"] = replace(jobs["k/a"], identity="of sources that were edited meanwhile")
    progress = scheduler(jobs, tmp_path).run()
    assert "of another plan" in progress.failures["k/a"].problem
    assert progress.standing["k/b"] == "blocked"


def test_jobs_behind_one_that_stopped_early_wait_for_its_end(make_jobs, tmp_path, capsys):
    jobs = make_jobs({"a": ("done", []), "b": ("done", ["a"])})
    jobs["k/a"].folder.mkdir(parents=True)
    record = json.dumps({"identity": "identity of a", "complete": False})
    command = ("sh", "-c", f"echo '{record}' > {jobs['k/a'].folder / 'done.json'}")
    jobs["k/a"] = replace(jobs["k/a"], command=command)
    progress = scheduler(jobs, tmp_path).run()
    assert progress.standing == {"k/a": "stopped early", "k/b": "blocked"}
    assert not progress.complete
    summary.show_end(progress, tmp_path)
    assert "k/a stopped early, since its time was up; run the same command again" in capsys.readouterr().err


def test_products_that_were_deleted_are_made_again(make_jobs, tmp_path):
    [job] = make_jobs({"a": ("done", [])}).values()
    assert scheduler({job.name: job}, tmp_path).run().complete
    lost = replace(job, products=(job.folder / "weights",))
    assert (state_of(job), state_of(lost)) == ("done", "begun")


def test_a_new_plan_is_made_after_a_preparation(make_jobs, tmp_path):
    first = make_jobs({"prepare": ("done", []), "a": ("done", ["prepare"])})
    first["k/prepare"] = replace(first["k/prepare"], kind="prepare")
    known = make_jobs({"prepare": ("done", []), "a": ("done", ["prepare"]), "fold1": ("done", ["prepare"])})
    known["k/prepare"] = first["k/prepare"]

    def plan():
        # Before the preparation nobody knows that there is a second fold, nor the identity of the first.
        if state_of(first["k/prepare"]) == "done":
            return known
        return {**first, "k/a": replace(first["k/a"], identity="provisional")}

    progress = Scheduler(plan, LocalExecutor(2, {}), tmp_path, pause=0.02).run()
    assert progress.standing == {"k/prepare": "done", "k/a": "done", "k/fold1": "done"}


def test_a_preparation_that_gives_fewer_folds_leaves_nothing_undone(make_jobs, tmp_path):
    first = make_jobs(
        {"prepare": ("done", []), "fold0": ("done", ["prepare"]), "fold1": ("done", ["prepare"])}
    )
    first["k/prepare"] = replace(first["k/prepare"], kind="prepare")
    known = {name: job for name, job in first.items() if name != "k/fold1"}

    def plan():
        return known if state_of(first["k/prepare"]) == "done" else first

    progress = Scheduler(plan, LocalExecutor(2, {}), tmp_path, pause=0.02).run()
    assert progress.standing == {"k/prepare": "done", "k/fold0": "done"}
    assert progress.complete


def test_a_plan_that_cannot_be_made_after_a_preparation_stops_no_other_job(make_jobs, tmp_path):
    jobs = make_jobs(
        {
            "prepare": ("done", []),
            "a": ("done", ["prepare"]),
            "other": ("wait:prepare", []),
            "last": ("done", ["other"]),
        }
    )
    jobs["k/prepare"] = replace(jobs["k/prepare"], kind="prepare")

    def plan():
        if state_of(jobs["k/prepare"]) == "done":
            raise KitError("no job matches", where="--only")
        return jobs

    progress = Scheduler(plan, LocalExecutor(2, {}), tmp_path, pause=0.02).run()
    assert progress.standing == {"k/prepare": "failed", "k/a": "blocked", "k/other": "done", "k/last": "done"}
    assert progress.failures["k/prepare"].problem == "no job matches (--only)"


def test_what_stopped_early_is_not_begun_again_after_a_preparation(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", []), "prepare": ("wait:a", [])})
    jobs["k/prepare"] = replace(jobs["k/prepare"], kind="prepare")
    record = json.dumps({"identity": "identity of a", "complete": False})
    folder = jobs["k/a"].folder
    script = f"mkdir -p {folder}; echo '{record}' > {folder}/done.json; echo x >> {folder}/began.json"
    jobs["k/a"] = replace(jobs["k/a"], command=("sh", "-c", script))
    progress = Scheduler(lambda: jobs, LocalExecutor(1, {}), tmp_path, pause=0.02).run()
    assert progress.standing == {"k/a": "stopped early", "k/prepare": "done"}
    assert (folder / "began.json").read_text() == "x\n", "it ran once"


class FullQueue(LocalExecutor):
    """Takes one job at a time, as a cluster with a limit for each person does."""

    def submit(self, job, log):
        if any(self.poll(handle).state != "ended" for handle in self._jobs):
            raise KitError("the queue is full")
        return super().submit(job, log)


def test_a_job_that_a_queue_refuses_is_submitted_when_another_has_ended(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", []), "b": ("done", []), "c": ("done", [])})
    seen = []
    executor = FullQueue(3, {})
    progress = Scheduler(
        lambda: jobs,
        executor,
        tmp_path,
        show=lambda p: seen.append(dict(p.refused)),
        pause=0.02,
        try_again=600,
    ).run()
    assert progress.complete
    assert {"k/b": "the queue is full"} in seen


def test_a_job_that_is_refused_while_nothing_runs_has_failed(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", [])})
    executor = FullQueue(3, {})
    [other] = make_jobs({"other": ("hang", [])}).values()
    handle = executor.submit(other, tmp_path / "other.log")
    progress = Scheduler(lambda: jobs, executor, tmp_path, pause=0.02).run()
    executor.cancel(handle)
    assert progress.failures["k/a"].problem == "the queue is full"


def test_files_that_appear_after_the_end_of_a_job_count(make_jobs, tmp_path):
    """As on NFS, where another machine's files show up to a minute later."""
    [job] = make_jobs({"a": ("done", [])}).values()
    leave_to_another = (
        "import os, subprocess, sys; del os.environ['TRAIN_LOCAL_ATTENDED']\n"
        "subprocess.Popen(['sh', '-c', 'sleep 0.5; exec \"$@\"', 'sh', *sys.argv[1:]],"
        " start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)"
    )
    late = replace(job, command=(sys.executable, "-c", leave_to_another, *job.command))
    progress = scheduler({late.name: late}, tmp_path, settle=60).run()
    assert progress.complete


def test_the_message_of_a_job_is_that_of_its_last_start(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("fail", [])})
    assert "the data is bad" in scheduler(jobs, tmp_path).run().failures["k/a"].problem
    jobs["k/a"] = replace(jobs["k/a"], command=("sh", "-c", "echo ValueError: another reason; exit 1"))
    assert scheduler(jobs, tmp_path).run().failures["k/a"].problem == "ValueError: another reason"


def test_a_job_that_cannot_be_started_stops_no_other(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", []), "b": ("done", [])})
    log_of(jobs["k/a"], tmp_path).mkdir(parents=True)  # no file can be written there
    progress = scheduler(jobs, tmp_path).run()
    assert progress.standing == {"k/a": "failed", "k/b": "done"}
    assert "it could not be started" in progress.failures["k/a"].problem


def test_an_interrupt_ends_all_running_jobs_with_their_children(make_jobs, tmp_path, wait_for):
    jobs = make_jobs({"a": ("hang", []), "b": ("hang", [])})

    def interrupt():
        wait_for(lambda: all((job.folder / "began.json").exists() for job in jobs.values()))
        wait_for(lambda: all(began_whole(job) for job in jobs.values()))
        os.kill(os.getpid(), signal.SIGINT)

    def began_whole(job):
        try:
            return "child" in began(job)
        except ValueError:
            return False

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        scheduler(jobs, tmp_path).run()
    thread.join()
    for job in jobs.values():
        assert gone(began(job)["pid"])
        wait_for(lambda job=job: gone(began(job)["child"]))


def test_a_job_that_says_nothing_is_told(make_jobs, tmp_path, wait_for):
    jobs = make_jobs({"a": ("hang", [])})
    seen = []

    def show(progress):
        if progress.quiet:
            seen.append(dict(progress.quiet))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scheduler(jobs, tmp_path, show=show, quiet_after=0.1).run()
    assert seen[0]["k/a"] >= 0.1


@pytest.mark.parametrize(
    ("poll", "words"),
    [
        (Poll("ended", -15), "it was ended from outside (signal 15)"),
        (Poll("ended", 137), "memory ran out"),
        (Poll("ended", None, problem="NODE_FAIL: node3"), "the executor lost it: NODE_FAIL: node3"),
        (Poll("ended", None, problem="OUT_OF_MEMORY: killed"), "memory ran out"),
        (Poll("ended", 3), "it ended with exit code 3"),
    ],
)
def test_every_kind_of_end_is_told(tmp_path, poll, words):
    failure = explain(poll, tmp_path / "no.log")
    assert words in failure.problem
    assert "again" in failure.fix
