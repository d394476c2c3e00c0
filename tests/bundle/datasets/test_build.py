"""Run all of `build` on an index of small wheels."""

import dataclasses
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import __main__ as cli
from bundle import build, wheels_dataset
from bundle.archives import place_weights, place_wheel
from bundle.roots import Root
from bundle.shadow import shadow_table
from kit import ensemble, manifest
from kit.artefacts import sha256_bytes, write_json
from kit.errors import KitError
from kit.local import lockfile, targets
from kit.local.program import run_cli
from kit.requested import Requested

ROOT = Path(__file__).parents[3]
ROOTS = (Root("tool", exact=True, why="test"), Root("helper", exact=False, why="test"))


@pytest.fixture
def options(index, make_ensemble, tmp_path):
    index.add("tool", requires=["numpy>=1.26", 'only-old ; python_version < "3.12"', "helper>=0.5"])
    index.add("helper")
    index.add("only-old", tag="cp311-cp311-manylinux_2_28_x86_64")
    return build.Options(
        ensembles=[make_ensemble(names=("a+1.safetensors", "b.safetensors"))],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=("cp311", "cp313"),
        roots=ROOTS,
    )


def test_a_bundle_holds_wheels_for_every_target_and_the_weights(options, capfd):
    (wheels_folder, wheels), (weights_folder, weights) = build.build(options)
    assert wheels_folder.name == "hubmap-kit-kidney-wheels"
    assert weights_folder.name == "hubmap-kit-kidney-weights"
    assert wheels.manifest.targets == ["cp311", "cp313"]
    by_name = {entry.wheel.name: entry.wheel for entry in wheels.manifest.files if entry.wheel}
    assert by_name["tool"].accepts == "==1.0"
    assert by_name["helper"].accepts == ">=0.5"
    assert by_name["tool"].requires["cp311"] == ["helper", "numpy", "only-old"]
    assert by_name["tool"].requires["cp313"] == ["helper", "numpy"]
    assert set(by_name["only-old"].requires) == {"cp311"}

    roles = {entry.file: entry.role for entry in weights.manifest.files}
    assert roles == {
        "ensemble.json": "config",
        "a-1.safetensors": "weights",
        "b.safetensors": "weights",
        "sbom.json": "data",
        "verify.py": "data",
    }
    shipped = ensemble.load(weights_folder / "ensemble.json")
    assert [member.weights for member in shipped.members] == ["a-1.safetensors", "b.safetensors"]
    said = capfd.readouterr().err
    assert "left to the image: numpy" in said
    assert "hubmap-kit-kidney-weights" in said


def test_every_file_is_what_its_manifest_says(options):
    for folder, written in build.build(options):
        assert manifest.load(folder / "manifest.json").sha256() == written.manifest.sha256()
        for entry in written.manifest.files:
            data = content_of(folder, entry)
            assert (len(data), sha256_bytes(data)) == (entry.size, entry.sha256)


def content_of(folder, entry):
    if entry.archive is None:
        return (folder / entry.file).read_bytes()
    with zipfile.ZipFile(folder / entry.archive) as archive:
        return archive.read(entry.name)


def test_wheels_travel_in_an_archive_per_python_and_a_common_one(options):
    (folder, written), _ = build.build(options)
    assert {entry.archive: entry.name for entry in written.manifest.files if entry.archive} == {
        "wheels-common.zip": "tool-1.0-py3-none-any.whl",
        "wheels-cp311.zip": "only_old-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    }
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset-metadata.json",
        "manifest.json",
        "pylock.toml",
        "sbom.json",
        "verify.py",
        "wheels-common.zip",
        "wheels-cp311.zip",
    ]


@pytest.mark.parametrize(
    ("version", "action"), [("0.4", "ours in front"), ("0.6+cu128", "image keeps its own")]
)
def test_the_shadow_table_is_settled_once_the_wheels_are_read(options, version, action):
    pins = lockfile.load(options.lock)
    [known] = targets.choose(("kaggle-2026-10",), targets.known())
    image = dataclasses.replace(known, freeze={"helper": version})
    rows = shadow_table(pins, ROOTS, image)
    assert next(row.action for row in rows if row.name == "helper") == "unknown"
    closures = wheels_dataset.closures_of([], pins, ROOTS, [image], options.cache)
    contents = wheels_dataset.contents(closures, ROOTS)
    settled = shadow_table(pins, ROOTS, image, accepted=wheels_dataset.accepted_versions(contents))
    row = next(row for row in settled if row.name == "helper")
    assert (row.action, ">=0.5" in row.why) == (action, True)


def test_weights_are_hard_links_of_what_was_trained(options):
    _, (folder, _) = build.build(options)
    trained = options.ensembles[0].parent / "weights"
    assert (folder / "b.safetensors").samefile(trained / "b.safetensors")


def test_more_weights_than_kaggle_takes_at_the_top_share_archives(options, make_ensemble):
    many = make_ensemble("body", names=[f"m{number}.safetensors" for number in range(64)], folder="many")
    _, (folder, written) = build.build(dataclasses.replace(options, ensembles=[many]))
    archives = [entry.archive for entry in written.manifest.files if entry.role == "weights"]
    assert len(archives) == 64
    assert len(set(archives)) == 32
    assert len([path for path in folder.iterdir() if path.name != "dataset-metadata.json"]) == 36
    for entry in written.manifest.files:
        assert sha256_bytes(content_of(folder, entry)) == entry.sha256


@given(st.integers(0, 3000))
def test_weights_never_need_more_entries_than_kaggle_takes(count):
    names = [f"{number}.safetensors" for number in range(count)]
    places = place_weights(names)
    assert [place.rpartition("/")[2] for place in places] == names
    assert len({place.partition("/")[0] for place in places}) <= 46


@pytest.mark.parametrize(
    ("tags", "archive"),
    [
        (["cp313-cp313-manylinux_2_28_x86_64", "cp313-cp313-manylinux_2_17_x86_64"], "wheels-cp313.zip"),
        (["cp312-abi3-manylinux_2_17_x86_64"], "wheels-common.zip"),
        (["py2-none-any", "py3-none-any"], "wheels-common.zip"),
        (["cp311-cp311-linux_x86_64", "cp312-cp312-linux_x86_64"], "wheels-common.zip"),
    ],
)
def test_a_wheel_for_one_python_lies_in_that_pythons_archive(tags, archive):
    assert place_wheel("a.whl", tags) == f"{archive}/a.whl"


def test_the_same_inputs_give_the_same_bytes_from_another_folder_and_a_cold_cache(
    options, read_tree, tmp_path
):
    build.build(options)
    again = dataclasses.replace(options, out=tmp_path / "elsewhere", cache=tmp_path / "cold")
    build.build(again)
    assert read_tree(options.out) == read_tree(again.out)


def test_a_target_that_is_no_longer_wanted_takes_its_wheels_along(options):
    build.build(options)
    fewer = dataclasses.replace(options, targets=("cp313",))
    (folder, wheels), _ = build.build(fewer)
    assert wheels.removed == ["wheels-cp311.zip"]
    assert not (folder / "wheels-cp311.zip").exists()
    assert wheels.manifest.targets == ["cp313"]


def test_ensembles_of_two_competitions_share_the_wheels(options, make_ensemble):
    second = make_ensemble("vasculature", names=("v.safetensors",), folder="second")
    both = dataclasses.replace(options, ensembles=[*options.ensembles, second])
    assert [folder.name for folder, _ in build.build(both)] == [
        "hubmap-kit-wheels",
        "hubmap-kit-kidney-weights",
        "hubmap-kit-vasculature-weights",
    ]


def test_datasets_of_former_names_are_removed_and_those_of_others_stay(options, make_ensemble, capfd):
    second = make_ensemble("vasculature", names=("v.safetensors",), folder="second")
    both = dataclasses.replace(options, ensembles=[*options.ensembles, second])

    def left():
        return sorted(path.name for path in options.out.iterdir())

    build.build(both)
    build.build(options)
    assert left() == [
        "hubmap-kit-kidney-weights",
        "hubmap-kit-kidney-wheels",
        "hubmap-kit-vasculature-weights",
        "hubmap-kit-wheels",
    ], "the last two belong together"
    shutil.rmtree(options.out / "hubmap-kit-vasculature-weights")
    (options.out / "mine-wheels").mkdir()
    renamed = dataclasses.replace(options, prefix="my-kit")
    (options.out / "hubmap-kit-wheels" / "notes.txt").write_text("mine")
    with pytest.raises(KitError, match=r"this one of before holds notes\.txt"):
        build.build(renamed)
    (options.out / "hubmap-kit-wheels" / "notes.txt").unlink()
    build.build(renamed)
    assert left() == ["mine-wheels", "my-kit-kidney-weights", "my-kit-kidney-wheels"]
    assert f"{options.out / 'hubmap-kit-wheels'} is removed" in capfd.readouterr().err


@pytest.mark.parametrize(("other", "mine"), [("x-kidney", "kidney"), ("kidney", "x-kidney"), ("a-b", "b")])
def test_a_competition_whose_name_ends_like_another_keeps_its_datasets(
    options, make_ensemble, read_tree, other, mine
):
    theirs = dataclasses.replace(options, ensembles=[make_ensemble(other, folder="theirs")])
    ours = dataclasses.replace(options, ensembles=[make_ensemble(mine, folder="ours")])
    build.build(theirs)
    before = read_tree(options.out)
    build.build(ours)
    assert before.items() <= read_tree(options.out).items()
    build.build(dataclasses.replace(ours, prefix="last-kit"))
    assert {path.name for path in options.out.iterdir()} == {
        f"{start}-{kind}"
        for start in (f"hubmap-kit-{other}", f"last-kit-{mine}")
        for kind in ("weights", "wheels")
    }


def test_a_name_that_another_competition_has_is_refused(options, make_ensemble, read_tree):
    build.build(dataclasses.replace(options, ensembles=[make_ensemble("a-b", folder="theirs")]))
    before = read_tree(options.out)
    ours = dataclasses.replace(options, ensembles=[make_ensemble("b", folder="ours")], prefix="hubmap-kit-a")
    with pytest.raises(
        KitError, match="dataset of b would have the name of this one, which is of a-b"
    ) as error:
        build.build(ours)
    assert "choose another --prefix" in str(error.value)
    assert read_tree(options.out) == before


@pytest.mark.parametrize("name", ["hubmap-kit-kidney-wheels", "hubmap-kit-wheels"])
def test_wheels_alone_stay_and_are_not_taken_for_a_former_build(options, read_tree, name):
    (wheels, written), _ = build.build(options)
    alone = options.out / name
    if wheels != alone:
        wheels.rename(alone)
    write_json(alone / "requested.json", Requested(asked=[], of_image=[]).as_dict())
    (alone / "sbom.json").unlink()
    manifest.save(alone, dataclasses.replace(written.manifest, dataset=name))
    before = read_tree(alone)
    if name == wheels.name:
        with pytest.raises(
            KitError, match="the dataset of kidney would have the name of this one, which is of wheels"
        ):
            build.build(options)
    else:
        build.build(options)
    assert read_tree(alone) == before


def test_wheels_that_do_not_say_whose_they_are_stay(options, read_tree):
    (wheels, written), _ = build.build(options)
    early = options.out / "hubmap-kit-wheels"
    wheels.rename(early)
    (early / "sbom.json").unlink()
    manifest.save(early, dataclasses.replace(written.manifest, dataset=early.name))
    before = read_tree(early)
    with pytest.raises(KitError, match="do not say for which competition") as error:
        build.build(options)
    assert "delete the folder if it is of kidney" in str(error.value)
    assert read_tree(early) == before


def test_what_is_no_dataset_of_a_build_stays(options, read_tree):
    _, (weights, _) = build.build(options)
    copied = shutil.copytree(weights, options.out / "copied-kidney-weights")
    damaged = shutil.copytree(weights, options.out / "damaged-kidney-weights")
    (damaged / "manifest.json").write_text("{")
    told_nothing = shutil.copytree(weights, options.out / "silent-kidney-weights")
    listed = manifest.load(weights / "manifest.json")
    manifest.save(told_nothing, dataclasses.replace(listed, dataset=told_nothing.name))
    (told_nothing / "ensemble.json").write_text("{}")
    before = read_tree(options.out)
    build.build(options)
    assert read_tree(options.out) == before
    assert copied.is_dir()


def test_two_ensembles_of_one_competition_are_refused(options):
    with pytest.raises(KitError, match="two of the ensembles are for the same competition"):
        build.build(dataclasses.replace(options, ensembles=[*options.ensembles, copy_of(options)]))


def copy_of(options):
    source = options.ensembles[0].parent
    return Path(shutil.copytree(source, source.with_name("copy"))) / "ensemble.json"


def test_a_network_that_needs_more_than_the_bundle_has_is_refused(options, make_ensemble):
    source = make_ensemble(requires=("tool", "Rare_Thing", "numpy"), folder="needy")
    with pytest.raises(KitError, match=r"small\.fold0 needs rare-thing, and the bundle for cp313"):
        build.build(dataclasses.replace(options, ensembles=[source]))
    assert not options.out.exists()


def test_what_a_member_requires_is_shipped_from_the_lock_though_no_root_names_it(
    options, index, make_ensemble, capfd
):
    index.add("rare-thing", requires=["rare-part"])
    index.add("rare-part")
    index.add("for-tests")
    pins = [dataclasses.replace(pin, via=("requirements.in",)) for pin in index.pins()]
    options.lock.write_text(lockfile.render(sorted(pins), command="a test"))
    source = make_ensemble(requires=("tool", "Rare_Thing"), folder="needy")
    (wheels, _), _ = build.build(dataclasses.replace(options, ensembles=[source]))
    names = {entry.wheel.name for entry in manifest.load(wheels / "manifest.json").files if entry.wheel}
    assert {"rare-thing", "rare-part"} <= names
    said = " ".join(capfd.readouterr().err.split())
    assert "not shipped, though requirements.lock has them: for-tests. No member requires them" in said


def test_a_wheel_that_nobody_may_pass_on_stops_the_build_until_its_licence_is_accepted(options, index, capfd):
    index.add("helper", "1.1", licence="My own terms")
    (index.folder / "helper-1.0-py3-none-any.whl").unlink()
    index.lock(options.lock)
    with pytest.raises(KitError, match="helper: 'My own terms' is no licence that is known") as error:
        build.build(options)
    assert "--accept-licence helper" in str(error.value)
    assert not options.out.exists()
    build.build(dataclasses.replace(options, accept_licence=("Helper",)))
    assert "licence of helper: 'My own terms'" in capfd.readouterr().err


def test_whose_copy_is_imported_is_told_before_anything_is_downloaded(options, capfd):
    options.lock.write_text(options.lock.read_text().replace("tool==1.0", "tool==1.7"))
    with pytest.raises(KitError, match=r"tool==1\.7 has no wheel"):
        build.build(dataclasses.replace(options, targets=("kaggle-2026-10",)))
    assert "whose copy is imported" in capfd.readouterr().err


def test_a_prefix_kaggle_would_refuse_stops_before_anything_is_downloaded(options):
    with pytest.raises(KitError, match="as the name of a dataset"):
        build.build(dataclasses.replace(options, prefix="a-prefix-so-long-that-the-whole-name-does-not-fit"))
    assert not options.cache.exists()


KILLED = """
import os, sys
from pathlib import Path
from bundle import build, licences, sbom
from bundle.roots import Root
from kit import models
from kit.local import member_check, targets

models.build(models.tiny("segformer-b0"))
licences._categories(), sbom.document("loads its library once", [])
left = 0
rename = Path.replace

def replace(self, target):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return rename(self, target)

Path.replace = replace
folder = Path(sys.argv[1])
for number in range(100):
    if (process := os.fork()) == 0:
        left = number
        build.build(build.Options(
            ensembles=[Path(sys.argv[2])], out=folder / "out", cache=folder / "cache",
            lock=Path(sys.argv[3]), targets=("cp313",),
            roots=(Root("tool", exact=True, why=""), Root("helper", exact=False, why="")),
        ))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code != 9:
        break
print(code, number)
"""


def test_killed_before_any_rename_and_run_again_it_ends_the_same(options, tmp_path, read_tree):
    """Killed at its first rename, then a new run in the same folder at its second, and so on to the end."""
    undisturbed = dataclasses.replace(options, out=tmp_path / "undisturbed", targets=("cp313",))
    build.build(undisturbed)
    victim = tmp_path / "victim"
    # One interpreter imports everything, then it forks the builds.
    command = [sys.executable, "-c", KILLED, str(victim), str(options.ensembles[0]), str(options.lock)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    code, allowed = map(int, done.stdout.split()[-2:])
    assert code == 0, done.stderr
    assert 3 < allowed < 99
    assert read_tree(victim / "out") == read_tree(undisturbed.out)


# --- the command line ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ensemble", "absent.json"], "absent.json"),
        (["--target", "cp39"], "no target is named 'cp39'"),
        (["--owner", "me/you"], "is not a Kaggle user name"),
        (["--licence", "MIT"], "Kaggle knows no licence 'MIT'"),
    ],
)
def test_wrong_arguments_end_in_a_message_and_exit_code_2(
    make_ensemble, tmp_path, capsys, arguments, message
):
    given = ["build", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    if "--ensemble" not in arguments:
        given += ["--ensemble", str(make_ensemble())]
    assert run_cli(cli.main, [*given, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_lock_can_be_checked_from_the_command_line():
    files = ["--requirements", str(ROOT / "requirements.in"), "--out", str(ROOT / "requirements.lock")]
    assert run_cli(cli.main, ["lock", "--check", *files]) == 0
