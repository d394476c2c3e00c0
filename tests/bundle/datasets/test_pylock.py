"""The lock beside the wheels: read by the standard's own library, installed by uv as Kaggle mounts it."""

import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.pylock import Pylock
from packaging.tags import sys_tags

from bundle import build, pylock
from bundle.roots import Root
from kit.local.offline.kaggle_shape import mount_dataset
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.manifest import Entry, Wheel

HERE = f"cp3{sys.version_info[1]}"


def entry(file, name, version="1.0", *, requires):
    wheel = Wheel(
        name=name,
        version=version,
        tags=["-".join(file.rpartition("/")[2].removesuffix(".whl").split("-")[2:])],
        accepts="",
        requires={tag: [] for tag in requires},
    )
    return Entry(file=file, size=3, sha256="0" * 64, role="wheel", wheel=wheel)


def read(entries, tags):
    lock = Pylock.from_dict(tomllib.loads(pylock.document(entries, tags)))
    lock.validate()
    return lock


def test_one_package_for_all_pythons_or_one_for_each_version_with_markers():
    entries = [
        entry("wheels-cp313.zip/a-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", "a", requires=["cp313"]),
        entry("wheels-cp311.zip/a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "a", requires=["cp311"]),
        entry("wheels-cp311.zip/b-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "b", requires=["cp311"]),
        entry("wheels-cp313.zip/b-2.0-cp313-cp313-manylinux_2_17_x86_64.whl", "b", "2.0", requires=["cp313"]),
        Entry(file="verify.py", size=3, sha256="1" * 64, role="data"),
    ]
    lock = read(entries, ["cp313", "cp311", "cp313"])
    assert [(item.name, str(item.version), item.marker and str(item.marker)) for item in lock.packages] == [
        ("a", "1.0", None),
        ("b", "1.0", 'python_version == "3.11"'),
        ("b", "2.0", 'python_version == "3.13"'),
    ]
    assert [wheel.path for wheel in lock.packages[0].wheels] == [
        "wheels-cp311/a-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "wheels-cp313/a-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
    ]
    assert str(lock.requires_python) == ">=3.11"
    assert len(lock.environments) == 2
    assert pylock.document(entries[::-1], ["cp311", "cp313"]) == pylock.document(entries, ["cp313", "cp311"])


def test_a_file_that_lies_in_the_open_keeps_its_path():
    open_file = entry("a-1.0-py3-none-any.whl", "a", requires=["cp313"])
    assert pylock.path_of(open_file) == "a-1.0-py3-none-any.whl"
    assert "verify.py --restore" in pylock.document([open_file], ["cp313"])


@pytest.fixture
def dataset(index, make_ensemble, tmp_path):
    """A dataset of wheels for this Python and another one."""
    other = "cp313" if HERE != "cp313" else "cp312"
    index.add("tool", requires=["helper", f'only-here ; python_version == "3.{HERE[3:]}"', "numpy"])
    index.add("helper", content=b"VALUE = 1\n")
    index.add("only-here", tag=f"{HERE}-{HERE}-manylinux_2_17_x86_64")
    options = build.Options(
        ensembles=[make_ensemble()],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=(HERE, other),
        roots=(Root("tool", exact=True, why="test"),),
    )
    return build.build(options)[0][0]


def install(lock, site):
    command = [find_uv(), "pip", "install", "--no-index", "--offline", "--no-config", "--target", str(site)]
    return subprocess.run(
        [*command, "--python", sys.executable, "-r", str(lock)],
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_uv_installs_a_mounted_dataset_without_our_code_and_refuses_a_changed_wheel(index, dataset, tmp_path):
    assert any(str(tag).startswith(f"{HERE}-{HERE}-manylinux_2_17_x86_64") for tag in sys_tags())
    mounted, _ = mount_dataset(tmp_path / "input", dataset)
    done = install(mounted / pylock.NAME, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "site").glob("*.dist-info")} == {
        "helper-1.0.dist-info",
        "only_here-1.0.dist-info",
        "tool-1.0.dist-info",
    }
    # Archives that stayed packed, or a name that lost a character: verify.py puts the files in their places.
    packed, _ = mount_dataset(tmp_path / "packed", dataset, archives="packed")
    assert install(packed / pylock.NAME, tmp_path / "none").returncode != 0
    restored = tmp_path / "restored"
    done = subprocess.run([sys.executable, packed / "verify.py", "--restore", restored], check=False)
    assert done.returncode == 0
    assert install(restored / pylock.NAME, tmp_path / "again").returncode == 0

    wheel = next((restored / "wheels-common").glob("helper*"))
    shutil.copyfile(index.add("helper", content=b"VALUE = 2\n"), wheel)  # of the same size
    done = install(restored / pylock.NAME, tmp_path / "changed")
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()
