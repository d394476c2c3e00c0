"""The Slurm executor with the commands of a Slurm that this folder has (`fake_slurm`)."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local.jobs.executors import slurm
from train_local.jobs.executors.slurm import SlurmExecutor

FAKE = Path(__file__).with_name("fake_slurm.py")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The folder of a Slurm without jobs."""
    tools, folder = tmp_path / "tools", tmp_path / "slurm"
    tools.mkdir()
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} {folder} {name} "$@"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parents[3]))
    monkeypatch.setattr(slurm, "_EVERY", 0.1)
    yield folder
    for path in folder.glob("*.sh"):
        subprocess.run(["scancel", path.stem], check=True)


@pytest.fixture
def start(cluster, tmp_path):
    """Start of the executor, as of a new `train-all`."""
    return lambda: SlurmExecutor(tmp_path / "submitit", {"timeout_min": 60})


def began(job):
    return json.loads((job.folder / "began.json").read_text())


def of_result(executor, handle, wait_for):
    wait_for(lambda: executor.poll(handle).state == "ended")
    return executor.poll(handle)


@pytest.mark.slow
def test_a_job_of_an_earlier_start_is_taken_over_and_one_of_another_plan_is_cancelled(
    start, make_jobs, tmp_path, wait_for, capsys
):
    jobs = make_jobs({"a": ("wait:go", []), "b": ("hang", [])})
    first = start()
    handles = {name: first.submit(job, tmp_path / "log") for name, job in jobs.items()}
    for job in jobs.values():
        wait_for((job.folder / "began.json").is_file)
    pid = began(jobs["k/a"])["pid"]
    # That process was killed; the next one asks for the same a and for another b.
    second = start()
    assert second.submit(jobs["k/a"], tmp_path / "log") == handles["k/a"]
    other = replace(make_jobs({"b": ("done", [])})["k/b"], identity="another")
    handle = second.submit(other, tmp_path / "log")
    assert handle not in handles.values()
    told = capsys.readouterr().err
    assert "k/a: Slurm job 1 of an earlier start goes on" in told
    assert "k/b: Slurm job 2 of an earlier start is cancelled" in told
    (jobs["k/a"].folder.with_name("go")).mkdir()
    (jobs["k/a"].folder.with_name("go") / "began.json").write_text("")
    assert of_result(second, handles["k/a"], wait_for).code == 0
    assert began(jobs["k/a"])["pid"] == pid, "it ran once"
    assert of_result(second, handle, wait_for).code == 0
    # What has ended is not taken over.
    assert start().submit(jobs["k/a"], tmp_path / "log") not in handles.values()


@pytest.mark.slow
@pytest.mark.parametrize("refuses", [False, True])
def test_a_preempted_job_goes_on_though_slurm_signals_its_processes_too(
    cluster, start, make_jobs, wait_for, refuses
):
    [job] = make_jobs({"a": ("wait:go", [])}).values()
    executor = start()
    handle = executor.submit(job, job.folder.with_suffix(".log"))
    for _ in range(2):
        wait_for((job.folder / "began.json").is_file)
        inner, controller = began(job)["pid"], parent(began(job)["pid"])
        (job.folder / "began.json").unlink()
        if refuses:
            (cluster / "once").touch()
        # Slurm warns all processes of a job with SIGTERM and SIGCONT, and then with the signal of --signal.
        for pid, number in ((inner, signal.SIGTERM), (controller, signal.SIGTERM)):
            os.kill(pid, number)
        wait_for(lambda pid=inner: not Path(f"/proc/{pid}").exists())
        assert executor.poll(handle).state != "ended"
        os.kill(controller, signal.SIGUSR2)
        wait_for(lambda: executor.poll(handle) and (job.folder / "began.json").is_file())
        assert executor.poll(handle).state != "ended"
    (job.folder.with_name("go")).mkdir()
    (job.folder.with_name("go") / "began.json").write_text("")
    assert of_result(executor, handle, wait_for).code == 0


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_job_that_left_no_result_is_lost_also_without_accounting(
    start, make_jobs, tmp_path, wait_for, monkeypatch
):
    monkeypatch.setattr(slurm, "_GRACE", 0.5)
    [job] = make_jobs({"a": ("hang", [])}).values()
    executor = start()
    handle = executor.submit(job, tmp_path / "log")
    wait_for((job.folder / "began.json").is_file)
    assert executor.poll(handle).state == "running"
    subprocess.run(["scancel", handle], check=True)
    ended = of_result(executor, handle, wait_for)
    assert ended.code is None
    assert "Slurm no longer has it" in ended.problem
    log = Path(ended.problem.rpartition("(")[2].rstrip(")"))
    assert log.parent == tmp_path / "submitit"
    log.write_text("slurmstepd: error: Detected 1 oom_kill event in StepId=1.0")
    assert executor.poll(handle).problem.startswith("OUT_OF_MEMORY: slurmstepd")


@pytest.mark.slow
def test_a_job_whose_node_failed_is_submitted_again(start, make_jobs, tmp_path, wait_for, monkeypatch):
    monkeypatch.setattr(slurm, "_GRACE", 0.5)
    sacct = tmp_path / "tools" / "sacct"
    sacct.write_text("#!/bin/sh\necho 'JobID|State|NodeList'\necho '1|NODE_FAIL|n1'\n")
    sacct.chmod(0o755)
    [job] = make_jobs({"a": ("wait:go", [])}).values()
    executor = start()
    handle = executor.submit(job, tmp_path / "log")
    wait_for((job.folder / "began.json").is_file)
    subprocess.run(["scancel", handle], check=True)
    wait_for(lambda: executor.poll(handle).place == "slurm job 2")
    (job.folder.with_name("go")).mkdir()
    (job.folder.with_name("go") / "began.json").write_text("")
    assert of_result(executor, handle, wait_for).code == 0


def test_what_slurm_refuses_is_told(cluster, start, make_jobs, tmp_path):
    (cluster / "full").touch()
    [job] = make_jobs({"a": ("done", [])}).values()
    with pytest.raises(KitError, match=r"Slurm refuses the job: .*QOSMaxSubmitJobPerUserLimit"):
        start().submit(job, tmp_path / "log")
    with pytest.raises(KitError, match="submitit cannot use Slurm") as error:
        SlurmExecutor(tmp_path / "submitit", {"slurm_partitoin": "gpu"})
    assert "--submit" in str(error.value)
