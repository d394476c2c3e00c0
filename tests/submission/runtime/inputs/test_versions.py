import platform
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.tags import sys_tags
from packaging.version import Version

from kit.errors import KitError
from submission.runtime.inputs.versions import accepts, parse_version, python_tag, runs_here

numbers = st.integers(0, 30)
suffixes = st.sampled_from(
    ["", "a1", "b2", "rc1", ".dev0", ".dev3", ".post0", ".post2", "a1.dev1", "rc1.post1", "-1"]
)
releases = st.lists(numbers, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
plain = st.tuples(st.sampled_from(["", "1!"]), releases, suffixes).map("".join)
locals_ = st.sampled_from(["", "+cu128", "+cpu", "+1.abc"])
versions = st.tuples(plain, locals_).map("".join)


@given(versions, versions)
@settings(max_examples=500)
def test_versions_order_as_packaging_orders_them(left, right):
    ours, theirs = (parse_version(left), parse_version(right)), (Version(left), Version(right))
    assert (ours[0] < ours[1], ours[0] == ours[1]) == (theirs[0] < theirs[1], theirs[0] == theirs[1])


@given(st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), versions, plain)
@settings(max_examples=700)
def test_comparisons_accept_what_packaging_accepts(operator, installed, wanted):
    specifier = operator + wanted
    assert accepts(specifier, installed) == SpecifierSet(specifier).contains(installed, prereleases=True)


@given(releases.filter(lambda text: "." in text), versions)
@settings(max_examples=300)
def test_compatible_releases_and_prefixes_as_in_packaging(wanted, installed):
    for specifier in (f"~={wanted}", f"=={wanted}.*", f"!={wanted}.*"):
        assert accepts(specifier, installed) == SpecifierSet(specifier).contains(installed, prereleases=True)


@pytest.mark.parametrize(
    ("specifier", "installed", "verdict"),
    [
        ("", "anything at all", True),
        (">=8.4,>=9", "11.3.0", True),
        (">=8.4,>=9", "8.9", False),
        ("==2.11.0", "2.11.0+cu128", True),
        ("==2.11.0+cpu", "2.11.0+cu128", False),
        (">=1.0,<2", "2.0rc1", False),
        (">=1.0", "2.0rc1", True),
        (">=2.0rc1", "2.0rc2", True),
        ("==1.0", "not a version", False),
        ("===1.0+Weird", "1.0+weird", True),
    ],
)
def test_specifiers_of_manifests(specifier, installed, verdict):
    assert accepts(specifier, installed) is verdict


@pytest.mark.parametrize("specifier", ["1.0", "=>1", ">=abc"])
def test_a_malformed_specifier_is_told(specifier):
    with pytest.raises(KitError, match="is not a version"):
        accepts(specifier, "1.0")


def test_every_tag_this_interpreter_supports_runs_here():
    supported = [str(tag) for tag in sys_tags() if tag.interpreter.startswith(("py", "cp"))]
    assert len(supported) > 100
    assert [tag for tag in supported if not runs_here(tag)] == []


@pytest.mark.parametrize(
    "tag",
    [
        "cp310-cp310-manylinux_2_17_x86_64",
        "cp39-none-any",
        "py2-none-any",
        "py3-none-win_amd64",
        f"cp{sys.version_info[0]}{sys.version_info[1] + 1}-abi3-manylinux_2_17_x86_64",
        f"{python_tag()}-{python_tag()}-manylinux_2_17_s390x",
        f"{python_tag()}-{python_tag()}-musllinux_1_1_{platform.machine()}",
        f"{python_tag()}-{python_tag()}-manylinux_9_99_{platform.machine()}",
    ],
)
def test_tags_of_other_pythons_and_platforms_do_not(tag):
    assert not runs_here(tag)
