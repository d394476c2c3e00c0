"""The shells' completion: real shells read the scripts and answer."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit import competitions, models
from kit.local.completion.shells import script
from kit.local.completion.words import PROGRAMS, Option, Place, described, places, places_of
from kit.local.pretrained_command import network_names
from kit.local.targets import known
from kit.local.targets import names as target_names
from train_local import recipes

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def every_place():
    return places()


@pytest.fixture(scope="session")
def bash(every_place, tmp_path_factory):
    """Returns what bash offers for a command line; its last word is being typed."""
    path = tmp_path_factory.mktemp("completion") / "kit.bash"
    path.write_text(script("bash", every_place))

    def offers(line, before=""):
        words = line.split(" ")
        text = (
            f"{before}\nsource {shlex.quote(str(path))}\n"
            f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}\n"
            f"COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}\n"
            # What readline does: it asks the function that `complete` knows for the command.
            "function=$(complete -p python | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
            '"$function" python "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", text], capture_output=True, text=True, check=True,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return offers


def test_programs_and_verbs(bash):
    assert set(bash("python -m ")) == set(PROGRAMS)
    assert bash("python -m train_lo") == ["train_local"]
    assert set(bash("python -m train_local tr")) == {"train", "train-all"}
    assert set(bash("python -m bundle wheel ")) == {"mmcv", "cbnetv2", "vit-adapter"}
    assert bash("python -X importtime -m bundle wheel cb") == ["cbnetv2"]


def test_options_and_their_values(bash):
    assert bash("python -m train_local prepare --dr") == ["--dry-run"]
    assert "--data" in bash("python -m kit score --")
    assert bash("python -m kit score --split t") == ["test", "train"]
    assert bash("python -m bundle wheel mmcv --na") == ["--native"]
    assert bash("python -m kit score --data ") == [], "files, which bash adds"
    # Behind a switch comes another word of the line.
    assert bash("python -m train_local prepare --dry-run kid") == ["kidney"]


def test_names_of_what_there_is(bash):
    assert set(bash("python -m train_local prepare ")) == set(competitions.names())
    assert set(bash("python -m train_local train ")) == set(recipes.entries())
    assert set(bash("python -m train_local show ")) == set(recipes.entries())
    assert set(bash("python -m kit.models list ")) == set(models.names()) == set(network_names())
    tags = {target.tag for target in known()}
    assert set(bash("python -m bundle targets --target ")) == set(target_names())
    assert {target.name for target in known()} | tags == set(target_names())
    assert "worker-killed" in bash("python -m submission rehearse --faults w")
    assert "mit_b3" in bash("python -m kit.models fetch mit_")


def test_other_uses_of_python_are_left_to_the_completion_that_was_there(bash):
    before = "_theirs() { COMPREPLY=(theirs); }; complete -F _theirs python"
    assert bash("python -m pip in", before) == ["theirs"]
    assert bash("python sc", before) == ["theirs"]
    assert bash("python -m kit sco", before) == ["score"]
    assert bash("python sc") == []


def test_a_word_that_only_looks_like_a_verb_changes_nothing(bash):
    """`--out train` names a folder."""
    assert "--dist" in bash("python -m train_local train-all --out train --di")
    assert bash("python -m nothing_of_ours tr") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_another_shell_reads_its_script(every_place, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    path = tmp_path / "script"
    path.write_text(script(shell, every_place))
    if shell == "zsh":
        subprocess.run(["zsh", "-f", "-n", path], capture_output=True, check=True)
        return

    def offers(line):
        asked = f"source {path}; complete -C '{line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    assert offers("python -m train_local tr") == {"train", "train-all"}
    assert offers("python -m train_local train ") == set(recipes.entries()), "and no folders"
    assert offers("python -m train_local diff unet-regnety16 tr") <= set(recipes.entries())
    assert offers("python -m train_local prepare k") == {"kidney", "kit/"}, "a competition may be a file"
    assert offers("python -m train_local train unet-regnety16 --out tr") == {"train_local/"}
    assert offers("python -m kit score --data sam") == {"sample/"}


def test_words_that_a_shell_would_change_are_quoted_or_left_out():
    place = Place(
        "kit", ("a",), {"a": "it's 5\\6"}, (Option(("--x",), "don't", ("y",)), Option(("-v",), "", None))
    )
    fish = script("fish", [place])
    assert "-a a -d 'it\\'s 5\\\\6'" in fish
    assert "-l x -r -a 'y' -d 'don\\'t'" in fish
    assert "-s v -d ''" in fish
    told = {
        "arguments": [{"name": "n", "help": "", "values": ["good-1", "$(bad)", "a b"], "many": False}],
        "options": [],
    }

    assert next(places_of("kit", told)).words == ("good-1",)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_tells_its_command_line_without_heavy_libraries(program):
    code = (
        "import runpy, sys; sys.argv = ['x', '--describe']\n"
        f"try:\n    runpy.run_module({program!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'torch', 'numpy', 'rich.progress', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas"} & set(done.stderr.strip("[]'\n").split("', '"))
    assert set(described(program)) == {"verbs"}


def test_the_verb_prints_the_script(every_place):
    command = [sys.executable, "-m", "kit", "completion", "bash"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == script("bash", every_place)
