"""uv's explanations, as its releases print them, and the errors that are made of them."""

from dataclasses import replace

import pytest

from bundle.requirements.uv_words import complaint, plain, without_wheel
from kit.local.targets import known

TARGET = replace(
    known()[0], name="image-a", python="3.12.1", tag="cp312", image_has={"numpy": "2.0.2", "torch": "2.10.0"}
)
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because only311==1.0 has no wheels with a matching Python ABI tag (e.g., `cp313`) and only
         only311==1.0 is available, we can conclude that all versions of only311 cannot be used.
         And because you require only311, we can conclude that your requirements are unsatisfiable.
"""
SOURCES_ONLY = """\
error: No solution found when resolving dependencies
  cause: Because all versions of docopt have no usable wheels and you require docopt, we can conclude that
         your requirements are unsatisfiable.
"""
OTHER_NUMPY = """\
error: No solution found when resolving dependencies
  cause: Because foo<=0.9 depends on numpy<1.20 and all versions of foo depend on numpy==2.0.2+image, we
         can conclude that foo<=0.9 cannot be used. (1)

         Because foo>=1.0 depends on numpy<2 and numpy==2.0.2+image, we can conclude that foo>=1.0
         cannot be used.
         And because you require foo, we can conclude that your requirements are unsatisfiable.
"""
NO_SUCH_NAME = """\
error: No solution found when resolving dependencies
  cause: Because tim-m was not found in the package registry and you require tim-m, we can conclude that your
         requirements are unsatisfiable.
"""
EACH_OTHER = """\
error: No solution found when resolving dependencies
  cause: Because you require six==1.15 and six>1.16, we can conclude that your requirements are unsatisfiable.
"""
NO_RELEASE = """\
error: No solution found when resolving dependencies
  cause: Because only six[x]<=1.17.0 is available and you require six[x]>=99, we can conclude that your
         requirements are unsatisfiable.
"""
FAILED = "error: Failed to read `--find-links` directory: /nowhere\n  Caused by: No such file or directory\n"


@pytest.mark.parametrize(
    ("output", "name"),
    [(NO_WHEEL, "only311"), (SOURCES_ONLY, "docopt"), (OTHER_NUMPY, None), (NO_SUCH_NAME, None)],
)
def test_a_distribution_without_wheels_is_told_from_other_reasons(output, name):
    assert without_wheel(plain(output)) == name


def test_who_needs_another_numpy_than_the_image_has_is_named():
    error = complaint(plain(OTHER_NUMPY), TARGET, {"foo": "requirements.txt:3"})
    assert error.problem == (
        "foo<=0.9 needs numpy<1.20, foo>=1.0 needs numpy<2; the image image-a has numpy 2.0.2 and keeps it"
    )
    assert "leave out this image" in error.fix


def test_a_name_that_no_index_has_is_told_with_its_line():
    error = complaint(plain(NO_SUCH_NAME), TARGET, {"tim-m": "requirements.txt:7"})
    assert error.problem == "no index has a distribution named tim-m"
    assert error.where == "requirements.txt:7"


def test_requirements_that_exclude_each_other_are_told_in_uvs_words():
    error = complaint(plain(EACH_OTHER), TARGET, {})
    assert "no set of versions fits the image image-a (Python 3.12.1)" in error.problem
    assert "you require six==1.15 and six>1.16" in error.problem
    assert "error:" not in error.problem


def test_requirements_that_exclude_each_other_are_told_with_their_lines():
    where = {"six": "requirements.txt:1, bounds.txt:3", "sixth": "requirements.txt:2"}
    assert complaint(plain(EACH_OTHER), TARGET, where).where == "requirements.txt:1, bounds.txt:3"


def test_a_release_that_no_index_has_is_told_with_those_there_are():
    where, versions = {"six": "requirements.txt:2"}, ["1.17.0", "1.16.0"]
    error = complaint(
        plain(NO_RELEASE), TARGET, where, released=lambda name: versions if name == "six" else []
    )
    assert error.problem == "no index has six[x]>=99 for Python 3.12"
    assert error.where == "requirements.txt:2"
    assert error.fix == "correct its version: there are 1.17.0, 1.16.0"
    assert complaint(plain(NO_RELEASE), TARGET, {}).fix == "correct its version, or its name"


def test_a_failure_of_uv_is_not_told_as_versions_that_do_not_fit():
    error = complaint(plain(FAILED), TARGET, {})
    assert error.problem.startswith("uv cannot resolve for the image image-a: Failed to read `--find-links`")
    assert "PIP_FIND_LINKS" in error.fix
