"""doctor on this machine, on folders with what goes wrong, and in a Python that has nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit.local.doctor import credentials, disks, environment, inside, leftovers, machine, pages, tools
from kit.local.doctor.command import Doctor, _lines, _looked, run
from kit.local.doctor.finding import Finding
from kit.local.environment_stamps import lock_identity

ROOT = Path(__file__).parents[4]
OLD = 1_700_000_000


def levels(findings):
    return {finding.about: finding.level for finding in findings}


def make_old(path):
    os.utime(path, (OLD, OLD))
    return path


def test_it_runs_with_the_standard_library_alone_and_says_what_it_could_not_check(tmp_path):
    for name in ("kit", "bundle", "train_local"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-E", "-S", "-m", "kit", "doctor", "--json", "--root", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    found = {item["about"]: item for item in told["findings"]}
    assert done.returncode == (0 if told["ok"] else 2)
    assert "Traceback" not in done.stderr
    assert found["environment"]["told"] == "not made yet"
    assert "not checked: there is no environment yet" in found["versions against requirements.lock"]["told"]
    sections = {item["section"] for item in told["findings"]}
    assert len(sections) == 7
    assert found["system"]["level"] == "ok"


def test_in_the_environment_the_versions_are_those_of_the_lock():
    seen = inside.look()
    assert seen["pins"] > 100
    assert seen["torch"]
    [finding] = environment._packages(seen)
    assert finding.level == ("problem" if seen["other"] or seen["absent"] else "ok")


def test_versions_that_differ_are_named():
    seen = {"pins": 3, "other": {"numpy": ("1.0", "2.0")}, "absent": ["six"]}
    [finding] = environment._packages(seen)
    assert finding.level == "problem"
    assert finding.told == "numpy 1.0 instead of 2.0; six is missing"


GPU = {"name": "NVIDIA T4", "driver": "550.1", "memory": "15360 MiB", "free": "15000 MiB"}


@pytest.mark.parametrize(
    ("gpus", "level", "words"),
    [
        ([{"kernel": "right"}], "ok", "torch 2.11 for CUDA 12.8 computes on it"),
        ([{"kernel": "no kernel image is available"}], "problem", "a small kernel: no kernel image"),
        ([{"kernel": "wrong numbers"}], "problem", "wrong numbers"),
        ([], "problem", "torch 2.11 for CUDA 12.8 does not see it"),
    ],
)
def test_a_gpu_is_judged_by_what_it_computes(gpus, level, words):
    [finding] = environment._gpus([GPU], {"torch": "2.11", "cuda": "12.8", "gpus": gpus}, tried=True)
    assert (finding.level, words in finding.told) == (level, True)


def test_a_gpu_that_torch_was_not_asked_about_is_a_note():
    [finding] = environment._gpus([GPU], {"error": "there is no environment yet"}, tried=False)
    assert finding.level == "note"
    assert "was not checked: there is no environment yet" in finding.told
    [none] = environment._gpus([], {"gpus": []}, tried=True)
    assert (none.about, none.level) == ("GPUs", "note")


def test_a_driver_s_answer_is_read(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA T4, 550.1, 15360 MiB, 15000 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert environment._driver() == [GPU]
    program.write_text("#!/bin/sh\necho 'no devices were found'; exit 6\n")
    assert environment._driver() == []


def test_an_environment_that_breaks_is_told(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'OSError: libcudart.so.12: no such file' >&2; exit 1\n")
    python.chmod(0o755)
    assert environment._inside(python, ROOT) == {"error": "it ended: OSError: libcudart.so.12: no such file"}


@pytest.mark.parametrize(
    ("text", "level"), [("2020-01", "note"), ("2999-01", "ok")]
)  # years: a test must not depend on the month
def test_an_old_description_of_kaggle_s_image_is_a_note(tmp_path, text, level):
    for name, until in (("old", "2019-01"), ("new", "")):
        image = {"name": name, "since": text, "until": until, "python": "3.13", "torch": None}
        (tmp_path / f"{name}.json").write_text(json.dumps(image))
    [finding] = environment._targets(tmp_path, {"torch": "2.11.0+cu130"})
    assert finding.level == level
    assert finding.told.startswith(f"new is of {text}: Python 3.13, torch unknown; here torch 2.11.0")


def test_limits_of_a_container_are_found_in_both_kinds_of_control_groups(tmp_path):
    own = tmp_path / "self"
    second = tmp_path / "v2"
    (second / "a" / "b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    (second / "a" / "memory.max").write_text("8000000000\n")
    (second / "a" / "memory.current").write_text("5000000000\n")
    (second / "a" / "b" / "memory.max").write_text("max\n")
    (second / "a" / "b" / "cpu.max").write_text("150000 100000\n")
    assert machine.memory_limit(second, own) == (8_000_000_000, 5_000_000_000)
    assert machine.cpu_quota(second, own) == 1.5
    first = tmp_path / "v1"
    (first / "memory").mkdir(parents=True)
    (first / "cpu").mkdir()
    own.write_text("4:memory:/docker/1b\n3:cpu,cpuacct:/docker/1b\n")
    (first / "memory" / "memory.limit_in_bytes").write_text("2000000000\n")
    (first / "memory" / "memory.usage_in_bytes").write_text("1\n")
    (first / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (first / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.memory_limit(first, own) == (2_000_000_000, 1)
    assert machine.cpu_quota(first, own) is None
    found = {finding.about: finding for finding in machine.look(first, own)}
    assert found["memory"].level == "problem"
    assert "the container's limit" in found["memory"].told


def test_disks_with_their_needs_and_caches_with_their_sizes(tmp_path, monkeypatch):
    (tmp_path / "build" / "wheels").mkdir(parents=True)
    (tmp_path / "build" / "wheels" / "a.whl").write_bytes(b"x" * 5_000_000)
    for number, done in ((0, True), (1, False), (2, False)):
        run_folder = tmp_path / "runs" / "kidney" / "unet" / f"fold{number}"
        run_folder.mkdir(parents=True)
        (run_folder / "run.json").write_text("{}")
        if done:
            (run_folder / "done.json").write_bytes(b" " * 1_000_000)
    found = {finding.about: finding for finding in disks.look(tmp_path)}
    assert found["wheels"].facts["bytes"] == 5_000_000
    assert disks._size_of_open_runs(tmp_path / "runs") == 2 * 1_000_002
    [disk] = [finding for about, finding in found.items() if about.startswith("disk of .nox/")]
    assert disk.facts["needed"] > 6e9, "an image for rehearsals, and the runs"
    monkeypatch.setattr(disks, "find_environment", lambda _: None)
    assert disks._needs(tmp_path)[tmp_path / ".nox"] > 6e9


def test_a_file_with_several_names_is_counted_once(tmp_path, monkeypatch):
    cache, environment = tmp_path / "cache", tmp_path / ".nox" / "kit"
    for folder in (cache, environment, tmp_path / "build" / "wheels" / "native"):
        folder.mkdir(parents=True)
    (cache / "torch").write_bytes(b"x" * 3_000_000)
    for name in (cache / "again", environment / "torch", environment / "twice"):
        name.hardlink_to(cache / "torch")
    (environment / "own").write_bytes(b"x" * 2_000)
    (tmp_path / "build" / "wheels" / "native" / "ext").write_bytes(b"x" * 700)
    (tmp_path / "build" / "wheels" / "a.whl").write_bytes(b"x" * 30)
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    found = {finding.about: finding for finding in disks._caches(tmp_path)}
    assert found["uv's cache"].told == f"3.0 MB in {cache.name}/"
    assert found["environments (.nox)"].told == "2.0 kB in .nox/, and 3.0 MB that are counted above"
    assert found["compiled operators"].facts["bytes"] == 700
    assert found["wheels"].told == "30 bytes in build/wheels/, and 700 bytes that are counted above"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path):
    (tmp_path / "work").mkdir(mode=0o500)
    assert levels(disks.look(tmp_path))["folder work/"] == "problem"


def test_credentials_are_found_and_never_shown(tmp_path):
    secret = "0123456789abcdef0123456789abcdef"
    folder = tmp_path / ".kaggle"
    folder.mkdir()
    [none] = credentials.look({"HOME": str(tmp_path)})
    assert none.level == "note"
    (folder / "access_token").write_text(secret)
    (folder / "access_token").chmod(0o600)
    (folder / "kaggle.json").write_text(json.dumps({"username": "me", "key": secret}))
    (folder / "kaggle.json").chmod(0o644)
    found = credentials.look({"HOME": str(tmp_path), "KAGGLE_KEY": secret, "KAGGLE_API_TOKEN": secret})
    assert [finding.level for finding in found] == ["ok", "note", "ok", "note"]
    assert found[1].fix.startswith("set KAGGLE_USERNAME")
    assert found[3].fix == f"chmod 600 {folder / 'kaggle.json'}"
    assert "mode 644: other users of this machine can read it" in found[3].told
    assert secret not in repr(found)


def test_what_killed_commands_leave_is_found(tmp_path):
    assert levels(leftovers.look(tmp_path)) == {"half-written files": "ok"}
    run_folder = tmp_path / "runs" / "kidney" / "unet" / "fold0"
    run_folder.mkdir(parents=True)
    (run_folder / "run.json").write_text("{}")
    make_old_file = run_folder / ".weights.safetensors.1b2f03c4.tmp"
    make_old_file.write_bytes(b"x" * 2_000_000)
    make_old(make_old_file)
    (run_folder / ".young.1b2f03c4.tmp").touch()
    stage = tmp_path / "dist" / "kidney" / "rehearsal" / ".stage-abc"
    stage.mkdir(parents=True)
    make_old(stage)
    (tmp_path / "dist" / "kidney" / "bundle" / "kit-wheels").mkdir(parents=True)
    (tmp_path / "dist" / "kidney" / "ensemble.json").write_text("{")
    found = {finding.about: finding for finding in leftovers.look(tmp_path)}
    assert found["half-written files"].told.startswith(
        "1 file of 2.0 MB that a killed command left: runs/kidney"
    )
    assert found["rehearsals"].level == "note"
    assert found["trainings"].told == "1 training begun and not done: runs/kidney/unet/fold0"
    assert found["dist/kidney/bundle/kit-wheels"].fix == "nox -s bundle -- kidney"
    assert found["dist/kidney/ensemble.json"].level == "problem"


def test_programs_are_run_before_they_are_trusted(tmp_path, monkeypatch):
    broken = tmp_path / "docker"
    broken.write_text("#!/bin/sh\necho 'cannot connect' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = tools.tried("docker", ["docker"], "ok", "fix it")
    assert (found.told, found.fix) == ("does not run: cannot connect", "fix it")
    assert tools.tried("x", ["no-such-program"], "note", "").told == "not installed"
    assert tools.tried("git", ["git"], "note", "").told.startswith("git version")


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(capsys):
    def look():
        raise RuntimeError("an odd machine")

    [finding] = _looked("machine", look)
    assert (finding.level, finding.told) == ("note", "could not be checked: RuntimeError: an odd machine")


def test_a_problem_ends_with_2_and_the_page_has_a_line_for_each(tmp_path, capsys):
    (tmp_path / "dist" / "kidney").mkdir(parents=True)
    (tmp_path / "dist" / "kidney" / "ensemble.json").write_text("{")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    shutil.copytree(
        ROOT / "bundle", tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__", "tests")
    )
    assert run(Doctor(root=tmp_path)) == 2
    said = capsys.readouterr().out
    assert "problem  dist/kidney/ensemble.json: cannot be read" in said
    assert "-> delete it and run `nox -s ensemble` again" in said
    assert "not ready, see the problems" in said


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("200", 100)])
def test_long_findings_are_wrapped_on_a_terminal(monkeypatch, columns, width):
    path = "/a/folder-" + "of-a-long-name" * 9
    finding = Finding(about="thing", level="note", told="word " * 60 + path, fix="do " * 60)
    assert len(_lines(finding)) == 2, "a log has no width"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    lines = _lines(finding)
    assert len(lines) > 6
    assert [len(line) <= width for line in lines].count(False) == 1
    assert sum(path in line for line in lines) == 1


def test_docker_without_its_engine_does_not_run(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text(
        "#!/bin/sh\n[ $1 = --version ] && exit 0\necho 'Cannot connect to the daemon' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = [finding for finding in tools._programs() if finding.about == "docker"]
    assert found.told == "does not run: Cannot connect to the daemon"


def test_what_the_site_of_the_pages_lacks_is_named(tmp_path):
    [absent] = pages._site(tmp_path)
    assert absent.level == "note"
    assert "documents/__main__.py, docs/index.md, mkdocs.yml, requirements-docs.txt missing" in absent.told
    for name in ("documents/__main__.py", "docs/index.md", "mkdocs.yml", "requirements-docs.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    [unmade] = pages._site(tmp_path)
    assert (unmade.level, unmade.told) == ("note", "its environment is not made yet")
    stamp = tmp_path / ".nox" / f"docs-{sys.implementation.cache_tag}" / "made-from"
    stamp.parent.mkdir(parents=True)
    [half] = pages._site(tmp_path)
    assert (half.level, "not to its end" in half.told) == ("note", True)
    stamp.write_text(lock_identity(tmp_path, ["requirements-docs.txt"]))
    [made] = pages._site(tmp_path)
    assert (made.level, made.fix) == ("ok", "")


def test_a_browser_is_run_before_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert pages._browser().told == "not installed"
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh\necho 'Chromium 140.0'\n")
    program.chmod(0o755)
    assert (pages._browser().level, pages._browser().told) == ("ok", "Chromium 140.0")
    broken = tmp_path / "own"
    broken.write_text("#!/bin/sh\necho 'libnss3.so: cannot open' >&2; exit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(broken))
    assert pages._browser().told == "does not run: libnss3.so: cannot open"
    assert "CHROMIUM" in pages._browser().fix
