import json

import pytest

from submission.report.install_log import InstallRow, install_rows
from submission.report.run_page import write_run_page
from tests.html_page import Page

ROOT = "/kaggle/input/datasets/me/kit-wheels"
DATASETS = {"name": "datasets", "seconds": 1.0, "roots": {"kit-wheels": ROOT}, "missing": []}


def choice(name: str, installed: str | None, file: str | None) -> dict[str, object]:
    version = None if file is None else "1.0"
    return {"name": name, "installed": installed, "version": version, "file": file, "reason": f"of {name}"}


CHOICES = [
    choice("torch", "2.6", None),
    choice("a", None, "whl/a.whl"),
    choice("b", "0.9", "whl/b.whl"),
    choice("c", None, "whl/c.whl"),
]
PACKED = "/scratch/from-archives/c.whl"
FOUND = [
    {"file": "whl/a.whl", "path": f"{ROOT}/whl/a.whl", "how": "renamed", "seconds": 0.25},
    {"file": "whl/c.whl", "path": PACKED, "how": "from an archive", "seconds": 1.5},
]
REFUSED = {"whl/b.whl": "b.whl is damaged", "c": "c cannot be imported", "d": "d is nowhere"}


def rows(tool: str | None) -> list[InstallRow]:
    install = {"tool": tool, "installers": [], "choices": CHOICES, "found": FOUND, "refused": REFUSED}
    return install_rows({"events": [DATASETS], "install": install})


def test_each_distribution_has_a_row_with_its_source_and_what_became_of_it():
    torch, a, b, c, d = rows("uv")
    assert torch == InstallRow("torch", "2.6", "already there", None, "", None, "of torch")
    source = "kit-wheels: whl/a.whl (under another name)"
    assert a == InstallRow("a", None, "installed", "1.0", source, 0.25, "of a")
    assert b == InstallRow("b", "0.9", "refused", "1.0", "whl/b.whl", None, "b.whl is damaged")
    assert (c.state, c.why) == ("refused", "c cannot be imported")
    assert c.source == f"{PACKED} (taken out of an archive)"
    assert d == InstallRow("d", None, "refused", None, "", None, "d is nowhere")


def test_what_no_tool_could_install_is_not_called_installed():
    assert [row.state for row in rows(None)] == [
        "already there", "not installed", "refused", "refused", "refused"
    ]  # fmt: skip


def test_a_run_that_ended_before_it_looked_for_packages_has_no_rows():
    assert install_rows({"events": []}) == []


@pytest.mark.parametrize("tool", ["pip", None])
def test_the_page_has_the_tools_with_their_errors(tool, tmp_path):
    installers = [
        {"tool": "uv", "wheels": 2, "seconds": 3.25, "error": "line 1\nno space <left>"},
        {"tool": "pip", "wheels": 2, "seconds": 8.0, "error": None if tool else "the same"},
    ]
    install = {"tool": tool, "installers": installers, "choices": CHOICES, "found": FOUND, "refused": REFUSED}
    run = {"schema": 1, "events": [DATASETS], "problems": [], "install": install}
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    texts = [" ".join(text.split()) for text in Page((tmp_path / "page.html").read_text()).texts]
    assert "line 1 no space <left>" in texts
    assert "3.2" in texts
    assert texts.count("failed") == (1 if tool else 2)
    assert ("installed 1.0" in texts) == (tool is not None)
    assert "refused" in texts
    assert "kit-wheels: whl/a.whl (under another name)" in texts
