import importlib.metadata
import sys
from dataclasses import replace

import pytest

from kit.artefacts import sha256_bytes
from kit.manifest import Entry, Manifest, Wheel
from submission.runtime.inputs.versions import python_tag
from submission.runtime.inputs.wheels import (
    canonical_name,
    choose,
    installed_version,
    is_protected,
    normalise,
    recorded_versions,
)

HERE = python_tag()
NUMPY = importlib.metadata.version("numpy")


def wheel(
    name: str, version: str = "1.0", *, accepts: str = "", requires=(), tags=("py3-none-any",), file=None
) -> Entry:
    described = Wheel(
        name=name,
        version=version,
        tags=list(tags),
        licence="MIT",
        accepts=accepts,
        requires={HERE: list(requires)},
    )
    file = file or f"{name.replace('-', '_')}-{version}-{tags[0]}.whl"
    return Entry(
        file=file,
        size=1,
        sha256=sha256_bytes(f"{name}{version}{tags}".encode()),
        role="wheel",
        wheel=described,
    )


def decide(*entries: Entry, roots: list[str]):
    choices, errors = choose([Manifest(dataset="wheels", files=list(entries))], roots)
    return {choice.name: choice for choice in choices}, errors


def test_what_the_image_lacks_is_installed_with_all_it_needs():
    choices, errors = decide(
        wheel("absent-one", requires=["Absent.Two", "numpy"]),
        wheel("absent-two"),
        wheel("unrelated"),
        roots=["absent-one"],
    )
    assert not errors
    assert [name for name, choice in choices.items() if choice.entry is not None] == [
        "absent-one",
        "absent-two",
    ]
    assert choices["absent-two"].reason == "missing in the image"
    assert "unrelated" not in choices


def test_a_copy_in_the_image_is_kept_if_its_version_is_accepted():
    version = importlib.metadata.version("packaging")
    choices, _ = decide(wheel("packaging", "99.0", accepts=">=20"), roots=["packaging"])
    assert choices["packaging"].entry is None
    assert choices["packaging"].reason == f"the image has {version}, >=20 accepted"


def test_a_copy_outside_the_pin_is_replaced_and_the_reason_names_both():
    version = importlib.metadata.version("packaging")
    choices, _ = decide(wheel("packaging", "99.0", accepts="==99.0"), roots=["packaging"])
    assert choices["packaging"].entry.wheel.version == "99.0"
    assert choices["packaging"].reason == f"the image has {version}, needed is ==99.0"


def test_what_a_kept_copy_needs_is_looked_at_too():
    choices, _ = decide(
        wheel("packaging", accepts="", requires=["absent-one"]), wheel("absent-one"), roots=["packaging"]
    )
    assert choices["packaging"].entry is None
    assert choices["absent-one"].entry is not None


def test_torch_and_numpy_are_left_alone_even_if_the_bundle_holds_them():
    choices, _ = decide(wheel("numpy", "99", accepts="==99"), roots=["numpy"])
    assert choices["numpy"].entry is None
    assert choices["numpy"].installed == NUMPY
    assert [is_protected(name) for name in ("torch", "nvidia-cublas-cu12", "triton", "timm")] == [
        True,
        True,
        True,
        False,
    ]


def test_no_wheel_for_this_python_names_the_tag_and_what_there_is():
    _, errors = decide(wheel("absent-one", tags=["cp27-cp27m-manylinux1_x86_64"]), roots=["absent-one"])
    text = str(errors["absent-one"])
    assert f"the bundle has no wheel of absent-one for {HERE}; it has cp27-cp27m-manylinux1_x86_64" in text
    assert f"build the bundle with a target of {HERE}" in text


def test_what_nobody_has_is_told():
    _, errors = decide(roots=["absent-one"])
    assert "absent-one is neither in this image nor in the bundle" in str(errors["absent-one"])


def test_the_wheel_of_this_python_is_taken_of_several():
    here = f"{HERE}-{HERE}-manylinux_2_17_x86_64"
    other = wheel("absent-one", tags=["cp27-cp27m-manylinux1_x86_64"])
    choices, _ = decide(other, wheel("absent-one", tags=[here]), roots=["absent-one"])
    assert choices["absent-one"].entry.wheel.tags == [here]


def test_requirements_that_go_round_in_circles_end():
    choices, _ = decide(wheel("aa", requires=["bb"]), wheel("bb", requires=["aa"]), roots=["aa"])
    assert sorted(choices) == ["aa", "bb"]


def test_another_distribution_with_the_same_module_counts(monkeypatch, tmp_path):
    metadata = tmp_path / "opencv_python-4.12.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.12.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    choices, _ = decide(wheel("opencv-python-headless"), roots=["opencv-python-headless"])
    assert choices["opencv-python-headless"].entry is None
    assert "the image has opencv-python 4.12.0, the same module" in choices["opencv-python-headless"].reason


@pytest.mark.parametrize(
    ("file", "version", "tags", "expected"),
    [
        ("a_b-1.0-py3-none-any.whl", "1.0", ["py3-none-any"], "a_b-1.0-py3-none-any.whl"),
        ("a_b-1.0-1portable-py3-none-any.whl", "1.0", ["py3-none-any"], "a_b-1.0-1portable-py3-none-any.whl"),
        ("a_b-1.0+cu1-py3-none-any.whl", "1.0+cu1", ["py3-none-any"], "a_b-1.0+cu1-py3-none-any.whl"),
        ("a_b-1.0-cu1-py3-none-any.whl", "1.0+cu1", ["py3-none-any"], "a_b-1.0+cu1-py3-none-any.whl"),
        ("0007.bin", "1.0", ["py2-none-any", "py3-none-any"], "a_b-1.0-py2.py3-none-any.whl"),
    ],
)
def test_the_canonical_name_comes_from_the_manifest_when_the_shipped_one_will_not_do(
    file, version, tags, expected
):
    assert canonical_name(wheel("a-b", version, tags=tags, file=file)) == expected


def test_names_compare_as_indexes_compare_them():
    assert normalise("Foo__Bar.baz") == "foo-bar-baz"
    assert installed_version("PyTest".lower()) == importlib.metadata.version("pytest")
    assert installed_version("absent-one") is None


def metadata(folder, name: str, version: str | None) -> None:
    info = folder / f"{name}-{version or '0.9'}.dist-info"
    info.mkdir(parents=True)
    if version is not None:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("here", "later", "expected"),
    [
        (["1.0"], [], ["1.0"]),
        ([None], [], []),
        ([None], ["1.0"], ["1.0"]),
        ([None, "1.0"], [], ["1.0"]),
        (["1.0", "2.0"], ["3.0"], ["1.0", "2.0"]),
    ],
)
def test_what_metadata_is_worth(tmp_path, here, later, expected):
    for folder, versions in (("here", here), ("later", later)):
        (tmp_path / folder).mkdir()
        for version in versions:
            metadata(tmp_path / folder, "tool", version)
    path = [str(tmp_path / "here"), str(tmp_path / "later")]
    assert sorted(recorded_versions("tool", path)) == expected


def test_metadata_in_the_current_folder_is_not_the_images(tmp_path, monkeypatch):
    metadata(tmp_path, "nowhere_else", "1.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert recorded_versions("nowhere-else") == []


def test_what_is_compiled_for_this_python_comes_before_what_runs_everywhere():
    anywhere = wheel("absent-one", file="wheels-common.zip/absent_one-1.0-1portable-py3-none-any.whl")
    tag = f"{HERE}-{HERE}-linux_x86_64"
    compiled = wheel("absent-one", tags=[tag], file=f"wheels-{HERE}.zip/absent_one-1.0-1native-{tag}.whl")
    other = wheel("absent-one", tags=["cp399-cp399-linux_x86_64"], file="absent_one-1.0-cp399-cp399-x.whl")
    for entries in ([anywhere, compiled, other], [other, compiled, anywhere]):
        choices, _ = decide(*entries, roots=["absent-one"])
        assert choices["absent-one"].entry == compiled
    choices, _ = decide(anywhere, other, roots=["absent-one"])
    assert choices["absent-one"].entry == anywhere


def test_of_two_releases_the_one_that_was_chosen_for_this_python_is_taken():
    """Both run everywhere; the other one is for a Python that the newer release refuses."""
    other = wheel("tool", "1.2")
    other = replace(other, wheel=replace(other.wheel, requires={"cp399": []}))
    compiled = wheel("tool", "1.1", tags=(f"{HERE}-none-any",), file=f"tool-1.1-{HERE}-none-linux.whl")
    compiled = replace(compiled, wheel=replace(compiled.wheel, requires={"cp399": []}))
    mine = wheel("tool", "1.4", requires=["helper"])
    choices, errors = decide(other, compiled, mine, wheel("helper"), roots=["tool"])
    assert not errors
    assert choices["tool"].entry == mine
    assert choices["helper"].entry is not None
    choices, _ = decide(other, roots=["tool"])
    assert choices["tool"].entry == other, "better than none"
