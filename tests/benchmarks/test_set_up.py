"""The benchmark of the set-up, on two small wheels: what it measures is done, and each part has its time."""

import pytest

from benchmarks import set_up
from bundle.wheelfile import write_wheel
from kit.errors import KitError
from kit.local.offline.kaggle_shape import mount_dataset
from kit.local.uv import find_uv


def wheel(folder, name):
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": b"x = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    write_wheel(path, files, dist_info=info)
    return path


@pytest.fixture
def wheels(tmp_path):
    return [wheel(tmp_path, name) for name in ("one", "two")]


@pytest.fixture
def mount(wheels, tmp_path):
    mount_dataset(tmp_path / "input", set_up.write_bundle(wheels, tmp_path, "cp313"))
    return tmp_path / "input"


def test_wheels_of_a_mount_are_installed_and_each_part_has_its_time(mount, tmp_path):
    found = set_up._child(mount, tmp_path / "scratch", install=True)
    assert found.keys() == {"find", "restore", "install"}
    assert sorted(path.name for path in (tmp_path / "scratch" / "site").glob("*.py")) == ["one.py", "two.py"]


def test_slow_streams_are_read_by_both(mount, tmp_path):
    slow = {"megabytes_per_s": 1.0}
    assert set_up._child(mount, tmp_path, install=False, **slow).keys() == {"find", "restore", "cpu"}
    assert set_up._child(mount, tmp_path, streams=4, **slow).keys() == {"read", "cpu"}


def test_a_tool_that_fails_is_no_measurement(wheels, tmp_path):
    command = [find_uv(), "pip", "install"]
    set_up._peer(command, wheels, tmp_path)
    wheels[0].write_bytes(b"no wheel")
    with pytest.raises(KitError, match="failed"):
        set_up._peer(command, wheels, tmp_path)
