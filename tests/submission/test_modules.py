from importlib.resources import files
from pathlib import Path

import pytest

from kit.errors import KitError
from submission.modules import collect
from submission.render import ENTRIES

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


def test_what_needs_rich_may_not_be_reached(tmp_path):
    root = tree(
        tmp_path, kit__main="from kit.local.console import track\n", kit__local__console="import rich\n"
    )
    with pytest.raises(
        KitError, match=r"kit\.main imports kit\.local\.console, which Kaggle's image may not be able to run"
    ):
        collect(root, "kit.main")


def test_three_single_quotes_are_refused_with_their_line(tmp_path):
    root = tree(tmp_path, kit__main="x = 1\ny = " + "'" * 3 + "text" + "'" * 3 + "\n")
    with pytest.raises(KitError) as caught:
        collect(root, "kit.main")
    assert "main.py, line 2" in str(caught.value)
    assert "use triple double quotes" in str(caught.value)


def test_a_missing_entry_point_is_told(tmp_path):
    with pytest.raises(KitError, match=r"kit\.nothing does not exist"):
        collect(tree(tmp_path, kit__main=""), "kit.nothing")


def test_the_real_program_needs_kit_and_runtime_only():
    modules = collect(ROOT, *ENTRIES)
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
    assert "kit.local.console" not in found
    assert [module.path for module in modules] == sorted(module.path for module in modules)
