import os
import subprocess
import sys

import pytest

from kit.errors import KitError
from submission.runtime.work.device import (
    available_memory,
    check,
    gpu_slots,
    memory_kills,
    own_memory,
    total_memory,
)


def test_the_cpu_computes():
    facts = check("cpu")
    assert facts.device == "cpu"
    assert facts.model == "CPU"


def test_a_gpu_that_is_not_there_is_told():
    with pytest.raises(KitError, match="cuda:7 cannot be used: ") as caught:
        check("cuda:7")
    assert "choose an accelerator this image's torch was built for" in str(caught.value)


def test_gpus_are_counted_by_the_drivers_files(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert gpu_slots({}, tmp_path) == ["0", "1"]
    assert gpu_slots({}, tmp_path / "absent") == []


@pytest.mark.parametrize(
    ("chosen", "slots"), [("", []), ("-1", []), ("1", ["1"]), ("GPU-abc, 3", ["GPU-abc", "3"])]
)
def test_the_environment_may_limit_them(tmp_path, chosen, slots):
    (tmp_path / "nvidia0").touch()
    assert gpu_slots({"CUDA_VISIBLE_DEVICES": chosen}, tmp_path) == slots


@pytest.mark.parametrize(
    ("folder", "limit", "used"),
    [
        (".", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_a_containers_memory_is_not_used_up_by_files_it_has_read(tmp_path, folder, limit, used):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, text in (
        (limit, "300000000\n"),
        (used, "290000000\n"),
        ("memory.stat", "anon 5\ninactive_file 200000000\nactive_file 7\n"),
    ):
        (tmp_path / folder / name).write_text(text)
    assert available_memory(tmp_path) == 210_000_000
    (tmp_path / folder / limit).write_text("max\n")
    assert available_memory(tmp_path) != 210_000_000


def test_memory_is_a_plausible_number():
    memory = available_memory()
    assert memory is None or 1 << 20 < memory < 1 << 50


def test_a_containers_limit_is_its_whole_memory(tmp_path):
    machine = total_memory(tmp_path)
    assert machine is None or 1 << 30 < machine < 1 << 50
    (tmp_path / "memory.max").write_text("max\n")
    assert total_memory(tmp_path) == machine
    (tmp_path / "memory.max").write_text("300000000\n")
    assert total_memory(tmp_path) == 300_000_000
    # In a rehearsal the limit is that of a group below the root.
    own = tmp_path / "own"
    own.write_text("0::/user/rehearsal-7\n")
    (tmp_path / "user" / "rehearsal-7").mkdir(parents=True)
    (tmp_path / "user" / "rehearsal-7" / "memory.max").write_text("200000000\n")
    assert total_memory(tmp_path, own) == 200_000_000
    assert total_memory(tmp_path, tmp_path / "absent") == 300_000_000


def test_of_a_process_only_its_own_memory_counts_and_not_that_of_files(tmp_path):
    (tmp_path / "large").write_bytes(bytes(300_000_000))
    script = f"""
import mmap
with open({str(tmp_path / "large")!r}, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
seen = sum(mapped[::4096])  # every page of the file is in memory now
x = b'1' * 200_000_000
print("there", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "there\n"
        assert 200_000_000 < own_memory(process.pid) < 300_000_000
        process.communicate("\n")
    assert own_memory(process.pid) == 0
    assert own_memory(os.getpid()) > 0


def test_kills_for_memory_are_counted_in_both_versions_of_control_groups(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/user/job\n9:memory:/docker/ab\n")
    assert memory_kills(tmp_path, tmp_path / "absent") == 0
    assert memory_kills(tmp_path, own) == 0
    (tmp_path / "user" / "job").mkdir(parents=True)
    (tmp_path / "user" / "job" / "memory.events").write_text("low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    assert memory_kills(tmp_path, own) == 3
    (tmp_path / "memory" / "docker" / "ab").mkdir(parents=True)
    (tmp_path / "memory" / "docker" / "ab" / "memory.oom_control").write_text("under_oom 0\noom_kill 5\n")
    assert memory_kills(tmp_path, own) == 5
