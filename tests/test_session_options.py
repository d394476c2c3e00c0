"""The command lines of sessions, alone and several in one call, as nox would run them."""

import pytest

from kit.errors import KitError
from kit.local.session_options import (
    asked_sessions,
    known_options,
    meant,
    mistyped,
    own_options,
    renamed,
    typed_command,
    value_of,
    with_defaults,
)
from tests.nox_calls import NoxCalls, Stopped

KAGGLE = ("bundle", "upload", "probe", "submit", "submissions")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run sessions as `nox -s NAMES -- ARGUMENTS`; gives session -> its commands, with short folders."""
    calls = NoxCalls(tmp_path, monkeypatch)

    def run(names, *arguments):
        return {
            name: [" ".join(command).replace(f"{tmp_path}/", "") for command in commands]
            for name, commands in calls(names, *arguments).items()
        }

    run.work = calls.work
    return run


def test_each_of_two_sessions_gets_the_options_that_it_knows(call):
    done = call(["bundle", "upload"], "kidney", "--no-gate", "--dry-run", "--only", "a", "--owner=me")
    assert done == {
        "bundle": [
            "-m bundle build --owner=me --ensemble dist/kidney/ensemble.json --out dist/kidney/bundle"
        ],
        "upload": [
            "-m bundle upload --dry-run --only a --owner=me --bundle dist/kidney/bundle --work build/uploads"
        ],
    }


def test_an_option_that_no_session_knows_ends_the_first_one_before_it_begins(call):
    with pytest.raises(Stopped, match=r"none of the sessions bundle, upload knows --dry-rum(?s:.)*fix:"):
        call(["bundle", "upload"], "kidney", "--dry-rum")


def test_a_single_session_leaves_its_options_to_its_command(call):
    assert call(["upload"], "kidney", "--dry-rum") == {
        "upload": ["-m bundle upload --dry-rum --bundle dist/kidney/bundle --work build/uploads"]
    }


def test_the_way_to_a_score_in_one_call_for_all_that_is_prepared(call):
    (call.work / "kidney").mkdir(parents=True)
    (call.work / "kidney" / "prepared.json").write_text("{}")
    for arguments in ((), ("kidney",)):
        assert call(KAGGLE, *arguments) == {
            "bundle": [
                "-m bundle build --ensemble dist/kidney/ensemble.json --out dist/kidney/bundle",
                "-m bundle gate --bundle dist/kidney/bundle",
            ],
            "upload": ["-m bundle upload --bundle dist/kidney/bundle --work build/uploads"],
            "probe": ["-m bundle probe --state dist/probe"],
            "submit": [
                (
                    "-m submission submit --predict dist/kidney/predict.py --state dist/kidney/kaggle "
                    "--log dist/kidney/submissions.jsonl"
                )
            ],
            "submissions": ["-m submission submissions --log dist/kidney/submissions.jsonl"],
        }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("-s bundle upload -- -s kidney", ["bundle", "upload"]),
        ("-s bundle -s upload", ["bundle", "upload"]),
        ("--sessions bundle upload --no-venv", ["bundle", "upload"]),
        ("-R --session=bundle upload", ["bundle", "upload"]),
        ("-l", []),
        ("", []),
    ],
)
def test_the_sessions_of_a_command_line(line, names):
    assert asked_sessions(line.split()) == names


def test_options_keep_their_values_and_their_order():
    known = {"a": {"--one", "--both"}, "b": {"--two", "--both"}}
    given = ["--one", "1", "-1", "--both", "--two", "x", "y", "--one=3"]
    assert own_options(given, "a", known) == ["--one", "1", "-1", "--both", "--one=3"]
    assert own_options(given, "b", known) == ["--both", "--two", "x", "y"]
    with pytest.raises(KitError, match="knows --three, -v"):
        own_options(["--three", "-v", "--both"], "a", known)
    with pytest.raises(KitError) as caught:
        own_options(["--bohts"], "a", known)
    assert caught.value.fix.startswith("did you mean '--both'? ")


@pytest.mark.parametrize(
    ("argv", "typed"),
    [
        (["/usr/bin/nox", "-s", "train-all", "--", "--only", "a b"], "nox -s train-all -- --only 'a b'"),
        (["/x/nox/__main__.py", "-s", "doctor"], "python -m nox -s doctor"),
        (["nox"], "nox"),
    ],
)
def test_the_line_that_was_typed(argv, typed):
    assert typed_command(argv) == typed


def test_the_help_of_a_command_names_its_options():
    text = "usage: x [-h] [--out DIR]\n  -h, --help  show\n  --out DIR  a well--known folder\n  --no-gate\n"
    assert known_options(text) == {"--help", "--out", "--no-gate"}


def test_no_options_are_nobodys():
    assert own_options([], "bundle", {"bundle": {"--no-gate"}}) == []


def test_defaults_stand_before_what_is_for_the_program_that_a_command_runs():
    given = ["--data", "x", "--", "--budget", "5"]
    assert with_defaults(given, data="y", budget="60") == [
        "--data",
        "x",
        "--budget",
        "60",
        "--",
        "--budget",
        "5",
    ]
    assert with_defaults(["--out=x"], out="y", folder_name="z") == ["--out=x", "--folder-name", "z"]


def test_a_requirements_file_makes_a_bundle_of_wheels_in_a_competitions_place(call):
    done = call(["bundle"], "--requirements", "requirements.txt", "--name", "my-wheels")
    assert done["bundle"] == [
        "-m bundle wheels --requirements requirements.txt --name my-wheels --out dist/wheels",
        "-m submission installer --bundle dist/wheels",
        "-m bundle gate --bundle dist/wheels",
    ]
    done = call(["bundle"], "--requirements=requirements.txt", "--no-gate", "--out", "elsewhere")
    assert done["bundle"] == [
        "-m bundle wheels --requirements=requirements.txt --out elsewhere",
        "-m submission installer --bundle elsewhere",
    ]


def test_wheels_alone_are_uploaded_and_rehearsed_without_a_competition(call):
    assert call(["upload"], "--bundle", "dist/wheels", "--dry-run")["upload"] == [
        "-m bundle upload --bundle dist/wheels --dry-run --work build/uploads"
    ]
    assert call(["gate"], "--bundle=dist/wheels")["gate"] == ["-m bundle gate --bundle=dist/wheels"]
    assert call(["rehearse"], "--install")["rehearse"] == [
        "-m submission rehearse-install --bundle dist/wheels"
    ]
    assert call(["rehearse"], "--install", "elsewhere", "--python", "3.13")["rehearse"] == [
        "-m submission rehearse-install --bundle elsewhere --python 3.13"
    ]


def test_several_sessions_about_wheels_alone_get_the_options_that_they_know(call):
    done = call(
        ["bundle", "upload", "rehearse"], "--requirements", "r.txt", "--owner", "me", "--install", "--dry-run"
    )
    assert done["bundle"][0] == "-m bundle wheels --requirements r.txt --owner me --out dist/wheels"
    assert done["upload"] == [
        "-m bundle upload --owner me --dry-run --bundle dist/wheels --work build/uploads"
    ]
    assert done["rehearse"] == ["-m submission rehearse-install --bundle dist/wheels"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--install", "dir", "--json"], ["--bundle", "dir", "--json"]),
        (["--json", "--install"], ["--json"]),
        (["--install=dir"], ["--bundle=dir"]),
        (["--other", "x"], ["--other", "x"]),
    ],
)
def test_an_option_of_a_session_gets_the_name_that_its_command_has(given, found):
    assert renamed(given, "--install", "--bundle") == found


@pytest.mark.parametrize("given", [["--out", "x"], ["--a", "--out=x"]])
def test_the_value_of_an_option_is_read_in_both_forms(given):
    assert value_of(given, "--out", "default") == "x"
    assert value_of(["--other", "x"], "--out", "default") == "default"


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("--requirments x", "did you mean '--requirements'? "),
        ("--req=x", "did you mean '--requirements'? "),
        ("--requirements x", ""),
        ("--tiny --jobs 2", ""),
        ("--", ""),
        ("kidney", ""),
    ],
)
def test_an_option_that_must_be_written_in_full_is_named(written, advice):
    assert meant(written.split(), {"--requirements", "--bundle", "--install"}) == advice


def test_an_option_in_a_competitions_place_that_is_mistyped_is_told(call):
    with pytest.raises(Stopped, match=r"(?s)no competition is prepared yet.*did you mean '--requirements'"):
        call(["bundle"], "--requirments", "x.txt")


def test_a_session_that_there_is_not_gets_advice_if_one_is_like_it():
    known = {"bundle", "rehearse"}
    assert list(mistyped(["bundle", "reherse", "xyzzy"], known)) == [
        "no session is called 'reherse': did you mean 'rehearse'? `nox -l` lists all"
    ]
    assert asked_sessions(["word", "-s", "bundle"]) == ["bundle"], "a word that no option takes is no session"
