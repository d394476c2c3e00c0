"""What docs/command-line.md says of every verb: exit codes, examples, --json, Ctrl-C."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from kit.errors import BAD_INPUT
from kit.local.program import DONE, INTERRUPTED, NOT_ALL, run_cli
from tests.every_verb import INTERRUPT, PROGRAMS, VERBS, arguments_of

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "command-line.md").read_text()
EVERY = pytest.mark.parametrize("name", VERBS)
ALWAYS_JSON = {"train_local train", "bundle upload", "bundle probe", "submission render", "submission submit",
               "submission submissions", "submission installer"}  # fmt: skip
"""They print JSON on stdout and nothing else."""
A_PATH = {"kit.models fetch", "kit.models convert", "train_local report", "train_local baseline",
          "train_local sample", "bundle wheel mmcv", "bundle wheel cbnetv2", "bundle wheel vit-adapter",
          "bundle native", "bundle wheels", "submission report"}  # fmt: skip
"""Their answer is the path of what they wrote, one a line."""
NOTHING = {"train_local stain", "train_local job", "bundle lock", "kit completion"}
"""They print no answer; `completion` prints a script."""
MAINTENANCE = ("benchmarks ", "documents ")
"""Programs for those who work on the kit."""


def call(module, arguments):
    return run_cli(PROGRAMS[module].run, arguments)


def words(name):
    return name.split()[1:]


@EVERY
def test_help_ends_well_and_shows_the_examples(name, capsys):
    module, verb = VERBS[name]
    with pytest.raises(SystemExit) as stop:
        call(module, [*words(name), "--help"])
    assert stop.value.code == DONE
    shown = capsys.readouterr().out
    assert f"usage: python -m {name} " in shown
    assert shown.count(f"  python -m {module} ") == len(verb.examples)


@EVERY
def test_its_examples_can_be_parsed(name, monkeypatch):
    module, verb = VERBS[name]
    assert verb.examples or module == "benchmarks"
    assert verb.task != "other", "the help sorts verbs by task"
    for example in verb.examples:
        namespace = PROGRAMS[module].parser().parse_args(arguments_of(name, example))
        assert namespace.verb is not None
        assert namespace.verb.name == verb.name


@EVERY
def test_an_unknown_option_ends_with_2_and_advice(name, capsys):
    with pytest.raises(SystemExit) as stop:
        call(VERBS[name][0], [*words(name), "--hepl"])
    assert stop.value.code == BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("error: there is no option --hepl\n")
    assert f"where: python -m {name}\n" in said
    assert "did you mean '--help'" in said


@EVERY
def test_ctrl_c_ends_with_130_and_one_line_that_says_how_to_go_on(name, tmp_path):
    module, verb = VERBS[name]
    # Only the verb's beginning is reached, so it does not matter that the files of the example are not there.
    arguments = arguments_of(name, verb.examples[0])
    driver = tmp_path / "driver.py"
    driver.write_text(INTERRUPT)
    done = subprocess.run(
        [sys.executable, str(driver), module, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == INTERRUPTED, done.stderr
    [line] = done.stderr.splitlines()
    command = shlex.join([sys.executable, str(driver), module, *arguments])
    assert line == f"stopped; {verb.kept}; to go on: {command}"
    assert done.stdout == ""


def test_the_answers_of_verbs_are_for_programs_too():
    asked = {name for name, (_, verb) in VERBS.items() if "json" in _fields(verb.options)}
    others = ALWAYS_JSON | A_PATH | NOTHING | {name for name in VERBS if name.startswith(MAINTENANCE)}
    assert asked | others == set(VERBS)
    assert not asked & others
    section = PAGE.partition("## JSON")[2].partition("\n## ")[0]
    named = {name for name in re.findall(r"`([\w.]+ [\w -]+)`", section) if name in VERBS}
    assert named == asked | ALWAYS_JSON, "the page names those that print JSON"


def _fields(options):
    return {item.name for item in fields(options)}


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_program_tells_its_version_and_its_verbs(module, capsys):
    with pytest.raises(SystemExit) as stop:
        call(module, ["--version"])
    assert stop.value.code == DONE
    assert re.fullmatch(r"kaggle-offline-kit \d+\.\d+\.\d+, Python 3\.\d+\.\d+\n", capsys.readouterr().out)
    for arguments, problem in (([], "required: VERB"), (["no-such-verb"], "invalid choice: 'no-such-verb'")):
        with pytest.raises(SystemExit) as stop:
            call(module, arguments)
        assert stop.value.code == BAD_INPUT
        assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "guess"),
    [
        ("train_local trian", "'train'"),
        ("train_local train unet-regnety61 --prepared a --out b", "'unet-regnety16'"),
        ("train_local prepare kidny --data a --out b", "'kidney'"),
        ("train_local show unet-regnety61", "'unet-regnety16'"),
        ("train_local show detectors-x101@txet", "'text'"),
        ("train_local ensemble --prepared a --runs b --out c --as-published kidney-2n", "'kidney-2nd'"),
        ("bundle targets --target kaggle-2026-01", "'kaggle-2026-10'"),
        ("bundle shadow --target cp331", "'cp313'"),
        ("kit score --competition kidny --data a --submission b", "'kidney'"),
        ("kit score --competition kidney --data a --submission b --split tets", "'test'"),
        ("kit.models list unet-regnety61", "'unet-regnety16'"),
        ("kit.models fetch mit_b33", "'mit_b3'"),
        ("submission rehearse --predict . --bundle . --data . --out b --faults hagn", "'hang'"),
        ("submission render --ensmble a --bundle b --out c", "'--ensemble'"),
    ],
)  # fmt: skip
def test_what_was_mistyped_gets_advice(line, guess, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    module, *arguments = line.split()
    try:
        code = call(module, arguments)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == BAD_INPUT, said
    assert "did you mean " in said
    assert guess in said


def test_the_page_has_the_exit_codes():
    codes = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert codes == [str(code) for code in (DONE, NOT_ALL, BAD_INPUT, INTERRUPTED)]
