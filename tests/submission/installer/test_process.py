"""install.py as a process: on each Python, in each shape of the mounts, and what it says when it cannot."""

import json
import shutil
import subprocess
import sys
import zipfile

import pytest

from kit import manifest as manifests
from tests.submission.installer.conftest import OWN, make_bundle


@pytest.fixture
def imports(python, offline):
    """Import a package from a folder in a process, and print what it holds."""

    def run(version, place):
        return offline(python(version), "-c", "import tool; print(tool.VALUE)", PYTHONPATH=str(place))

    return run


def packages_in(tmp_path):
    return sorted(path.name for path in (tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "way",
    [("3.11", "new", "unpacked"), ("3.12", "old", "packed"), ("3.13", "new", "doubled")],
)
def test_each_python_gets_its_wheels_from_every_mount(run_install, mounted, imports, tmp_path, way):
    version, layout, archives = way
    root = mounted(layout=layout, archives=archives)
    place = tmp_path / "packages"
    done = run_install("--input", root, "--folder", place, version=version)
    assert done.code == 0, done.out + done.err
    assert "imported    compiled, tool" in done.out
    assert f"export PYTHONPATH={place}" in done.out
    assert sorted(path.name for path in place.glob("*.dist-info")) == [
        "compiled-1.0.dist-info",
        "helper-1.6+local.1.dist-info",
        "tool-2.0.dist-info",
    ]
    shown = imports(version, place)
    assert shown.out == "7\n"
    assert packages_in(tmp_path) == [], "nothing is left in the temporary folder"


def test_a_second_run_has_nothing_to_do_even_without_the_dataset(run_install, mounted, tmp_path):
    root = mounted()
    first = run_install("--input", root)
    assert first.code == 0, first.out + first.err
    [place] = packages_in(tmp_path)
    assert place.startswith("tiny-wheels-")
    assert place.endswith(f"-cp{OWN.replace('.', '')}")
    shutil.rmtree(root)
    second = run_install("--input", root)
    assert second.code == 0, second.out + second.err
    assert "a former run has installed it all" in second.out
    # Somebody deleted a package: the folder is not what the note says, and is made anew.
    shutil.rmtree(next((tmp_path / "tmp" / place).glob("tool-*.dist-info")))
    third = run_install("--input", root)
    assert third.code == 2
    assert "the folder of the inputs is not there" in third.err


def test_a_missing_dataset_is_told_with_what_is_there(run_install, tmp_path):
    (tmp_path / "input" / "competitions").mkdir(parents=True)
    done = run_install("--input", tmp_path / "input")
    assert done.code == 2
    assert "error: the dataset tiny-wheels is not attached; there is competitions" in done.err
    assert "Add Input > Datasets > tiny-wheels" in done.err
    assert "Traceback" not in done.err + done.out


def test_another_version_of_the_dataset_is_told_from_a_missing_one(run_install, other_bundle, mounted):
    root = mounted(dataset=other_bundle / "tiny-wheels")
    # Some files of another version are the same: they are taken, whatever the manifest says.
    done = run_install("--input", root)
    assert done.code == 2
    assert "tool" in done.err
    assert "attach the version that belongs to this script" in done.err


def test_of_two_bundles_each_installer_takes_its_own(run_install, bundle, other_bundle, mounted, tmp_path):
    root = mounted(root=tmp_path / "input" / "one")
    two = tmp_path / "input" / "two"
    mounted(dataset=other_bundle / "tiny-wheels", root=two, layout="old", archives="packed")
    for folder, version in ((bundle, "2.0"), (other_bundle, "2.1")):
        place = tmp_path / f"packages-{version}"
        done = run_install("--input", root.parent, "--folder", place, script=folder / "install.py")
        assert done.code == 0, done.out + done.err
        assert (place / f"tool-{version}.dist-info").is_dir()


def test_a_truncated_archive_is_named_and_nothing_else_is_lost(run_install, imports, mounted, tmp_path):
    root = mounted(archives="packed")
    tag = f"cp{OWN.replace('.', '')}"
    [cut] = root.rglob(f"wheels-{tag}.zip")
    data = cut.read_bytes()
    cut.unlink()
    cut.write_bytes(data[: len(data) // 2])
    place = tmp_path / "packages"
    done = run_install("--input", root, "--folder", place)
    assert done.code == 2
    assert "LOST        compiled" in done.out
    assert f"wheels-{tag}.zip, which carried it, is damaged" in done.err
    assert "fix:   upload the dataset again" in done.err
    shown = imports(OWN, place)
    assert shown.out == "7\n", "what is not damaged is installed"


def test_renamed_and_unpacked_files_are_found_by_their_content(run_install, mounted, tmp_path):
    root = mounted()
    for number, path in enumerate(sorted(root.rglob("*.whl"))):
        path.rename(path.with_name(f"{number:04}.bin"))
    done = run_install("--input", root, "--folder", tmp_path / "packages")
    assert done.code == 0, done.out + done.err
    assert "3 renamed by Kaggle" in done.out


def test_a_python_without_wheels_is_told_before_anything_is_searched(run_install, bundle, mounted, tmp_path):
    text = (bundle / "install.py").read_text()
    other = tmp_path / "install.py"
    tag = f"cp{OWN.replace('.', '')}"
    listed = manifests.load(bundle / "tiny-wheels" / manifests.NAME).targets
    [line] = [line for line in text.splitlines() if '"targets":' in line]
    kept = [item for item in listed if item != tag]
    other.write_text(text.replace(line, line.replace(json.dumps(listed), json.dumps(kept))))
    done = run_install("--input", mounted(), script=other)
    assert done.code == 2
    assert "tiny-wheels has no wheels for it: it serves" in done.err


def test_a_folder_with_something_else_is_never_deleted(run_install, mounted, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    done = run_install("--input", mounted(), "--folder", tmp_path / "precious")
    assert done.code == 2
    assert "holds something else, which would be deleted" in done.err
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"


def test_what_cannot_be_imported_is_told_though_it_is_installed(run_install, imports, mounted, tmp_path):
    out = make_bundle(tmp_path / "broken", "broken-wheels", "broken", "tool")
    root = mounted(dataset=out / "broken-wheels")
    done = run_install("--input", root, "--folder", tmp_path / "packages", script=out / "install.py")
    assert done.code == 2
    assert "LOST        broken" in done.out
    assert "No module named 'nothing_has_this'" in done.err
    shown = imports(OWN, tmp_path / "packages")
    assert shown.code == 0, shown.err


def test_the_help_and_a_wrong_option_need_no_dataset(run_install):
    done = run_install("--help")
    assert done.code == 0
    assert "--folder DIR" in done.out
    assert "--check-imports" not in done.out
    assert run_install("--fodler", "x").code == 2


def test_a_copy_of_the_image_stays_if_it_is_good_enough_and_is_shadowed_if_not(
    bundle, mounted, offline, tmp_path
):
    image = tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", image], check=True)  # pip judges versions
    [packages] = image.glob("lib/python*/site-packages")
    for name, version in (("tool", "1.9"), ("helper", "1.8")):
        folder = packages / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (packages / f"{name}.py").write_text(f"VALUE = 'of the image'\n__version__ = '{version}'\n")
    done = offline(
        image / "bin" / "python",
        bundle / "install.py",
        "--input",
        mounted(),
        "--folder",
        tmp_path / "packages",
    )
    assert done.code == 0, done.out + done.err
    assert "shadowed    tool: 1.9 of the image -> 2.0 of ours" in done.out
    assert "the image's helper 1.8" in done.out
    assert not list((tmp_path / "packages").glob("helper*"))


def test_the_dataset_is_installed_by_others_too(bundle, tmp_path):
    """The archives hold real wheels under their own names: pip and uv need no install.py."""
    with zipfile.ZipFile(bundle / "tiny-wheels" / "wheels-common.zip") as archive:
        assert sorted(archive.namelist()) == [
            "helper-1.6+local.1-py3-none-any.whl",
            "tool-2.0-py3-none-any.whl",
        ]
