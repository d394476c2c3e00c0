"""The table of contents lists what exists: no stub, nothing missing; its environment is made when needed."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.nox_calls import NoxCalls, Session, Stopped
from train_local import recipes

ROOT = Path(__file__).parents[1]
STATEMENTS = ast.parse((ROOT / "noxfile.py").read_text()).body


def constant(name):
    for node in STATEMENTS:
        if isinstance(node, ast.Assign) and [
            target.id for target in node.targets if isinstance(target, ast.Name)
        ] == [name]:
            return ast.literal_eval(node.value)
    raise AssertionError(f"noxfile.py assigns no {name}")


def sessions():
    for node in STATEMENTS:
        if isinstance(node, ast.FunctionDef) and "nox.session" in map(
            ast.unparse, [getattr(decorator, "func", decorator) for decorator in node.decorator_list]
        ):
            yield node


def test_every_recipe_has_its_session_where_nox_runs_without_our_dependencies(tmp_path):
    # A nox that only records sessions, in an isolated interpreter: no package of ours can be imported there.
    (tmp_path / "nox.py").write_text(
        "from types import SimpleNamespace\n"
        "options, sessions, Session = SimpleNamespace(), [], object\n"
        "registry = SimpleNamespace(get=lambda: sessions)\n"
        "def session(function=None, name=None):\n"
        "    if function is None:\n"
        "        return lambda function: session(function, name)\n"
        "    sessions.append(name or function.__name__)\n"
        "    return function\n"
    )
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import nox, runpy; "
        f"runpy.run_path({str(ROOT / 'noxfile.py')!r}); print(*nox.sessions)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    made = [name for name in done.stdout.split() if name.startswith("train-") and name != "train-all"]
    assert made == [f"train-{name}" for name in recipes.names()]


@pytest.mark.parametrize(
    ("asked", "stops", "advice"),
    [
        ("bundle upload", True, ""),
        ("tests lint", False, ""),
        ("tests lnit", False, "no session is called 'lnit': did you mean 'lint'? `nox -l` lists all\n"),
    ],
)
def test_after_a_bundle_that_failed_the_former_one_is_not_sent_and_a_mistyped_one_is_told(
    tmp_path, asked, stops, advice
):
    (tmp_path / "nox.py").write_text(
        "from types import SimpleNamespace\n"
        "options, Session = SimpleNamespace(), object\n"
        "registry = SimpleNamespace(get=lambda: ['bundle', 'upload', 'tests', 'lint'])\n"
        "def session(function=None, name=None):\n"
        "    return function or (lambda function: function)\n"
    )
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = {['nox', '-s', *asked.split()]!r}; "
        f"import nox, runpy; runpy.run_path({str(ROOT / 'noxfile.py')!r}); "
        "print(nox.options.stop_on_first_error)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(stops)
    assert done.stderr == advice


def test_the_demo_shows_competitions_there_is_a_sample_of_and_trains_recipes_for_them():
    demo = constant("DEMO")
    assert set(demo) <= {path.parent.name for path in ROOT.glob("sample/*/README.md")}
    assert {recipes.competition_of(recipe): recipe for recipe in demo.values()} == demo
    marked = [name for name in recipes.names() if getattr(recipes.get(name), "demo", False)]
    assert sorted(demo.values()) == marked, "their tiny forms have more steps"


def test_the_page_of_sessions_lists_those_there_are():
    table = (ROOT / "docs" / "sessions.md").read_text().split("| session | does |")[1].split("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    named = {code.split(" ")[0] for first in firsts for code in re.findall(r"`([^`]+)`", first)}
    there = {node.name.replace("_", "-") for node in sessions()} - {"train"}
    assert named == {*there, "train-<recipe>"}


def usages():
    """(session, what stands behind `--` in docs/sessions.md, the usage of its docstring)."""
    told = {node.name.replace("_", "-"): ast.get_docstring(node) or "" for node in sessions()}
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/sessions.md").read_text(), re.MULTILINE)
    for name, usage in re.findall(r"`([a-z-]+) -- ([^`]+)`", "\n".join(rows)):
        yield name, usage, re.findall(r"`-- ([^`]+)`", told[name])


@pytest.mark.parametrize(
    ("name", "usage", "known"), list(usages()), ids=[f"{name} {usage}" for name, usage, _ in usages()]
)
def test_the_page_of_sessions_writes_arguments_as_the_sessions_do(name, usage, known):
    def places(text):
        # "[COMPETITION] --data DIR" -> ["COMPETITION"]: what stands before the options, in its order.
        return re.findall(r"[A-Z]+(?:\.py|\.json)?", re.split(r"(?:^|\[| )--", text)[0])

    options = set(re.findall(r"--[a-z-]+", usage))
    written = [text for text in known if options <= set(re.findall(r"--[a-z-]+", text))]
    assert any(places(text) == places(usage) for text in written), known


def test_every_session_says_in_a_line_what_it_does():
    described = {node.name: ast.get_docstring(node) for node in sessions()}
    assert len(described) >= 12
    assert {name: text for name, text in described.items() if not text or "\n\n" in text.strip()} == {}


# --- competitions and folders ---


@pytest.fixture
def project(tmp_path, monkeypatch):
    """noxfile's own functions, looking at a folder of the test."""
    calls = NoxCalls(tmp_path, monkeypatch)
    inside = calls.sessions["bundle"].__globals__
    inside["RUNS"] = tmp_path / "runs"
    inside["options_for"] = lambda _, options: options
    functions = {name: inside[name] for name in ("chosen", "name_of", "measured")}
    return SimpleNamespace(root=tmp_path, **functions)


def test_where_nothing_is_prepared_the_competitions_of_the_demo_are_named(project):
    for name in ("kidney", "demo/vasculature"):
        (project.root / "dist" / name).mkdir(parents=True)
        (project.root / "dist" / name / "ensemble.json").write_text("{}")

    def error(text):
        raise SystemExit(text)

    told = r"(?s)no competition is prepared yet.*dist/ has, demo/vasculature, kidney.*-- demo/vasculature"
    with pytest.raises(SystemExit, match=told):
        project.chosen(SimpleNamespace(posargs=[], error=error))


def test_the_demo_has_folders_of_its_own_and_ends_with_each_verdict(tmp_path, monkeypatch):
    calls = NoxCalls(tmp_path, monkeypatch)
    inside = calls.sessions["demo"].__globals__
    inside["RUNS"] = tmp_path / "runs"
    for name in constant("DEMO"):
        rehearsed = tmp_path / "dist" / "demo" / name / "rehearsal" / "rehearsal.json"
        rehearsed.parent.mkdir(parents=True)
        rehearsed.write_text(json.dumps({"verdict": {"text": f"NOT SAFE to send {name}"}}))

    class Told(Session):
        def run(self, *command, **how):
            super().run(*command, **how)
            return '{"value": 0.5}'

        def log(self, text):
            said.append(text)

    said: list[str] = []
    monkeypatch.setattr(sys, "argv", ["nox", "-s", "demo"])
    calls.sessions["demo"](session := Told("demo", []))
    named = [Path(item) for command in session.commands for item in command if item.startswith(str(tmp_path))]
    assert {"/".join(path.relative_to(tmp_path).parts[:2]) for path in named} == {
        "work/demo",
        "runs/demo",
        "dist/demo",
    }
    for name in constant("DEMO"):
        assert f"{name}: NOT SAFE to send {name}" in said
        assert (tmp_path / "dist" / "demo" / name / "scores.json").is_file()
    assert said[-1].startswith(f"report: {tmp_path}/dist/demo/report.html")


def test_a_competition_of_a_file_has_the_folders_of_its_name(project):
    (project.root / "some.toml").write_text('like = "kidney"\nname = "glands"\n')
    assert project.name_of(str(project.root / "some.toml")) == "glands"
    assert project.name_of("kidney") == "kidney"
    (project.root / "broken.toml").write_text("name = ")
    assert project.name_of(str(project.root / "broken.toml")) == "broken"


def test_competitions_are_those_named_else_those_prepared_whatever_defines_them(project):
    for name in ("kidney", "glands"):
        (project.root / "work" / name).mkdir(parents=True)
        (project.root / "work" / name / "prepared.json").write_text("{}")
    chosen = [project.chosen(SimpleNamespace(posargs=args)) for args in ([], ["glands", "--tiny"], ["body"])]
    assert chosen == [(["glands", "kidney"], []), (["glands"], ["--tiny"]), (["body"], [])]


def test_other_weights_are_scored_on_what_was_prepared_and_trained(project):
    (project.root / "work" / "kidney").mkdir(parents=True)
    (project.root / "work" / "kidney" / "prepared.json").write_text('{"data": "/data/kidney"}')
    runs = str(project.root / "runs" / "kidney")
    given = ["--weights-dtype=float16"]
    assert project.measured("kidney", given) == [*given, "--data", "/data/kidney", "--runs", runs]
    assert project.measured("kidney", []) == []
    assert project.measured("body", given) == given


# --- help, and names that there are not ---

HELPFUL = {
    "prepare": "train_local prepare",
    "train-all": "train_local train-all",
    "ensemble": "train_local ensemble",
    "add-model": "train_local add-model",
    "bundle": "bundle build",
    "gate": "bundle gate",
    "native": "bundle native",
    "upload": "bundle upload",
    "render": "submission render",
    "rehearse": "submission rehearse",
    "report": "submission report",
    "probe": "bundle probe",
    "submit": "submission submit",
    "submissions": "submission submissions",
    "train-unet-regnety16": "train_local train",
}


@pytest.mark.parametrize("name", HELPFUL)
@pytest.mark.parametrize("arguments", [["--help"], ["kidney", "--help"]], ids=["alone", "of one"])
def test_help_is_that_of_the_session_s_command_before_anything_is_prepared(
    tmp_path, monkeypatch, name, arguments
):
    [command] = NoxCalls(tmp_path, monkeypatch)([name], *arguments)[name]
    assert "--help" in command
    assert " ".join(command[1:3]) == HELPFUL[name]


def test_a_session_that_calls_its_command_for_the_user_is_in_the_test_of_help():
    takes = {
        node.name.replace("_", "-")
        for node in sessions()
        if {"chosen", "with_defaults"}
        & {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    }
    assert takes - {"screenshots", "train"} <= set(HELPFUL)


def test_a_competition_that_there_is_not_is_told_with_one_that_is_like_it(tmp_path, monkeypatch):
    calls = NoxCalls(tmp_path, monkeypatch)
    for name in ("rehearse", "upload", "ensemble", "submit"):
        with pytest.raises(Stopped, match=r"(?s)no competition is called 'kidny'.*did you mean 'kidney'"):
            calls([name], "kidny")
    (tmp_path / "dist" / "kidny").mkdir(parents=True)
    assert calls(["submit"], "kidny")["submit"]
    assert calls(["submit"], "anything-else")["submit"], "the command says what its folder lacks"


@pytest.mark.parametrize("arguments", [[], ["model.py", "--weights", "a@0"], ["--weights", "a@0"]])
def test_a_model_without_its_competition_is_told_the_order(tmp_path, monkeypatch, arguments):
    with pytest.raises(Stopped, match="say which competition: `nox -s add-model"):
        NoxCalls(tmp_path, monkeypatch)(["add-model"], *arguments)
