import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bundle import sbom
from kit import manifest as manifests
from kit.errors import KitError
from kit.local.targets import known
from kit.manifest import Manifest
from submission.__main__ import main
from submission.rehearse import Settings, rehearse

ROOT = Path(__file__).parents[2]
OWN = ".".join(map(str, sys.version_info[:2]))


@pytest.fixture
def settings(kit_of_two, competition, tmp_path):
    """An image of this Python with numpy and nothing else: too little for the networks, quick to make."""
    targets = tmp_path / "targets"
    targets.mkdir()
    tag = "cp" + OWN.replace(".", "")
    like = known()[0]
    image = replace(like, name="bare", python=OWN, tag=tag, image_has={"numpy": None}, freeze=None)
    (targets / "bare.json").write_text(json.dumps(asdict(image)))

    def make(**changes) -> Settings:
        options = {
            "predict": kit_of_two.script,
            "bundle": kit_of_two.bundle,
            "data": competition,
            "budget": 600.0,
            "out": tmp_path / "out",
            "targets": targets,
            "venvs": tmp_path / "venvs",
            "lock": ROOT / "requirements.lock",
            "pythons": (OWN,),
        }
        return Settings(**{**options, **changes})

    return make


def test_what_would_fail_on_kaggle_fails_here_and_says_why(settings, tmp_path):
    bundle = shutil.copytree(settings().bundle, tmp_path / "bundle")
    other = bundle / "kit-vasculature-wheels"
    other.mkdir()
    (other / "a+b.txt").touch()  # Kaggle would take away the "+"
    manifests.save(other, Manifest(dataset=other.name, files=[]))
    (other / "sbom.json").write_text(sbom.document(other.name, [], competitions=["vasculature"]))
    result = rehearse(settings(bundle=bundle))
    assert not result["ok"]
    assert result["mangled"] == [], "datasets of other competitions are not mounted"
    assert result["exit_code"] == 2
    assert result["valid"], "the fallback is a valid file"
    assert result["target"] == "bare"
    assert (result["score"], result["no_score"][0]) == (None, "no truth for 2 images, the first is aaa")
    assert "this image has no torch, and torch is never shipped" in (tmp_path / "out" / "log.txt").read_text()
    assert (tmp_path / "out" / "submission.csv").read_text() == "id,predicted\naaa,\nbbb,\n"
    assert json.loads((tmp_path / "out" / "rehearsal.json").read_text()) == result
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["log.txt", "rehearsal.json", "report.json", "submission.csv"]


def test_an_earlier_rehearsals_files_do_not_pass_for_this_ones(settings, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "submission.csv").write_text("from yesterday")
    broken = tmp_path / "predict.py"
    text = settings().predict.read_text()
    broken.write_text(
        text.replace('if __name__ == "__main__":', 'raise SystemExit(5)\nif __name__ == "__main__":')
    )
    result = rehearse(settings(predict=broken))
    assert (result["exit_code"], result["valid"]) == (5, False)
    assert result["findings"] == ["error: no submission.csv was written"]
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_the_files_of_another_competition_are_refused_and_the_earlier_result_stays(settings, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (other / "a.txt").write_text("no competition")
    names = ("submission.csv", "report.json", "report.html", "rehearsal.json", "log.txt")
    for name in names:
        (out / name).write_text("of the last good rehearsal")
    with pytest.raises(KitError, match="this is not the data of hubmap-kidney-segmentation"):
        rehearse(settings(data=other))
    with pytest.raises(KitError, match="this looks like the data of hubmap-hacking-the-human-vasculature"):
        rehearse(settings(data=ROOT / "sample" / "vasculature"))
    assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(
        names, "of the last good rehearsal"
    )
    assert not (tmp_path / "venvs").exists()


@pytest.mark.parametrize(
    ("option", "told"), [("predict", "predict.py"), ("data", "data folder"), ("bundle", "bundle")]
)
def test_a_missing_path_is_told_before_anything_is_made(settings, tmp_path, option, told):
    with pytest.raises(KitError, match=f"{told} is missing"):
        rehearse(settings(**{option: tmp_path / "nowhere"}))
    assert not (tmp_path / "venvs").exists()


@pytest.mark.parametrize("size", ["inf", "nan", "-1", "0", "1e-12", "1e400", "much"])
@pytest.mark.parametrize("option", ["--memory-gb", "--working-gb", "--scratch-gb"])
def test_what_is_no_size_is_refused(capsys, option, size):
    with pytest.raises(SystemExit) as ended:
        main(["rehearse", option, size])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"argument {option}: {size!r} cannot be used: it is no size; write a number of gigabytes" in told


@pytest.mark.parametrize("word", ["list", "random"])
def test_a_word_for_several_faults_stands_alone(settings, word):
    with pytest.raises(KitError, match=f"`{word}` stands alone"):
        rehearse(settings(faults=("hang", word)))


def test_a_file_that_was_not_rendered_is_refused(settings, tmp_path):
    (tmp_path / "mine.py").write_text("print('hello')\n")
    with pytest.raises(KitError, match=r"this is not a rendered predict\.py"):
        rehearse(settings(predict=tmp_path / "mine.py"))


def test_the_command_line_reports_and_fails_with_the_run(settings, tmp_path):
    options = settings()
    command = [
        sys.executable,
        "-m",
        "submission",
        "rehearse",
        "--predict",
        options.predict,
        "--bundle",
        options.bundle,
    ]
    command += [
        "--data",
        options.data,
        "--budget",
        "600",
        "--out",
        tmp_path / "out",
        "--targets",
        options.targets,
    ]
    command += ["--venvs", options.venvs, "--python", OWN, "--layout", "old", "--memory-gb", "4"]
    command += ["--archives", "doubled", "--json"]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    enforced = json.loads(done.stdout)["enforced"]
    assert enforced["memory"] == 4 << 30
    assert enforced["limited"] in ("all processes together", "each process")
    assert (enforced["limited"] == "each process") == any(
        "memory limit" in text for text in enforced["missing"]
    )
    assert "error: the rehearsal failed: exit code 2" in done.stderr
    assert "what fails here fails on Kaggle" in done.stderr
