import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import licences
from kit.errors import KitError
from kit.manifest import Wheel


def wheel(licence, name="tool"):
    return Wheel(
        name=name, version="1.0", tags=["py3-none-any"], accepts="", requires={"cp313": []}, licence=licence
    )


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT License", "MIT"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache Software License", "Apache-2.0"),
        ("BSD License", "LicenseRef-BSD"),
        ("BSD License, MIT License", "LicenseRef-BSD AND MIT"),
        ("MIT OR Zlib, MIT License", "(MIT OR Zlib) AND MIT"),
        ("Python Software Foundation License", "PSF-2.0"),
        ("FreeBSD", "BSD-2-Clause"),
        ("BSD 3", "BSD-3-Clause"),
        ("BSD-3-Clause License", "BSD-3-Clause"),
        ("The 3-Clause BSD", "BSD-3-Clause"),
        ("Apache License Version 2.0", "Apache-2.0"),
        ("Apache v2", "Apache-2.0"),
        ("Apache Software License 2.0", "Apache-2.0"),
        ("MPLv2.0", "MPL-2.0"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPLv4", None),
        ("BSD 5", None),
        ("Non-MIT", None),
        ("not stated", None),
        ("Copyright (c) 2001 somebody", None),
        ("", None),
    ],
)
def test_a_licence_gets_its_spdx_expression_or_none(text, expression):
    assert licences.spdx(text) == expression


@given(st.text(max_size=40))
def test_any_text_is_an_expression_that_stays_the_same_or_none(text):
    expression = licences.spdx(text)
    assert expression is None or licences.spdx(expression) == expression


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("MIT", None),
        ("BSD License", None),
        ("MPL-2.0 AND MIT", None),
        ("LGPL-3.0-only", None),
        ("GPL-3.0-or-later OR MIT", None),
        ("GPL-3.0-or-later", "note"),
        ("GPL-3.0-only WITH GCC-exception-3.1", "note"),
        ("MIT AND GPL-2.0+", "note"),
        ("CC-BY-NC-4.0", "error"),
        ("MIT AND CC-BY-NC-4.0", "error"),
        ("MIT OR CC-BY-NC-4.0", None),
        ("SSPL-1.0", "error"),
        ("LicenseRef-Ours", "error"),
        ("not stated", "error"),
    ],
)
def test_only_licences_that_allow_copies_pass(text, level):
    findings = licences.check([wheel(text)])
    assert [finding.level for finding in findings] == ([level] if level else [])


def test_each_distribution_is_told_once_errors_first():
    wheels = [wheel("GPL-3.0-only", "a"), wheel("odd", "c"), wheel("odd", "b"), wheel("odd", "b")]
    assert [finding.name for finding in licences.check(wheels)] == ["b", "c", "a"]


def test_a_package_that_states_no_licence_is_told_what_was_looked_for_and_what_to_write():
    with pytest.raises(KitError) as error:
        licences.require([wheel(licences.NOT_STATED, "mine"), wheel(None, "other"), wheel("MIT", "fine")])
    looked = "its METADATA names no licence (no License-Expression, no classifier, no License)"
    assert error.value.problem.endswith(f"as they are: mine: {looked}; other: {looked}")
    assert "repeat the command with --accept-licence mine --accept-licence other; else" in error.value.fix
    assert 'in its pyproject.toml: license = "MIT" below [project]' in error.value.fix
    with pytest.raises(KitError) as error:
        licences.require([wheel("odd", "mine")])
    assert "pyproject.toml" not in error.value.fix


def test_what_may_not_be_passed_on_is_refused_with_the_option_that_accepts_it():
    wheels = [wheel("odd", "b"), wheel("CC-BY-NC-4.0", "c"), wheel("MIT", "d")]
    with pytest.raises(KitError) as error:
        licences.require(wheels, accepted=["b"])
    assert "c: CC-BY-NC-4.0 is not known to allow everybody to pass on copies" in str(error.value)
    assert "--accept-licence c;" in str(error.value)
    assert "b:" not in error.value.problem
    assert [finding.name for finding in licences.require(wheels, accepted=["b", "c"])] == ["b", "c"]
