"""Workers as real processes; a few lines of shell or Python stand for what a worker may do wrong."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from submission.runtime.work.processes import Pool

ECHO = """
import json, sys
print("a hook of the image prints this at start-up")
print(json.dumps({"event": "ready"}), flush=True)
for line in sys.stdin:
    print(json.dumps({"event": "done", "got": json.loads(line)}), flush=True)
"""
GRANDCHILD = """
import json, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print(json.dumps({"event": "ready", "child": child.pid}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pool(tmp_path):
    def start(program: str, number: int = 1) -> Pool:
        # The device option the pool adds lands in sys.argv, which these programs ignore.
        made.command = [sys.executable, "-c", program]
        for slot in range(number):
            made.spawn("cpu", slot, {"SLOT": str(slot)})
        return made

    made = Pool([], dict(os.environ), tmp_path)
    yield start
    made.kill_all()


def messages(pool: Pool, count: int) -> list:
    result = []
    for _ in range(200):
        result += pool.poll(0.1)
        if len(result) >= count:
            return result
    raise AssertionError(f"only {result}")


def gone(process: int) -> bool:
    for _ in range(500):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_messages_go_both_ways_and_what_is_no_message_is_ignored(pool):
    crew = pool(ECHO, 2)
    ready = messages(crew, 2)
    assert [message.event for message in ready] == ["ready", "ready"]
    worker = ready[0].worker
    worker.ready = True
    assert crew.idle() == [worker]
    crew.send(worker, "a job", {"op": "think", "text": "line\nbreak"})
    assert crew.idle() == []
    (answer,) = messages(crew, 1)
    assert answer.facts == {"got": {"op": "think", "text": "line\nbreak"}}
    assert answer.worker is worker
    assert worker.job == "a job"


def test_the_end_of_a_process_is_a_message_with_its_code_and_last_words(pool):
    crew = pool("import sys; print('no such library', file=sys.stderr); sys.exit(7)")
    (message,) = messages(crew, 1)
    assert (message.event, message.facts["code"]) == ("exit", 7)
    assert message.worker.tail() == "no such library"
    assert crew.workers == []


def test_a_killed_worker_is_told_by_its_signal(pool):
    crew = pool(ECHO)
    (ready,) = messages(crew, 1)
    os.kill(ready.worker.process.pid, signal.SIGKILL)
    (message,) = messages(crew, 1)
    assert (message.event, message.facts["code"]) == ("exit", -9)


def test_a_stopped_worker_can_be_killed_and_takes_its_children_along(pool):
    crew = pool(GRANDCHILD)
    (ready,) = messages(crew, 1)
    os.kill(ready.worker.process.pid, signal.SIGSTOP)
    assert crew.kill(ready.worker) == -9
    assert gone(ready.facts["child"])
    assert crew.kill(ready.worker) == -9, "killing twice is allowed"


def test_a_message_that_arrives_in_pieces_is_put_together(pool):
    crew = pool(
        "import json, sys, time\n"
        "text = json.dumps({'event': 'done', 'x': 'y' * 200000})\n"
        "sys.stdout.write(text[:7]); sys.stdout.flush(); time.sleep(0.2)\n"
        "print(text[7:], flush=True); sys.stdin.read()"
    )
    (message,) = messages(crew, 1)
    assert len(message.facts["x"]) == 200_000


def test_a_job_for_a_dead_worker_raises_nothing_and_its_exit_is_told(pool):
    crew = pool(ECHO)
    (ready,) = messages(crew, 1)
    ready.worker.process.kill()
    ready.worker.process.wait()
    crew.send(ready.worker, "a job", {"op": "x"})
    (message,) = messages(crew, 1)
    assert (message.event, message.worker.job) == ("exit", "a job")


def test_each_worker_has_its_own_environment(pool):
    crew = pool("import json, os; print(json.dumps({'event': 'slot', 'slot': os.environ['SLOT']}))", 2)
    told = [message for message in messages(crew, 4) if message.event == "slot"]
    assert sorted(message.facts["slot"] for message in told) == ["0", "1"]


def test_workers_never_share_a_library_cache(pool):
    crew = pool(
        "import json, os; print(json.dumps({'event': 'cache', 'at': os.environ['XDG_CACHE_HOME']}))", 2
    )
    told = [message for message in messages(crew, 4) if message.event == "cache"]
    assert len({message.facts["at"] for message in told}) == 2
