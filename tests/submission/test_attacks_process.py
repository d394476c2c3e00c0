"""Whatever its output, signals, folders and interpreter are, the rendered predict.py leaves a valid file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tifffile

from tests.submission.hold import SIGNALS, Hold

FALLBACK = "id,predicted\naaa,\nbbb,\n"

HEARD = """import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Starts a command that hears these signals: below `nohup` or in a shell's background it would not."""


@pytest.fixture
def launch(kit_of_two, mount, tmp_path):
    """Start predict.py from a shell line in which "$@" is its command."""
    (tmp_path / "out").mkdir()

    def start(line: str = 'exec "$@"', *more: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        options = ["--input", str(mount), "--output", str(tmp_path / "out"), "--device", "cpu"]
        command = [
            sys.executable,
            str(kit_of_two.script),
            *options,
            "--budget",
            "600",
            "--workers",
            "1",
            *more,
        ]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HEARD, "bash", "-c", line, "bash", *command],
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


def ended(process: subprocess.Popen) -> tuple[int, str]:
    text, _ = process.communicate(timeout=1200)
    return process.returncode, text


@pytest.mark.parametrize(
    "line",
    [
        'exec "$@" >&-',
        'exec "$@" <&- >&- 2>&-',
        'exec "$@" >/dev/full 2>/dev/full',
        'exec "$@" 2>&-',
        '"$@" 2>&1 | head -n 1; exit ${PIPESTATUS[0]}',
    ],
    ids=["stdout closed", "all closed", "disk full", "stderr closed", "reader left"],
)
def test_output_that_nobody_takes_changes_neither_file_nor_exit_code(launch, good_run, tmp_path, line):
    code, text = ended(launch(line))
    assert code == 0, text
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv


def test_a_reader_that_sleeps_does_not_hold_the_run(launch, good_run, tmp_path):
    pipe, write = os.pipe()
    os.set_blocking(write, False)
    while True:  # fill it
        try:
            os.write(write, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(write, True)
    process = launch(f'exec "$@" >/proc/{os.getpid()}/fd/{write} 2>&1')
    assert ended(process)[0] == 0
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv
    os.close(pipe)
    os.close(write)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU])
def test_a_signal_at_any_time_leaves_a_valid_file(launch, tmp_path, number):
    hold = Hold(tmp_path / "hold", "aaa.tiff")  # no row can be there, however late the signal comes
    process = launch(env=hold.environment)
    while not (tmp_path / "out" / "submission.csv").exists():
        time.sleep(0.005)
    os.kill(process.pid, number)  # before numpy is imported and workers are started
    time.sleep(0.2)
    os.kill(process.pid, number)  # an impatient sender
    code, text = ended(process)
    assert code == 2, text
    assert "a signal ended the run before the first row" in text
    assert (tmp_path / "out" / "submission.csv").read_text() == FALLBACK
    assert json.loads((tmp_path / "out" / "report.json").read_text())["exit_code"] == 2


def test_a_signal_before_the_fallback_does_not_prevent_it(launch, tmp_path):
    hold = Hold(tmp_path / "hold", SIGNALS)
    process = launch(env=hold.environment)
    assert hold.wait(process) == process.pid
    os.kill(process.pid, signal.SIGTERM)
    assert not (tmp_path / "out" / "submission.csv").exists()
    hold.let_go()
    code, text = ended(process)
    assert code == 2, text
    assert (tmp_path / "out" / "submission.csv").read_text() == FALLBACK


def test_under_nohup_a_lost_terminal_does_not_end_the_run(launch, good_run, tmp_path):
    process = launch('trap "" HUP; exec "$@"')
    while not (tmp_path / "out" / "submission.csv").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGHUP)
    code, text = ended(process)
    assert code == 0, text
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONOPTIMIZE": "2", "TMPDIR": "/nowhere", "HOME": "/nowhere"},
        {
            "PYTHONWARNINGS": "error",
            "PYTHONSAFEPATH": "1",
            "PYTHONSTARTUP": "/nowhere",
            "PYTHONINSPECT": "1",
        },
    ],
    ids=["optimised, no home", "warnings are errors, paths and prompts"],
)
def test_an_inherited_environment_changes_nothing(launch, good_run, tmp_path, env):
    code, text = ended(launch('exec "$@" </dev/null', env=env))
    assert code == 0, text
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv
    assert "Traceback" not in text


def test_options_of_the_interpreter_change_nothing(launch, good_run, tmp_path):
    code, text = ended(launch('p=$1; shift; exec "$p" -I -OO -W error "$@"'))
    assert code == 0, text
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv


def test_without_docstrings_the_help_and_the_plan_are_printed(launch):
    for option in ("--help", "--explain"):
        code, text = ended(launch('exec "$@"', option, env={"PYTHONOPTIMIZE": "2"}))
        assert code == 0, text
        assert "rung 2" in text or "--budget SECONDS" in text


def test_letters_beyond_ascii_in_ids_work_in_every_locale(launch, mount, tmp_path):
    data = next((mount / "competitions").iterdir())
    (data / "test" / "aaa.tiff").rename(data / "test" / "Größe 1.tiff")
    (data / "sample_submission.csv").write_text("id,predicted\nGröße 1,\nbbb,\n", encoding="utf-8")
    code, text = ended(
        launch(
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
        )
    )
    assert code == 0, text
    rows = (tmp_path / "out" / "submission.csv").read_text(encoding="utf-8").splitlines()
    assert "Traceback" not in text
    assert [row.split(",")[0] for row in rows] == ["id", "Größe 1", "bbb"]
    assert all(row.split(",")[1] for row in rows)


@pytest.mark.parametrize(
    ("module", "code", "told"),
    [
        ("import sys\nsys.modules['numpy'] = None\n", 2, "the package numpy is not installed"),
        ("import sys\nsys.modules['numpy.core'] = sys.modules['numpy._core'] = None\n", 2, "numpy"),
    ],
)
def test_without_numpy_the_fallback_is_written_and_the_package_named(launch, tmp_path, module, code, told):
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(module)
    found, text = ended(launch(env={"PYTHONPATH": str(tmp_path / "hook")}))
    assert found == code, text
    assert told in text
    assert "Traceback" not in text
    assert (tmp_path / "out" / "submission.csv").read_text() == FALLBACK
    assert json.loads((tmp_path / "out" / "report.json").read_text())["exit_code"] == 2


def test_without_numpy_the_plan_is_refused_in_a_sentence(launch, tmp_path):
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text("import sys\nsys.modules['numpy'] = None\n")
    code, text = ended(launch('exec "$@" --explain', env={"PYTHONPATH": str(tmp_path / "hook")}))
    assert code == 2, text
    assert text.startswith("error: the plan cannot be made: ")
    assert "Traceback" not in text


def test_an_import_that_takes_all_the_time_is_told_as_such(launch, tmp_path):
    (tmp_path / "hook" / "safetensors").mkdir(parents=True)
    (tmp_path / "hook" / "safetensors" / "__init__.py").write_text("import time; time.sleep(600)\n")
    code, text = ended(launch('exec "$@" --budget 9', env={"PYTHONPATH": str(tmp_path / "hook")}))
    assert code == 2, text
    assert "the time was too short to install and import the packages: raise --budget" in text


def test_a_numpy_that_breaks_at_import_is_told(launch, tmp_path):
    (tmp_path / "hook" / "numpy").mkdir(parents=True)
    (tmp_path / "hook" / "numpy" / "__init__.py").write_text("raise RuntimeError('built for another ABI')\n")
    code, text = ended(launch(env={"PYTHONPATH": str(tmp_path / "hook")}))
    assert code == 1, text
    assert "the program cannot start; submission.csv holds the fallback: RuntimeError: built for" in text
    assert (tmp_path / "out" / "submission.csv").read_text() == FALLBACK


def test_a_working_directory_that_is_gone_changes_nothing(launch, good_run, tmp_path):
    (tmp_path / "gone").mkdir()
    code, text = ended(launch(f'cd {tmp_path}/gone; rmdir {tmp_path}/gone; exec "$@"'))
    assert code == 0, text
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv


def test_few_open_files_are_enough(launch, mount, tmp_path):
    data = next((mount / "competitions").iterdir())
    image = tifffile.imread(data / "test" / "bbb.tiff")[:32, :32]
    names = [f"n{number}" for number in range(40)]
    for name in names:
        tifffile.imwrite(data / "test" / f"{name}.tiff", image, photometric="rgb")
    (data / "sample_submission.csv").write_text("id,predicted\n" + "".join(f"{name},\n" for name in names))
    code, text = ended(launch('ulimit -Sn 20; exec "$@"'))
    assert code == 0, text
    assert "40 of 40 rows predicted" in text


def test_what_has_the_name_of_our_files_gives_way(launch, good_run, tmp_path):
    out = tmp_path / "out"
    for name in ("submission.csv", "report.json"):
        (out / name).mkdir()
        (out / name / "kept").touch()
    code, text = ended(launch())
    assert code == 0, text
    assert (out / "submission.csv").read_text() == good_run.csv
    (aside,) = out.glob("submission.csv.folder-*")
    assert (aside / "kept").exists()
    assert f"submission.csv was a folder; it is called {aside.name} now" in text


def test_a_link_in_place_of_the_file_is_replaced_and_its_target_kept(launch, good_run, tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "out" / "submission.csv").symlink_to(tmp_path / "theirs")
    code, text = ended(launch())
    assert code == 0, text
    assert not (tmp_path / "out" / "submission.csv").is_symlink()
    assert (tmp_path / "out" / "submission.csv").read_text() == good_run.csv
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_a_relative_output_folder_below_a_directory_that_is_gone_is_refused(launch, tmp_path):
    (tmp_path / "gone").mkdir()
    line = f'cd {tmp_path}/gone; rmdir {tmp_path}/gone; exec "$@"'
    code, text = ended(launch(line, "--output", "here"))
    assert code == 2
    assert "error: the working directory was deleted" in text
    assert not Path("/here").exists()
