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
