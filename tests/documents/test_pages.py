"""The pages that are made from the code are as it makes them now, and the navigation has all pages."""

import shutil
from pathlib import Path

import pytest
import yaml

from documents import dependencies, licences_page, pages, site, staging
from documents.__main__ import main
from documents.markdown import cell, code
from kit.errors import KitError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_is_as_the_code_makes_it(name):
    assert pages.stale(ROOT, [name]) == [], "run `python -m documents write`, read what changed, commit it"


def test_a_new_message_makes_the_page_stale_and_writing_it_mends_that(tmp_path):
    shutil.copytree(ROOT / "documents/introductions", tmp_path / "documents/introductions")
    (tmp_path / "docs").mkdir()
    for name in ("kit", "submission"):
        (tmp_path / name).mkdir()
    (tmp_path / "kit/a.py").write_text("def f():\n    raise KitError('old', fix='look')\n")
    assert pages.write(tmp_path, ["errors"]) == ["docs/errors.md"]
    (tmp_path / "kit/b.py").write_text("def f():\n    raise KitError('quite new', fix='look')\n")
    assert pages.stale(tmp_path, ["errors"]) == ["docs/errors.md"]
    assert pages.write(tmp_path, ["errors"]) == ["docs/errors.md"]
    text = (tmp_path / "docs/errors.md").read_text()
    assert "- `old`<br>**Do:** look<br>" in text
    assert "- `quite new`<br>**Do:** look<br>" in text
    assert pages.stale(tmp_path, ["errors"]) == []


def test_a_page_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(KitError, match="no page is called licenses") as refused:
        pages.stale(ROOT, ["licenses"])
    assert "licences" in refused.value.fix


def nav():
    text = (ROOT / "mkdocs.yml").read_text()

    def files(entry):
        match entry:
            case str():
                yield entry
            case dict():
                for inner in entry.values():
                    yield from files(inner)
            case list():
                for inner in entry:
                    yield from files(inner)

    return list(files(yaml.safe_load(text)["nav"]))


def test_the_navigation_has_each_page_once():
    there = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
    assert sorted(nav()) == there, "add the page to `nav` in mkdocs.yml"


# --- Markdown ---


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a <b>", "`a <b>`"),
        ("run `x`", "`` run `x` ``"),
        ("(in|out) <n>", "<code>(in&#124;out) &lt;n&gt;</code>"),
        ("two\n  lines", "`two lines`"),
    ],
)
def test_a_message_is_code_in_a_table(text, written):
    assert code(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("give <name> a_b*", "give &lt;name&gt; a\\_b\\*"),
        ("run `a_b | c` or d|e", "run <code>a_b &#124; c</code> or d&#124;e"),
        ("[x](y)", "\\[x\\](y)"),
    ],
)
def test_a_sentence_looks_in_a_table_as_it_is_written(text, written):
    assert cell(text) == written


# --- the folder of the site ---


def test_links_to_sources_become_their_words_in_the_site(tmp_path):
    root, out = tmp_path / "repository", tmp_path / "out"
    (root / "docs").mkdir(parents=True)
    (root / "kit").mkdir()
    (root / "kit/a.py").touch()
    page = root / "docs/page.md"
    page.write_text("see [`a.py`](../kit/a.py#L3), [b](b.md)\n```\n[x](../gone)\n```\n")
    out.mkdir()
    (out / "old.md").touch()
    staging.stage(root, out)
    assert (out / "page.md").read_text() == "see `a.py`, [b](b.md)\n```\n[x](../gone)\n```\n"
    assert not (out / "old.md").exists()
    page.write_text("see [a](../kit/b.py)")
    with pytest.raises(KitError, match=r"the link \[a\]\(../kit/b.py\) leads nowhere"):
        staging.stage(root, out)
    page.write_text("see [a](../../elsewhere)")
    with pytest.raises(KitError, match="leads nowhere"):
        staging.stage(root, out)


def test_every_link_out_of_the_documents_leads_to_a_file(tmp_path):
    assert main(["stage", "--out", str(tmp_path / "out")]) == 0
    assert "](../" not in "".join(path.read_text() for path in (tmp_path / "out").rglob("*.md"))


@pytest.mark.parametrize(
    "asks",
    [
        '<script src="https://elsewhere.example/x.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.example/x.css">',
        '<img src="http://elsewhere.example/x.png">',
    ],
)
def test_a_site_that_asks_another_host_is_refused(tmp_path, asks):
    (tmp_path / "a.html").write_text('<a href="https://elsewhere.example">x</a><img src="x.svg">')
    assert site.require_alone(tmp_path) == 1
    (tmp_path / "b.html").write_text(f"<html>{asks}</html>")
    with pytest.raises(KitError, match=r"asks another host for .*elsewhere") as refused:
        site.require_alone(tmp_path)
    assert refused.value.where.endswith("b.html")


def test_a_folder_without_pages_is_no_site(tmp_path):
    with pytest.raises(KitError, match="there is no page"):
        site.require_alone(tmp_path)


# --- dependencies and licences ---


def test_every_line_of_the_requirements_has_a_reason_and_a_last_release():
    lines = dependencies.lines(ROOT)
    assert {line.file for line in lines} == set(dependencies.FILES)
    text = (ROOT / "docs/dependencies.md").read_text()
    assert all(f"`{line.name}" in text for line in lines)


@pytest.mark.parametrize(
    ("line", "problem"),
    [("somewhat", "somewhat has no reason"), ("somewhat  # MIT; x", "nobody looked at the last release of")],
)
def test_a_line_without_reason_or_release_is_an_error(tmp_path, line, problem):
    for name in dependencies.FILES:
        (tmp_path / name).write_text("")
    (tmp_path / dependencies.FILES[0]).write_text(f"# a group\n{line}\n")
    shutil.copytree(ROOT / "documents", tmp_path / "documents")
    with pytest.raises(KitError, match=problem):
        dependencies.page(tmp_path)


def test_the_licences_are_those_of_all_that_the_roots_of_the_bundle_need():
    found, askers = licences_page.shipped()
    names = {item.name for item in found}
    assert {"mmcv-full", "mmdet", "timm", "vit-adapter", "zipp"} <= names
    assert not names & {"torch", "numpy", "torchvision"}
    assert "predict.py" in askers["timm"]
    assert "mmdet" in askers["terminaltables"]
