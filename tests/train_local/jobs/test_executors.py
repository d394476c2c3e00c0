"""The three executors with real processes: a local one, submitit's, and a Ray cluster of two nodes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local.jobs import gpus
from train_local.jobs.executors.base import code_of, start
from train_local.jobs.executors.local import LocalExecutor
from train_local.jobs.executors.slurm import SlurmExecutor
from train_local.jobs.job import Job, Resources
from train_local.jobs.scheduler import Scheduler

GRAPH = {
    "stage1": ("done", []),
    "other": ("wait:stage1", []),
    "stage2": ("done", ["stage1"]),
    "bad": ("fail", []),
    "ensemble": ("done", ["stage2", "other"]),
}


def began(job):
    return json.loads((job.folder / "began.json").read_text())


def does_the_graph(executor, make_jobs, folder):
    """Run the graph of every executor's test, with a failure in it."""
    jobs = make_jobs(GRAPH, gpus=1)
    progress = Scheduler(lambda: jobs, executor, folder, pause=0.05).run()
    assert {name.removeprefix("k/"): standing for name, standing in progress.standing.items()} == {
        "stage1": "done",
        "other": "done",
        "stage2": "done",
        "bad": "failed",
        "ensemble": "done",
    }
    assert "the data is bad" in progress.failures["k/bad"].problem
    return jobs, progress


def running(executor, handle):
    return executor.poll(handle).state == "running"


# --- this machine ---------------------------------------------------------------------------------


def test_each_job_on_a_gpu_sees_its_own(make_jobs, tmp_path):
    jobs, _ = does_the_graph(LocalExecutor(2, {"0": 80.0, "3": 80.0}), make_jobs, tmp_path)
    assert {began(jobs["k/stage1"])["gpus"], began(jobs["k/other"])["gpus"]} == {"0", "3"}


def test_jobs_share_a_gpu_only_if_asked_and_if_their_memory_fits(tmp_path):
    def started(slots, gpus, memory_gb, count=1):
        executor = LocalExecutor(slots, gpus)
        job = Job(
            kind="train",
            name="j",
            competition="k",
            identity="",
            folder=tmp_path,
            command=(sys.executable, "-c", "import time; time.sleep(100)"),
            resources=Resources(gpus=count, memory_gb=memory_gb),
        )
        handles = [executor.submit(job, tmp_path / f"{number}.log") for number in range(4)]
        try:
            return [executor.poll(h).place for h in handles if running(executor, h)]
        finally:
            for handle in handles:
                executor.cancel(handle)

    assert started(1, {"0": 80.0}, 33.0) == ["GPU 0"]
    assert started(4, {"0": 80.0}, 33.0) == ["GPU 0"] * 2, "a third would need 99 of 72 GB"
    assert started(4, {"0": 80.0}, 0.0) == ["GPU 0"], "nobody knows how much it takes"
    assert started(3, {"0": 80.0, "1": 80.0}, 33.0) == ["GPU 0", "GPU 1", "GPU 0"]
    assert started(2, {"0": 80.0, "1": 80.0}, 33.0, count=2) == ["GPU 0,1"]
    assert started(1, {"0": 80.0}, 33.0, count=3) == ["GPU 0"], "more than there are: takes all"
    assert started(2, {}, 33.0) == ["CPU"] * 2
    assert started(2, {"0": 24.0, "1": 80.0}, 33.0) == ["GPU 1"], "it does not fit on the other"
    assert started(2, {"0": 80.0, "1": 24.0}, 9.0) == ["GPU 1", "GPU 0"], "the small one first"
    assert started(1, {"0": 24.0}, 33.0) == ["GPU 0"], "the job says what it lacks"


def test_a_job_without_gpus_sees_none_of_those_there_are(make_jobs, tmp_path):
    jobs = make_jobs({"a": ("done", [])}, gpus=0)
    assert Scheduler(lambda: jobs, LocalExecutor(1, {"0": 80.0}), tmp_path, pause=0.02).run().complete
    assert began(jobs["k/a"])["gpus"] == ""


@pytest.mark.parametrize(("gpus", "seen"), [({}, ""), (None, "7")])
def test_a_job_is_shown_no_gpu_or_those_of_this_process(make_jobs, tmp_path, monkeypatch, gpus, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    jobs = make_jobs({"a": ("done", [])}, gpus=1)
    assert Scheduler(lambda: jobs, LocalExecutor(1, gpus), tmp_path, pause=0.02).run().complete
    assert began(jobs["k/a"])["gpus"] == seen


def driver(folder, monkeypatch, listed, parts="", code=0):
    """Put an nvidia-smi that says this first into PATH."""
    tool = folder / "nvidia-smi"
    texts = {"listed": listed, "parts": parts}
    for name, text in texts.items():
        (folder / name).write_text(text)
    tool.write_text(
        f"#!/bin/sh\nif [ $1 = -L ]; then cat {folder}/parts; else cat {folder}/listed; exit {code}; fi\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


TWO = "0, GPU-aa, 81559\n1, GPU-bb, 24576\n"


@pytest.mark.parametrize(("after", "code"), [("1, GPU-bb, 24576\n", 0), ("", 15)])
def test_a_gpu_that_is_lost_gets_no_further_job(make_jobs, tmp_path, monkeypatch, after, code):
    driver(tmp_path, monkeypatch, TWO)
    found = gpus.find_gpus()
    assert list(found) == ["0", "1"]
    jobs = make_jobs({"a": ("fail", []), "b": ("done", []), "c": ("done", [])}, gpus=1, memory_gb=50)
    driver(tmp_path, monkeypatch, after, code=code)
    progress = Scheduler(lambda: jobs, LocalExecutor(1, found), tmp_path, pause=0.02).run()
    assert progress.standing == {"k/a": "failed", "k/b": "done", "k/c": "done"}
    assert progress.places["k/a"] == "GPU 0"
    assert [began(jobs[name])["gpus"] for name in ("k/b", "k/c")] == ["1", "1"]


def test_without_any_gpu_left_jobs_do_not_begin_on_the_cpu(make_jobs, tmp_path, monkeypatch):
    driver(tmp_path, monkeypatch, "", code=9)
    jobs = make_jobs({"a": ("fail", []), "b": ("done", [])}, gpus=1)
    progress = Scheduler(lambda: jobs, LocalExecutor(1, {"0": 80.0}), tmp_path, pause=0.02).run()
    assert "no GPU is left" in progress.failures["k/b"].problem


def test_jobs_end_with_the_process_that_started_them_even_if_it_is_killed(make_jobs, tmp_path, wait_for):
    [job] = make_jobs({"a": ("hang", [])}).values()
    script = (
        "import sys, time; from pathlib import Path; from train_local.jobs.executors.base import start\n"
        f"process = start({list(job.command)!r}, Path({str(tmp_path / 'log')!r}), {{}})\n"
        "time.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3])

    def told():
        try:
            return "child" in began(job)
        except (OSError, ValueError):
            return False

    wait_for(told)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for pid in (began(job)["pid"], began(job)["child"]):
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists() or zombie(pid))


def zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_gpus_of_this_machine_are_those_that_the_driver_and_the_user_name(tmp_path, monkeypatch):
    driver(tmp_path, monkeypatch, TWO)
    assert gpus.find_gpus() == {"0": pytest.approx(79.6, abs=0.1), "1": 24.0}
    assert list(gpus.find_gpus(1)) == ["0"]
    assert gpus.find_gpus(0) == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-bb")
    assert gpus.find_gpus() == {"GPU-bb": 24.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,-1,0")
    assert gpus.find_gpus() == {"1": 24.0}, "CUDA stops at the first invalid one"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.find_gpus() == {}
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert gpus.find_gpus() == {}


def test_each_part_of_a_divided_gpu_counts(tmp_path, monkeypatch):
    parts = (
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aa)\n"
        "  MIG 3g.40gb     Device  0: (UUID: MIG-c7384736)\n"
        "  MIG 1g.10gb+me  Device  1: (UUID: MIG-a28ad590)\n"
        "GPU 1: NVIDIA A10 (UUID: GPU-bb)\n"
    )
    driver(tmp_path, monkeypatch, TWO, parts)
    assert gpus.find_gpus() == {"MIG-c7384736": 40.0, "MIG-a28ad590": 10.0, "1": 24.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a28ad590,0")
    assert gpus.find_gpus() == {"MIG-a28ad590": 10.0, "0": 40.0}
    driver(
        tmp_path, monkeypatch, TWO, parts.replace("  MIG 3g.40gb     Device  0: (UUID: MIG-c7384736)\n", "")
    )
    assert gpus.lost_gpus({"MIG-c7384736": 40.0, "1": 24.0, "MIG-unknown": 0.0}) == ["MIG-c7384736"]


def test_a_driver_that_lists_nothing_is_told_and_not_taken_for_a_machine_without_gpus(tmp_path, monkeypatch):
    driver(tmp_path, monkeypatch, "NVIDIA-SMI has failed\n", code=9)
    with pytest.raises(KitError, match="nvidia-smi lists no GPU: NVIDIA-SMI has failed") as error:
        gpus.find_gpus()
    assert "--device cpu" in str(error.value)


# --- submitit -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_submitit_does_the_graph(make_jobs, tmp_path):
    executor = SlurmExecutor(tmp_path / "submitit", {"timeout_min": 5, "gpus_per_node": 0}, cluster="local")
    jobs, _ = does_the_graph(executor, make_jobs, tmp_path)
    assert began(jobs["k/ensemble"])["pid"] != os.getpid()


@pytest.mark.slow
def test_submitit_cancels_a_job(make_jobs, tmp_path, wait_for):
    [job] = make_jobs({"a": ("hang", [])}).values()
    executor = SlurmExecutor(tmp_path / "submitit", {"gpus_per_node": 0}, cluster="local")
    handle = executor.submit(job, tmp_path / "a.log")
    wait_for((job.folder / "began.json").is_file)
    executor.cancel(handle)
    wait_for(lambda: executor.poll(handle).state == "ended")
    wait_for(lambda: zombie(began(job)["pid"]))


def test_without_slurm_its_executor_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KitError, match="submitit cannot use Slurm") as error:
        SlurmExecutor(tmp_path, {})
    assert "sbatch" in str(error.value)


# --- Ray ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of this machine with one GPU each, as far as Ray knows."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "num_gpus": 1}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.add_node(**node)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_ray_does_the_graph_on_two_nodes_and_cancels(cluster, make_jobs, tmp_path, wait_for):
    from train_local.jobs.executors.ray import RayExecutor

    executor = RayExecutor(cluster.address)
    does_the_graph(executor, make_jobs, tmp_path)
    [job] = make_jobs({"hanging": ("hang", [])}, gpus=9).values()
    handle = executor.submit(job, tmp_path / "a.log")
    wait_for((job.folder / "began.json").is_file)
    assert began(job)["gpus"] == "0", "no node has nine: it gets all of one"
    executor.cancel(handle)
    assert executor.poll(handle).state == "ended"
    wait_for(lambda: zombie(began(job)["pid"]))


def test_a_node_that_was_started_in_another_clone_runs_the_repository_of_who_submits(tmp_path, monkeypatch):
    for name in ("mine", "other"):
        (tmp_path / name / "train_local").mkdir(parents=True)
        (tmp_path / name / "train_local" / "__init__.py").write_text(f"print('this is {name}')\n")
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    log = tmp_path / "a.log"
    process = start([sys.executable, "-c", "import train_local"], log, {}, tmp_path / "mine")
    assert process.wait() == 0
    code_of(process)
    assert log.read_text().splitlines()[1:] == ["this is mine"]


def test_without_a_ray_cluster_its_executor_says_what_to_do():
    from train_local.jobs.executors.ray import RayExecutor

    with pytest.raises(KitError, match="no Ray cluster can be reached") as error:
        RayExecutor("127.0.0.1:9")
    assert "ray start --head" in str(error.value)
