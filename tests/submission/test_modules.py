from importlib.resources import files
from pathlib import Path

import pytest

from kit.errors import KitError
from submission.modules import collect

ROOT = Path(str(files("kit"))).parent


def tree(root: Path, **sources: str) -> Path:
    for name, text in sources.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in {root / "kit", *(path.parent for path in (root / "kit").rglob("*.py"))}:
        folder.mkdir(exist_ok=True)
        if not (folder / "__init__.py").exists():
            (folder / "__init__.py").write_text("")
    return root


def names(root: Path, entry: str = "kit.main") -> list[str]:
    return [module.name for module in collect(root, entry)]


def test_imports_are_followed_also_inside_functions_and_by_relative_names(tmp_path):
    root = tree(
        tmp_path,
        kit__main="import kit.one\ndef f():\n    from kit.deep import two\n",
        kit__one="",
        kit__deep__two="from . import three\nfrom .four import x\nfrom ..five import y\n",
        kit__deep__three="",
        kit__deep__four="x = 1\n",
        kit__five="y = 1\n",
        kit__unused="",
    )
    expected = [
        "kit",
        "kit.deep",
        "kit.deep.four",
        "kit.deep.three",
        "kit.deep.two",
        "kit.five",
        "kit.main",
        "kit.one",
    ]
    assert names(root) == expected


def test_what_only_type_checkers_import_is_left_out(tmp_path):
    root = tree(
        tmp_path,
        kit__main="from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from kit.heavy import X\nelse:\n    import kit.light\n",
        kit__heavy="",
        kit__light="",
    )
    assert names(root) == ["kit", "kit.light", "kit.main"]


def test_a_registry_may_name_its_modules_in_strings(tmp_path):
    root = tree(
        tmp_path, kit__main='TABLE = {"x": "kit.networks.x"}\n', kit__networks__x="", kit__networks__y=""
    )
    assert names(root) == ["kit", "kit.main", "kit.networks", "kit.networks.x"]


@pytest.mark.parametrize("name", ["kit.local.console", "kit.local.masks.iou", "kit.local"])
def test_nothing_in_kit_local_may_be_reached(tmp_path, name):
    root = tree(tmp_path, kit__main=f"import {name}\n", **{name.replace(".", "__"): "x = 1\n"})
    with pytest.raises(
        KitError, match=r"kit\.main imports kit\.local.*, but nothing in kit\.local may reach"
    ):
        collect(root, "kit.main")


def test_a_name_that_only_begins_alike_is_no_part_of_kit_local(tmp_path):
    root = tree(tmp_path, kit__main="import kit.localised\n", kit__localised="")
    assert names(root) == ["kit", "kit.localised", "kit.main"]


def test_three_single_quotes_are_refused_with_their_line(tmp_path):
    root = tree(tmp_path, kit__main="x = 1\ny = " + "'" * 3 + "text" + "'" * 3 + "\n")
    with pytest.raises(KitError) as caught:
        collect(root, "kit.main")
    assert "main.py, line 2" in str(caught.value)
    assert "use three double quotes" in str(caught.value)


def test_a_missing_entry_point_is_told(tmp_path):
    with pytest.raises(KitError, match=r"kit\.nothing does not exist"):
        collect(tree(tmp_path, kit__main=""), "kit.nothing")


def test_the_real_program_needs_kit_and_runtime_only():
    modules = collect(ROOT, "submission.runtime.main", "submission.runtime.script.importer")
    found = {module.name for module in modules}
    assert {
        "kit",
        "kit.errors",
        "kit.inference.runner",
        "kit.models",
        "submission.runtime.work.worker",
    } <= found
    assert all(
        name in {"kit", "submission"} or name.startswith(("kit.", "submission.runtime")) for name in found
    )
    assert not [name for name in found if name.startswith("kit.local")]
    assert not found & {"kit.competitions.semantic", "kit.competitions.instance"}
    assert [module.path for module in modules] == sorted(module.path for module in modules)


@pytest.mark.parametrize(("kind", "other"), [("semantic", "instance"), ("instance", "semantic")])
def test_a_script_for_one_kind_of_competition_holds_no_code_of_the_other(kind, other):
    found = {module.name for module in collect(ROOT, "kit.competitions", f"kit.competitions.{kind}")}
    assert f"kit.competitions.{kind}" in found
    assert f"kit.competitions.{other}" not in found
