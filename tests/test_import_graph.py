"""The tool that reads the import graph, and what it has to say of this checkout."""

import pytest

from tests import import_graph
from tests.import_graph import circles, reached, read, rooms, size, sources


def write(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_imports_at_the_top_in_functions_and_of_packages_are_seen(tmp_path):
    root = write(
        tmp_path,
        kit__a="from kit import b\nimport kit.deep.c\n",
        kit__b="def f():\n    from kit.deep import c, VALUE\n",
        kit__deep__c="import json\n",
    )
    (root / "kit" / "deep" / "__init__.py").write_text("VALUE = 1\n")
    graph = read(sources(root))
    assert graph == {
        "kit.a": {"kit.b", "kit.deep.c"},
        "kit.b": {"kit.deep.c", "kit.deep"},
        "kit.deep": set(),
        "kit.deep.c": set(),
    }
    assert reached(graph, ["kit.b"]) == {"kit.b", "kit.deep", "kit.deep.c"}


def test_a_circle_is_found_and_a_diamond_is_none():
    diamond = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}
    assert circles(diamond) == []
    assert circles({**diamond, "d": {"b"}}) == [["b", "d"]]


@pytest.mark.parametrize(
    ("text", "comments"),
    [("x = 1  # why\n", 1), ("# a\n# b\n", 2), ('"""# no comment"""\n', 0), ("x = 1  # noqa: E1 - why\n", 0)],
)
def test_comments_are_counted_but_not_switches_for_tools(tmp_path, text, comments):
    path = tmp_path / "a.py"
    path.write_text(text)
    assert size([path]).comments == comments


def test_no_files_import_each_other_in_a_circle():
    assert circles(read(sources())) == []


def test_the_rooms_of_the_runtime_follow_each_other_without_a_circle():
    files = sources()
    runtime = "submission/runtime"
    every = rooms(read(files), files)
    graph = {
        room: {other for other in others if other.startswith(runtime)}
        for room, others in every.items()
        if room.startswith(runtime)
    }
    assert len(graph) == 7
    assert circles(graph) == []
    assert graph[f"{runtime}/script"] == set(), "it starts, no more"
    assert every["kit/plan"] == {"kit"}, "it decides, no more"
    installer = f"{runtime}/installer"
    assert graph[installer] == {f"{runtime}/inputs", f"{runtime}/script"}
    assert not [room for room, others in graph.items() if installer in others], "predict.py does without it"
    assert f"{runtime}/work" not in graph[f"{runtime}/result"]


def test_the_command_says_so(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["import_graph"])
    assert import_graph.main() == 0
    assert capsys.readouterr().out.endswith("no circle\n")
