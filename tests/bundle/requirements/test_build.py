"""Real bundles of tiny wheels: resolved by uv, downloaded by pip, written as a dataset, told to the user."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from bundle.requirements import resolving
from bundle.requirements.verb import Options, build
from kit import manifest as manifests
from kit import requested as requests
from kit.artefacts import sha256_file
from kit.errors import KitError
from tests.bundle.datasets.conftest import tree
from tests.bundle.foreign_projects import write_project

ROOT = Path(__file__).parents[3]
OLD, NEW, NUMPY = "kaggle-cp311-torch2.8", "kaggle-2026-10", "kaggle-2026-09"
"""Images of Python 3.11 and 3.13, and one of 3.12 whose numpy is known: 2.0.2."""


@pytest.fixture
def make(tmp_path, requirements, index):
    def run(*lines, targets=(OLD, NEW), out="out", **options):
        path = requirements(*lines)
        places = {"requirements": path, "out": tmp_path / out, "cache": tmp_path / "cache"}
        return build(Options(**places, targets=targets, **options))

    return run


def shipped(made):
    listed = manifests.load(made.folder / manifests.NAME)
    return {
        (entry.wheel.name, entry.wheel.version, *sorted(entry.wheel.requires))
        for entry in listed.files
        if entry.wheel is not None
    }


def wheel_of(made, name):
    files = manifests.load(made.folder / manifests.NAME).files
    return next(entry.wheel for entry in files if entry.wheel is not None and entry.wheel.name == name)


def test_each_image_gets_its_wheels_and_the_dataset_says_why(make, index, capfd):
    index.add("tool", "1.0")
    index.add("tool", "2.0", requires=["helper>=1", "numpy>=1.26", 'old-only ; python_version < "3.12"'])
    index.add("helper", "1.5")
    index.add("old-only")
    for tag in ("cp311", "cp313"):
        index.add("compiled", tag=f"{tag}-{tag}-manylinux_2_28_x86_64")
    lines = ("tool>=1", 'compiled ; python_version >= "3.13"', 'helper ; python_version < "3.10"')
    made = make(*lines, name="my-wheels")
    assert shipped(made) == {
        ("tool", "2.0", "cp311", "cp313"),
        ("helper", "1.5", "cp311", "cp313"),
        ("old-only", "1.0", "cp311"),
        ("compiled", "1.0", "cp313"),
    }
    assert wheel_of(made, "tool").accepts == ">=1", (
        "any copy of an image that the user's line allows may stay"
    )
    assert wheel_of(made, "tool").requires == {
        "cp311": ["helper", "numpy", "old-only"],
        "cp313": ["helper", "numpy"],
    }
    asked = requests.load(made.folder / requests.NAME)
    assert [(item.name, item.wanted, item.where, item.modules, item.tags) for item in asked.asked] == [
        ("compiled", "", "requirements.txt:2", ["compiled"], ["cp313"]),
        ("tool", ">=1", "requirements.txt:1", ["tool"], ["cp311", "cp313"]),
    ]
    assert [(item.name, item.accepts, item.asker) for item in asked.of_image] == [("numpy", ">=1.26", "tool")]
    told = capfd.readouterr().err
    assert "4 wheels" in told
    assert "tool needs it" in told
    assert "requirements.txt:2" in told
    done = subprocess.run(
        [sys.executable, made.folder / "verify.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    again = make(*lines, name="my-wheels", out="again")
    assert tree(again.folder) == tree(made.folder)


def test_what_has_no_wheel_for_an_image_is_named_with_the_images_where_it_works(make, index):
    index.add("compiled", tag="cp311-cp311-manylinux_2_28_x86_64")
    with pytest.raises(KitError) as caught:
        make("compiled")
    assert (
        f"compiled has no wheel for {NEW}, and none can be built; it works on {OLD}" in caught.value.problem
    )
    assert f"--target {OLD}" in caught.value.fix
    assert shipped(make("compiled", targets=(OLD,))) == {("compiled", "1.0", "cp311")}


def test_several_that_have_no_wheels_are_told_together(make, index):
    index.add("old", tag="cp311-cp311-manylinux_2_28_x86_64")
    index.add("new", tag="cp313-cp313-manylinux_2_28_x86_64")
    with pytest.raises(KitError) as caught:
        make("old", "new", targets=(OLD, NEW, NUMPY))
    assert caught.value.problem.startswith("2 distributions without wheels for some images:")
    # For Python 3.12 both have none; uv names one of them.
    assert re.search(f"new has no wheel for .*{OLD}", caught.value.problem)
    assert re.search(f"old has no wheel for .*{NEW}", caught.value.problem)
    assert "--package" in caught.value.fix


def test_who_wants_another_numpy_than_the_image_has_is_named(make, index):
    index.add("tool", requires=["helper"])
    index.add("helper", requires=["numpy<2"])
    with pytest.raises(KitError, match=r"helper needs numpy<2; the image kaggle-2026-09 has numpy 2\.0\.2"):
        make("tool", targets=(NUMPY,))
    with pytest.raises(
        KitError, match=r"torch==2\.5 is asked for; the image kaggle-2026-09 has torch 2\.10\.0"
    ) as caught:
        make("tool", "torch==2.5", targets=(NUMPY,))
    assert caught.value.where == "requirements.txt:2"
    # The image of Python 3.13 does not say which numpy it has: the bundle is made and says what it needs.
    made = make("tool", targets=(NEW,))
    assert [(item.name, item.accepts, item.asker) for item in made.requested.of_image] == [
        ("numpy", "<2", "helper")
    ]


def test_an_older_release_that_takes_the_images_numpy_is_found(make, index):
    index.add("tool", "2.0", requires=["numpy>=2.1"])
    index.add("tool", "1.0", requires=["numpy>=1"])
    index.add("numpy", "2.5")
    assert shipped(make("tool", "numpy", targets=(NUMPY,))) == {("tool", "1.0", "cp312")}


def test_images_of_one_python_get_one_version_that_fits_all(make, index):
    """kaggle-2026-09 has torch 2.10.0, kaggle-2026-09-torch2.11 has 2.11.0; both have Python 3.12."""
    index.add("tool", "2.0", requires=["torch>=2.11"])
    index.add("tool", "1.0", requires=["torch>=2.0"])
    index.add("strict", "1.0", requires=["torch<2.11"])
    index.add("strict", "2.0", requires=["torch>=2.11"])
    images = (NUMPY, f"{NUMPY}-torch2.11", f"{NUMPY}-torch2.11-cpu")
    assert shipped(make("tool", targets=images)) == {("tool", "1.0", "cp312")}
    with pytest.raises(KitError, match="the images of cp312 need different versions: strict") as caught:
        make("strict", targets=images)
    assert "leave out one of these images" in caught.value.fix


def test_the_images_of_one_python_get_the_first_ones_versions_as_pins(make, index, tmp_path):
    """uv may leave a preference aside though it fits: then two images got each other's versions for ever."""
    index.add("tool", "1.0")
    index.add("tool", "2.0")
    index.add("helper", "1.0")
    made = make("tool", "helper", targets=(NUMPY, f"{NUMPY}-torch2.11"))
    assert {item[:2] for item in shipped(made)} == {("tool", "2.0"), ("helper", "1.0")}
    resolved = tmp_path / "cache" / "resolved" / "offline-wheels"
    pins = {path.parent.name: path.read_text().split() for path in resolved.glob("*/constraints.txt")}
    assert {"tool==2.0", "helper==1.0"} <= set(pins[f"{NUMPY}-torch2.11"])
    assert not {"tool==2.0", "helper==1.0"} & set(pins[NUMPY])


def test_a_constraint_that_no_image_can_meet_is_told_with_its_line(make, index, tmp_path):
    index.add("tool", requires=["numpy"])
    (tmp_path / "bounds.txt").write_text("# known bad\nnumpy<2\n")
    with pytest.raises(
        KitError, match=r"numpy<2 is asked for; the image kaggle-2026-09 has numpy 2\.0\.2"
    ) as caught:
        make("tool", "-c bounds.txt", targets=(NUMPY,))
    assert caught.value.where == "bounds.txt:2"


def test_an_index_that_does_not_answer_in_time_is_told(make, index, monkeypatch):
    index.add("tool")
    monkeypatch.setattr(resolving, "_PATIENCE", 0.0)
    with pytest.raises(KitError, match=r"uv found no versions for kaggle-.* in 0 s"):
        make("tool")


def test_a_folder_holds_one_bundle(make, index):
    index.add("tool")
    make("tool", targets=(NEW,), name="first-wheels")
    with pytest.raises(KitError, match="this folder holds another bundle of wheels: first-wheels"):
        make("tool", targets=(NEW,), name="other-wheels")


def test_the_dataset_of_an_ensemble_is_not_written_over(make, index, tmp_path):
    index.add("tool")
    theirs = tmp_path / "out" / "kit-kidney-wheels"
    theirs.mkdir(parents=True)
    manifests.save(theirs, manifests.Manifest(dataset=theirs.name, files=[]))
    with pytest.raises(KitError, match="this dataset belongs to an ensemble") as caught:
        make("tool", targets=(NEW,), name=theirs.name)
    assert "give another name with --name" in str(caught.value)
    assert [path.name for path in theirs.iterdir()] == ["manifest.json"]


def test_cuda_is_never_shipped_and_never_insisted_on(make, index):
    index.add("tool", requires=["nvidia-nccl-cu12"])
    index.add("nvidia-nccl-cu12")
    made = make("tool", targets=(NEW,))
    assert shipped(made) == {("tool", "1.0", "cp313")}
    assert wheel_of(made, "tool").requires == {"cp313": []}
    assert [item.name for item in made.requested.of_image] == ["nvidia-nccl-cu12"]


def sdist(index, tmp_path, name="source-only", version="0.3", **about):
    project = write_project(tmp_path / name, name=name, version=version, **about)
    with tarfile.open(index.folder / f"{name}-{version}.tar.gz", "w:gz") as tar:
        tar.add(project, f"{name}-{version}")


def test_what_the_index_has_as_sources_only_is_built(make, index, tmp_path, capfd):
    index.add("tool", "1.0")
    index.add("tool", "2.0", requires=["source-only"])
    sdist(index, tmp_path, requires=["helper"])
    index.add("helper")
    made = make("tool")
    assert shipped(made) == {
        ("tool", "2.0", "cp311", "cp313"),
        ("source-only", "0.3", "cp311", "cp313"),
        ("helper", "1.0", "cp311", "cp313"),
    }, "with wheels alone, tool 1.0 would have been taken without a word"
    assert "built of" in capfd.readouterr().err
    bill = json.loads((made.folder / "sbom.json").read_text())
    [built] = [item for item in bill["components"] if item["name"] == "source-only"]
    assert any("source-only-0.3.tar.gz sha256:" in item["value"] for item in built["properties"])


def test_a_release_that_wheels_alone_hold_back_is_told(make, index, tmp_path, capfd):
    index.add("tool", "1.0")
    index.add("tool", "2.0", requires=["runtime==0.9"])
    index.add("runtime", "1.0")
    sdist(index, tmp_path, "runtime", "0.9")
    made = make("tool")
    assert shipped(made) == {("tool", "1.0", "cp311", "cp313")}
    told = capfd.readouterr().err
    assert "with wheels alone you get tool 1.0 and not tool 2.0, which needs runtime 0.9, of which" in told
    assert "write tool>=2.0 into the file" in told
    assert told.count("with wheels alone") == 1, "the newer Python has what the older one has"
    made = make("tool>=2.0", out="newer")
    assert {item[:2] for item in shipped(made)} == {("tool", "2.0"), ("runtime", "0.9")}
    assert "with wheels alone" not in capfd.readouterr().err


def test_sources_that_cannot_be_built_are_named(make, index, tmp_path):
    sdist(index, tmp_path, broken=True)
    with pytest.raises(KitError, match=r"source-only.* (has no wheel|cannot be had)"):
        make("source-only", targets=(NEW,))


def test_a_source_of_ones_own_is_shipped_with_what_it_needs(make, index, tmp_path):
    project = write_project(tmp_path / "mine", name="my-models", version="0.3", requires=["helper>=1"])
    index.add("helper", "1.5")
    index.add("tool", requires=["my-models"])
    made = make("tool", packages=(str(project),))
    assert shipped(made) == {
        ("tool", "1.0", "cp311", "cp313"),
        ("my-models", "0.3", "cp311", "cp313"),
        ("helper", "1.5", "cp311", "cp313"),
    }
    assert wheel_of(made, "my-models").accepts == "==0.3", "an image's copy of another version is not ours"
    [mine] = [item for item in made.requested.asked if item.name == "my-models"]
    assert (mine.where, mine.wanted) == ("folder mine", "==0.3")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere", "nowhere is not there"),
        ("git+https://host/repo.git@main", "main"),
        ("-e x", "option of pip"),
    ],
)
def test_a_source_that_cannot_be_built_is_refused_before_anything_is_resolved(make, source, problem):
    with pytest.raises(KitError, match=problem) as caught:
        make("tool", packages=(source,))
    assert caught.value.where == "--package"


def test_only_a_file_with_a_written_hash_is_taken(make, index):
    path = index.add("tool")
    assert shipped(make(f"tool==1.0 --hash=sha256:{sha256_file(path)}", targets=(NEW,))) == {
        ("tool", "1.0", "cp313")
    }
    with pytest.raises(KitError, match=r"no file of tool 1\.0 on the index has one of the hashes") as caught:
        make(f"tool==1.0 --hash=sha256:{'0' * 64}", targets=(NEW,))
    assert caught.value.where == "requirements.txt:1"


def test_constraints_hold_and_ship_nothing(make, index, tmp_path):
    for version in ("1.0", "2.0"):
        index.add("tool", version)
    (tmp_path / "bounds.txt").write_text("tool<2\nhelper<1\n")
    assert shipped(make("tool", "-c bounds.txt", targets=(NEW,))) == {("tool", "1.0", "cp313")}


def test_a_licence_that_forbids_copies_is_told_before_the_dataset_is_written(make, index, tmp_path):
    index.add("tool", licence="LicenseRef-Proprietary")
    with pytest.raises(KitError, match="these wheels may not be uploaded"):
        make("tool", targets=(NEW,))
    assert not (tmp_path / "out").exists()
    assert shipped(make("tool", targets=(NEW,), accept_licence=("Tool",))) == {("tool", "1.0", "cp313")}


@pytest.mark.parametrize(
    ("lines", "problem", "where"),
    [
        (("# nothing",), "the file asks for nothing", "requirements.txt"),
        (("torch", "numpy"), "all that is asked for is the image's own", "requirements.txt"),
        (('tool ; python_version < "3.5"',), "no marker of its lines is true there", "requirements.txt"),
        (("# a", "tool[fsat]"), "tool 1.0 has no extra 'fsat'", "requirements.txt:2"),
        (("# a", "tool==9"), "no index has tool==9 for Python 3.13", "requirements.txt:2"),
        (("no-such-name",), "no-such-name", "requirements.txt:1"),
        (("no-such-name[fast]==2",), "no index has no-such-name[fast]==2", "requirements.txt:1"),
    ],
)
def test_a_bad_file_is_told_with_what_to_do(make, index, lines, problem, where):
    index.add("tool", extras=["fast"])
    with pytest.raises(KitError) as caught:
        make(*lines, targets=(NEW,))
    assert problem in caught.value.problem
    assert caught.value.fix
    assert where in str(caught.value.where)


@pytest.mark.parametrize(
    ("options", "problem", "where"),
    [
        ({"name": "My Wheels"}, "Kaggle does not take 'My Wheels'", "--name"),
        ({"owner": "me!"}, "is not a Kaggle user name", "--owner"),
    ],
)
def test_a_bad_option_is_told_with_what_to_do(make, options, problem, where):
    with pytest.raises(KitError) as caught:
        make("tool", targets=(NEW,), **options)
    assert problem in caught.value.problem
    assert caught.value.fix
    assert where in str(caught.value.where)


def test_a_release_that_refuses_a_python_is_named_with_the_line_that_takes_an_older_one(make, index):
    """uv looks at the lower bound of Requires-Python alone, pip at both."""
    index.add("tool", "1.0")
    index.add("tool", "2.0", python=">=3.6,<3.13")
    index.add("user", requires=["tool"])
    with pytest.raises(KitError) as caught:
        make("user")
    assert caught.value.problem == (
        f"pip refuses what uv chose: tool 2.0 has no wheel for {NEW} (its Requires-Python is '<3.13,>=3.6'); "
        f"it works on {OLD}"
    )
    line = 'tool==1.0 ; python_version == "3.13"'
    assert f"add the newest that fits to the file, {line!r}" in caught.value.fix
    assert f"--target {OLD}" in caught.value.fix
    assert {("tool", "1.0", "cp313"), ("tool", "2.0", "cp311")} <= shipped(make("user", line))


def test_an_extra_is_shipped_with_what_it_needs(make, index):
    index.add("tool", extras=["fast-path"], requires=['helper ; extra == "fast-path"'])
    index.add("helper")
    assert shipped(make("tool[Fast_Path]", targets=(NEW,))) == {
        ("tool", "1.0", "cp313"),
        ("helper", "1.0", "cp313"),
    }


def test_a_folder_of_wheels_may_be_relative(make, index, monkeypatch):
    index.add("tool")
    monkeypatch.chdir(index.folder.parent)
    monkeypatch.setenv("PIP_FIND_LINKS", index.folder.name)
    assert shipped(make("tool", targets=(NEW,))) == {("tool", "1.0", "cp313")}
    monkeypatch.setenv("PIP_FIND_LINKS", "not-there")
    with pytest.raises(KitError, match=r"uv cannot resolve for the image .*not-there") as caught:
        make("tool", targets=(NEW,))
    assert "PIP_FIND_LINKS" in caught.value.fix


def test_the_command_prints_the_folder_and_ends_with_2_after_an_error(index, requirements, tmp_path):
    index.add("tool")
    command = [sys.executable, "-m", "bundle", "wheels", "--target", NEW, "--cache", tmp_path / "cache"]
    how = {"cwd": ROOT, "capture_output": True, "text": True, "env": dict(os.environ)}
    good = requirements("tool")
    done = subprocess.run([*command, "--requirements", good, "--out", tmp_path / "out"], check=False, **how)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/out/offline-wheels\n"), done.stderr
    bad = requirements("-e .", name="bad.txt")
    done = subprocess.run([*command, "--requirements", bad, "--out", tmp_path / "out"], check=False, **how)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: '-e .' is an option of pip" in done.stderr
    assert "Traceback" not in done.stderr
