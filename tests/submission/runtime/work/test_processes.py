"""Workers as real processes; a few lines of Python stand for what a worker may do wrong."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kit.images.info import ImageInfo
from kit.plan.tasks import PassTask
from submission.runtime.work.messages import Exited, Failed, PassRequest, Progress, to_line
from submission.runtime.work.processes import WorkerProcesses

TASK = PassTask(3, "line\nbreak")
REQUEST = PassRequest(
    index=3, image=TASK.image, path="i", weights="w", out="o", batch_size=None, info=ImageInfo()
)
HELLO = to_line(Progress(done=0, total=1)).decode()
SAY = """
import json, os, sys
def say(text):
    print(json.dumps({"message": "Failed", "stage": "error", "problem": text}), flush=True)
"""
ECHO = f"""{SAY}
print("a hook of the image prints this at start-up")
print({HELLO!r}, end="", flush=True)
for line in sys.stdin:
    say(json.loads(line)["image"])
"""
GRANDCHILD = f"""{SAY}
import subprocess
say(str(subprocess.Popen(["sleep", "600"]).pid))
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    def run(program: str, number: int = 1) -> WorkerProcesses:
        # The device option is added to the command; these programs ignore it.
        made.command = [sys.executable, "-c", program]
        for slot in range(number):
            made.start("cpu", slot, {"SLOT": str(slot)})
        return made

    made = WorkerProcesses([], dict(os.environ), tmp_path)
    yield run
    made.kill_all()


def messages(processes: WorkerProcesses, count: int) -> list:
    result = []
    for _ in range(6000):
        result += processes.poll(0.1)
        if len(result) >= count:
            return result
    raise AssertionError(f"only {result}")


def gone(process: int) -> bool:
    for _ in range(6000):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_messages_go_both_ways_and_other_lines_are_ignored(start):
    processes = start(ECHO, 2)
    first = messages(processes, 2)
    assert [received.message for received in first] == [Progress(done=0, total=1)] * 2
    worker = first[0].worker
    worker.ready = True
    assert processes.idle() == [worker]
    assert not processes.busy()
    processes.send(worker, TASK, REQUEST)
    assert processes.idle() == []
    assert processes.busy()
    (answer,) = messages(processes, 1)
    assert answer.message == Failed(stage="error", problem=TASK.image)
    assert answer.worker is worker
    assert worker.task == TASK


def test_a_request_that_could_block_the_pipe_is_not_sent_and_its_task_fails(start):
    processes = start(ECHO)
    (first,) = messages(processes, 1)
    first.worker.ready = True
    processes.send(first.worker, TASK, replace(REQUEST, info=ImageInfo(organ="lung" * 10_000)))
    (answer,) = messages(processes, 1)
    assert answer.worker.task == TASK
    assert answer.message == Failed(
        stage="image", problem="the id or the metadata of this image are too long: 40 kB"
    )
    answer.worker.task = None
    processes.send(first.worker, TASK, REQUEST)
    assert messages(processes, 1)[0].message == Failed(stage="error", problem=TASK.image)


def test_the_end_of_a_process_is_a_message_with_its_code_and_last_words(start):
    processes = start("import sys; print('no such library', file=sys.stderr); sys.exit(7)")
    (received,) = messages(processes, 1)
    assert received.message == Exited(code=7)
    assert received.worker.tail() == "no such library"
    assert processes.live == []


def test_a_killed_worker_is_told_by_its_signal(start):
    processes = start(ECHO)
    (first,) = messages(processes, 1)
    os.kill(first.worker.process.pid, signal.SIGKILL)
    (received,) = messages(processes, 1)
    assert received.message == Exited(code=-9)


def test_a_stopped_worker_can_be_killed_and_takes_its_children_along(start):
    processes = start(GRANDCHILD)
    (first,) = messages(processes, 1)
    os.kill(first.worker.process.pid, signal.SIGSTOP)
    assert processes.kill(first.worker) == -9
    assert gone(int(first.message.problem))
    assert processes.kill(first.worker) == -9, "killing twice is allowed"


def test_a_message_that_arrives_in_pieces_is_put_together(start):
    processes = start(
        "import json, sys, time\n"
        "text = json.dumps({'message': 'Failed', 'stage': 'error', 'problem': 'y' * 200000})\n"
        "sys.stdout.write(text[:7]); sys.stdout.flush(); time.sleep(0.2)\n"
        "print(text[7:], flush=True); sys.stdin.read()"
    )
    (received,) = messages(processes, 1)
    assert len(received.message.problem) == 200_000


def test_a_task_for_a_dead_worker_raises_nothing_and_its_exit_is_told(start):
    processes = start(ECHO)
    (first,) = messages(processes, 1)
    first.worker.process.kill()
    first.worker.process.wait()
    processes.send(first.worker, TASK, REQUEST)
    (received,) = messages(processes, 1)
    assert received.message == Exited(code=-9)
    assert received.worker.task == TASK


def test_each_worker_has_its_own_environment(start):
    processes = start(SAY + "say(os.environ['SLOT'])", 2)
    told = [item.message for item in messages(processes, 4) if isinstance(item.message, Failed)]
    assert sorted(message.problem for message in told) == ["0", "1"]


def test_workers_never_share_a_library_cache(start):
    processes = start(SAY + "say(os.environ['XDG_CACHE_HOME'])", 2)
    told = [item.message for item in messages(processes, 4) if isinstance(item.message, Failed)]
    assert len({message.problem for message in told}) == 2
