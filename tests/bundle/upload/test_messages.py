"""What a command says and how it ends when something is wrong: what, where, what to do, exit code 2."""

import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle import build
from bundle.__main__ import main
from bundle.roots import Root
from kit.errors import BAD_INPUT
from kit.local.program import run_cli
from tests.bundle.datasets.conftest import index
from tests.bundle.upload.conftest import make_dataset
from tests.kaggle_server.kernels import SOURCES, KernelVersion, Notebook, Run
from tests.kaggle_server.world import Dataset, Version
from tests.namespace import in_namespace

__all__ = ["in_namespace", "index"]
ROOT = Path(__file__).parents[3]
ID = "alice/kit-kidney-weights"


@pytest.fixture
def command(bundle, tmp_path, capfd):
    """Runs `bundle upload` as `python -m bundle` does; gives its exit code and what it printed."""

    def run(*more):
        own = ("--bundle", bundle, "--work", tmp_path / "work", "--patience", "1", *more)
        capfd.readouterr()
        code = run_cli(main, ["upload", *map(str, own)])
        return SimpleNamespace(code=code, **capfd.readouterr()._asdict())

    return run


def assert_told(done, *words):
    """It ended with 2, said these words and what to do, and called nothing verified."""
    assert done.code == BAD_INPUT, done.err
    assert "Traceback" not in done.err
    assert [word for word in ("error: ", *words, "fix:") if word not in done.err] == [], done.err
    assert done.out == ""


def test_no_credentials(kaggle, command):
    server = kaggle(way="none")
    done = command()
    assert_told(done, "no Kaggle credentials", "KAGGLE_API_TOKEN", "kaggle.json", "page Settings")
    assert server.world.faults.seen == []


@pytest.mark.parametrize(
    ("source", "value"), [("KAGGLE_KEY", "0123_of_last_year"), ("KAGGLE_API_TOKEN", "KGAT_of_last_year")]
)
def test_wrong_credentials(kaggle, command, monkeypatch, source, value):
    server = kaggle(way="key" if source == "KAGGLE_KEY" else "token")
    monkeypatch.setenv(source, value)
    done = command()
    assert_told(done, "does not accept", f"where: {source}", "page Settings")
    assert value not in done.err
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_name_that_a_notebook_has(kaggle, command):
    server = kaggle()
    asked = {"language": "python", "text": "", **{key: [] for key in SOURCES}}
    versions = [KernelVersion(1, asked, "None", Run())]
    server.world.notebooks[ID] = Notebook(1, *ID.split("/"), "kit kidney weights", "script", True, versions)
    assert_told(command(), f"a notebook of yours has the name {ID}", f"kaggle.com/code/{ID}", "--prefix")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_name_that_a_notebook_takes_during_the_upload(kaggle, command):
    """Kaggle then answers with status 200, and the official client ends with exit code 0 (trap 5)."""
    server = kaggle()
    world = server.world

    class Late(dict):
        """Notebooks that are there only for the call that makes the dataset."""

        def __contains__(self, name):
            return world.faults.count("datasets.CreateDataset") > 0

    world.notebooks = Late()
    assert_told(command(), f"the name {ID} is taken", "already in use", "--prefix")
    assert ID not in world.datasets


def test_a_dataset_over_the_quota(kaggle, command):
    server = kaggle()
    item = Dataset("alice", "large-dataset", "large dataset", private=True, licence="other")
    item.versions.append(Version(1, "", {"a": b"1" * 400_000}))
    server.world.datasets["alice/large-dataset"] = item
    done = command("--quota-gb", "0.0005")
    assert_told(done, "over the quota", "the largest: alice/large-dataset", "delete datasets", "--quota-gb")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_datasets_that_only_together_are_over_the_quota(kaggle, command, bundle):
    """Each of them alone has room; the second would fail after the first was sent."""
    server = kaggle()
    make_dataset(bundle, seed=1, slug="kit-organs-weights")
    done = command("--quota-gb", "0.0003")
    assert_told(done, "over the quota", "alice/kit-organs-weights needs", "300.0 kB", ID, "delete datasets")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_quota_that_only_kaggle_knows(kaggle, command):
    """Its refusal comes with status 200, and the official client ends with exit code 0 (trap 7)."""
    server = kaggle(quota=1000)
    assert_told(command(), "You have exceeded your private dataset quota", "delete datasets")
    assert ID not in server.world.datasets


def test_a_name_with_an_at_sign(kaggle, command, bundle):
    server = kaggle()
    with zipfile.ZipFile(bundle / "kit-kidney-weights" / "wheels-cp313.zip", "a") as archive:
        archive.writestr("a@b.whl", b"x")
    assert_told(command(), "@ in a file name: wheels-cp313.zip/a@b.whl", "rename the file")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_an_owner_that_is_not_the_accounts(kaggle, command, bundle):
    server = kaggle()
    make_dataset(bundle, owner="bob")
    done = command()
    assert_told(done, "belongs to bob", "(KAGGLE_KEY) are alice's", "use bob's credentials", "--owner alice")
    assert "where: " + str(bundle / "kit-kidney-weights" / "dataset-metadata.json") in done.err
    assert "where: --owner" in command("--owner", "carol").err
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_no_space_left(kaggle, bundle, tmp_path, in_namespace):
    server = kaggle()
    work = tmp_path / "small"
    work.mkdir()
    words = ("-m", "bundle", "upload", "--bundle", str(bundle), "--work", str(work), "--patience", "1")
    setup = f"mount -t tmpfs -o size=64k none {work}; cd {ROOT}"
    done = in_namespace(setup, sys.executable, *words)
    told = SimpleNamespace(code=done.returncode, out="", err=done.stdout)
    assert_told(told, "no space left", "are needed", str(work), "--work")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_no_space_left_for_all_datasets_together(kaggle, bundle, tmp_path, in_namespace):
    server = kaggle()
    make_dataset(bundle, seed=1, slug="kit-organs-weights")
    work = tmp_path / "small"
    work.mkdir()
    words = ("-m", "bundle", "upload", "--bundle", str(bundle), "--work", str(work), "--patience", "1")
    setup = f"mount -t tmpfs -o size=300k none {work}; cd {ROOT}"
    done = in_namespace(setup, sys.executable, *words)
    told = SimpleNamespace(code=done.returncode, out="", err=done.stdout)
    assert_told(told, "no space left", " kB are needed", str(work), "--work")
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_wheel_that_does_not_exist_for_a_python(index, tmp_path, capfd):
    index.add("tool", "3.1", tag="cp312-cp312-manylinux_2_28_x86_64")
    lock = index.lock(tmp_path / "requirements.lock")
    for version in ("3.2", "3.10"):
        index.add("tool", version, tag="cp313-cp313-manylinux_2_17_x86_64")
    options = build.Options(
        ensembles=(),
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=lock,
        targets=("cp313",),
        roots=(Root("tool", exact=True, why="test"),),
    )
    code = run_cli(lambda _: build.run(options), [])
    done = SimpleNamespace(code=code, **capfd.readouterr()._asdict())
    last = SimpleNamespace(code=code, out=done.out, err=done.err[done.err.index("error: ") :])
    assert_told(last, "tool==3.1 has no wheel for cp313", "3.10, 3.2 of tool have one", "requirements.in")
    assert not (tmp_path / "out").exists()
