import platform
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.tags import sys_tags

from kit.errors import KitError
from submission.runtime.inputs.versions import accepts, python_tag, runs_here

ROOT = Path(__file__).parents[4]

numbers = st.integers(0, 30)
suffixes = st.sampled_from(
    ["", "a1", "b2", "rc1", ".dev0", ".dev3", ".post0", ".post2", "a1.dev1", "rc1.post1", "-1"]
)
releases = st.lists(numbers, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
plain = st.tuples(st.sampled_from(["", "1!"]), releases, suffixes).map("".join)
locals_ = st.sampled_from(["", "+cu128", "+cpu", "+1.abc"])
versions = st.tuples(plain, locals_).map("".join)


COPIES = {"packaging": (), "pip's": ("packaging",), "none": ("packaging", "pip._vendor.packaging")}
"""Which copies of `packaging` an image lacks."""


@pytest.fixture(params=sorted(COPIES))
def copy(request, monkeypatch):
    """Which copy this image has."""
    # An import of pip makes setuptools' finder give up distutils for good, in the whole test process.
    others = [finder for finder in sys.meta_path if type(finder).__name__ != "DistutilsMetaFinder"]
    monkeypatch.setattr(sys, "meta_path", others)
    for name in COPIES[request.param]:
        for module in [name, *(loaded for loaded in sys.modules if loaded.startswith(f"{name}."))]:
            monkeypatch.setitem(sys.modules, module, None)
    return request.param


comparisons = st.tuples(st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), plain).map("".join)
series = releases.filter(lambda text: "." in text)
prefixes = st.builds(
    lambda form, text: form.format(text), st.sampled_from(["~={}", "=={}.*", "!={}.*"]), series
)
specifiers = st.lists(comparisons | prefixes, min_size=1, max_size=3).map(",".join)


@given(specifiers, versions)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_kept_is_what_packaging_accepts(copy, specifier, installed):
    expected = SpecifierSet(specifier).contains(installed, prereleases=True)
    if copy == "none":  # rather one wheel too many than one too few
        assert accepts(specifier, installed) <= expected
    else:
        assert accepts(specifier, installed) == expected


@given(plain)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_very_version_that_is_asked_for_is_kept_in_every_image(copy, version):
    assert accepts(f"=={version}", version)


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
    ],
)
def test_specifiers_of_manifests(copy, specifier, installed, verdict):
    by_text = specifier in {"", f"=={installed}"}
    assert accepts(specifier, installed) is (by_text if copy == "none" else verdict)


def test_a_broken_copy_in_the_image_counts_as_none(monkeypatch, tmp_path):
    (tmp_path / "packaging").mkdir()
    (tmp_path / "packaging" / "__init__.py").write_text("raise RuntimeError('half an update')\n")
    code = "from submission.runtime.inputs.versions import accepts; print(accepts('>=1.0', '2.0'))"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("specifier", ["1.0", "=>1", ">=abc"])
def test_a_malformed_specifier_is_told(specifier):
    with pytest.raises(KitError, match=f"'{specifier}' is not a version specifier"):
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


def test_pips_copy_is_found_where_setuptools_warns_about_it():
    code = """
import sys
import setuptools, distutils
for name in [name for name in sys.modules if name.partition(".")[0] == "packaging"]:
    sys.modules[name] = None
sys.modules["packaging"] = None
from submission.runtime.inputs.versions import accepts
print(accepts(">=1.0", "2.0rc1"))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
