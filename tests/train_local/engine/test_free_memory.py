import pytest

from train_local.engine.free_memory import free_memory, of_groups

V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


def group(folder, names, limit, used, cached):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        (names[0], limit),
        (names[1], used),
        ("memory.stat", f"anon 1\n{names[2]} {cached}"),
    ):
        (folder / name).write_text(f"{text}\n", encoding="utf-8")


@pytest.mark.parametrize(("names", "line", "root"), [(V2, "0::", "."), (V1, "4:cpu,memory:", "memory")])
def test_the_own_group_and_those_around_it_count_and_cached_files_do_not(tmp_path, names, line, root):
    top, own = tmp_path / "groups" / root, tmp_path / "own"
    own.write_text(f"1:name=systemd:/x\n{line}/job_7/step_0\n", encoding="utf-8")
    assert of_groups(tmp_path / "groups", own) == []
    group(top / "job_7" / "step_0", names, "max", 5, 5)
    group(top / "job_7", names, 100, 95, 60)
    group(top, names, 1000, 100, 0)
    assert of_groups(tmp_path / "groups", own) == [65, 900]


def test_processes_share_what_this_machine_has(tmp_path):
    assert of_groups(tmp_path, tmp_path / "no file") == []
    free, device = free_memory(1, on_gpu=False)
    assert device == "this machine"
    assert 0 < free_memory(2, on_gpu=False)[0] < free
