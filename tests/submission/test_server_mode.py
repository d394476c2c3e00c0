"""The rendered predict.py as an inference server, asked over gRPC by a gateway that brings trouble."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from kit import ensemble as ensembles
from kit.competitions import of
from kit.competitions.presets import PRESETS
from kit.local.targets import known
from submission.rehearsal.stage import Play, play
from submission.report.run_page import write_run_page
from submission.submit.commit_run import read_output, submission_name
from submission.submit.hidden_time import hidden_time

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "tests" / "gateway"
BUILD = ROOT / "build"
DEADLINE = 20.0
SERVER = {
    "module": "kaggle_evaluation.slides_inference_server",
    "deadline": DEADLINE,
    "arguments": ["ids+files"],
}
DEFINITION = {**PRESETS["kidney"], "name": "served", "hidden_images": 40, "server": SERVER}


@pytest.fixture(scope="session")
def served(tools, tmp_path_factory):
    """The kit of two members, rendered for a competition with an evaluation API."""
    return tools.make_kit(tmp_path_factory.mktemp("served"), definition=DEFINITION)


@pytest.fixture
def root(tools, served, competition, tmp_path):
    """A mount whose competition ships its own package."""
    root = tools.mount(tmp_path / "input", served, competition)
    package = GATEWAY / "kaggle_evaluation"
    shutil.copytree(package, root / "competitions" / tools.slug / "kaggle_evaluation")
    return root


class Container:
    """The server's container in the hidden run; `restart` gives a new process and leaves the files."""

    def __init__(self, script, root, output):
        output.mkdir(exist_ok=True)
        self.script, self.root, self.output = script, root, output
        self.log = output.parent / "log.txt"
        self._start()

    def _start(self):
        command = [sys.executable, str(self.script), "--input", str(self.root), "--output", str(self.output)]
        options = ["--device", "cpu", "--workers", "1", "--budget", "3000"]
        self.begin = len(self.log.read_text()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                env={**os.environ, "KAGGLE_IS_COMPETITION_RERUN": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.port = int(self.wait_for(r"listens on port (\d+)"))

    @property
    def text(self):
        """What this process has printed."""
        return self.log.read_text()[self.begin :]

    def wait_for(self, pattern):
        while (found := re.search(pattern, self.text)) is None:
            assert self.process.poll() is None, self.text
            time.sleep(0.05)
        return found[1]

    def journal(self, calls):
        """What the server has written for the time after a restart, once it knows of so many calls."""
        file = self.output / "server.json"
        while not file.exists() or (value := json.loads(file.read_text()))["progress"]["calls"] < calls:
            assert self.process.poll() is None, self.text
            time.sleep(0.05)
        return value

    def workers(self):
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = [int(pid) for path in children for pid in path.read_text().split()]
        return [pid for pid in found if b"--worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def restart(self):
        self.process.kill()
        self.process.wait()
        self._start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Gateway:
    """Shows files for as long as a call takes."""

    def __init__(self, relay, competition, folder):
        self.relay, self.competition, self.folder = relay, competition, folder

    def connect(self, container):
        self.client = self.relay.Client(container.port)
        self.client.deadline = DEADLINE

    def batch(self, *ids, damaged=()):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in ids:
            source = self.competition / "test" / f"{'bbb' if name.startswith('b') else 'aaa'}.tiff"
            shutil.copyfile(source, self.folder / f"{name}.tiff")
        for name in damaged:
            (self.folder / f"{name}.tiff").write_bytes(b"II*\0 cut short")
        paths = [str(self.folder / f"{name}.tiff") for name in ids]
        return pd.DataFrame({"id": list(ids), "path": paths})

    def ask(self, table):
        """One call; its files vanish with the answer."""
        answer = self.client.send("predict", table)
        shutil.rmtree(self.folder)
        assert list(answer.columns) == ["id", "predicted"]
        assert list(answer["id"]) == list(table["id"])
        assert not answer.isna().any().any()
        return dict(zip(answer["id"], answer["predicted"], strict=True))


@pytest.fixture
def gateway(monkeypatch, competition, tmp_path):
    """Another container than the server's."""
    monkeypatch.syspath_prepend(str(GATEWAY))
    from kaggle_evaluation.core import relay

    return Gateway(relay, competition, tmp_path / "shared")


def rows_of(text):
    return {row["id"]: row["predicted"] for row in csv.DictReader(io.StringIO(text))}


@pytest.mark.slow
def test_a_hidden_run_is_answered_in_time_whatever_happens(gateway, served, root, good_run, tmp_path):
    expected = rows_of(good_run.csv)
    container = Container(served.script, root, tmp_path / "working")
    gateway.connect(container)
    # The first call waits for installation and loading. What it gives is what a file would hold.
    first = gateway.batch("aaa", "bbb")
    assert gateway.ask(first) == expected
    # An image that cannot be read, one that is not there and one that comes twice cost their rows at most.
    table = gateway.batch("a2", "b2", "bad", damaged=["bad"])
    (gateway.folder / "b2.tiff").unlink()
    assert gateway.ask(pd.concat([table, table[:1]])) == {"a2": expected["aaa"], "b2": "", "bad": ""}
    # The connection is lost while a batch is predicted. The gateway sends it again, and gets the one answer.
    table = gateway.batch("a3")
    lost = gateway.client.begin("predict", table)
    gateway.client.close()
    assert lost.done()
    gateway.connect(container)
    assert gateway.ask(table) == {"a3": expected["aaa"]}
    assert "call 4" not in container.text
    # A worker that hangs is replaced; the call has rows in time all the same.
    for pid in container.workers():
        os.kill(pid, signal.SIGSTOP)
    gateway.ask(gateway.batch("a4"))
    # The container is killed in the middle of a call. The next one knows what passes cost and how much came.
    container.journal(4)
    table = gateway.batch("a5", "b5")
    gateway.client.begin("predict", table)
    time.sleep(0.5)
    container.restart()
    gateway.client.close()
    gateway.connect(container)
    assert gateway.ask(table) == {"a5": expected["aaa"], "b5": expected["bbb"]}
    assert "restarted: 7 images came before" in container.text
    observations = container.journal(5)["observations"]
    assert container.stop() == 0, container.text
    # Each of the three workers has loaded each of the two members once, however many calls there were.
    assert len(observations) >= 12
    assert sum(load > 0 for _, _, _, load in observations) <= 6
    assert not (container.output / "submission.csv").exists()
    assert "Traceback" not in container.text


@pytest.mark.slow
def test_a_rehearsal_is_asked_by_the_competitions_own_gateway(tools, served, root, good_run, tmp_path):
    ensemble = ensembles.load(served.ensemble)
    piece = Play(
        predict=served.script,
        bundle=served.bundle,
        data=root / "competitions" / tools.slug,
        ensemble=ensemble,
        competition=of(ensemble),
        python=Path(sys.executable),
        budget=600,
        arguments=("--device", "cpu", "--workers", "1"),
    )
    (tmp_path / "stage").mkdir()
    output = tmp_path / "out"
    played = play(piece, tmp_path / "stage", output)
    assert played.ran.code == 0, played.ran.text
    assert rows_of((output / "submission.csv").read_text()) == rows_of(good_run.csv)
    assert played.left == ["report.json", "submission.parquet"]
    shutil.copy(tmp_path / "stage" / "working" / "submission.parquet", output)
    names = [submission_name(ensemble), "report.json"]
    commit = read_output(
        [output / name for name in names], url="", accelerator=None, image=None, submission=names[0]
    )
    assert "commit run: 2 of 2 rungs done" in commit.notes[0]
    assert hidden_time(commit.report, images=100, megapixels=None).known
    write_run_page(output / "report.json", tmp_path / "page.html")


NEEDED = ("torch", "torchvision", "numpy", "timm", "segmentation-models-pytorch", "opencv-python-headless")
"""What the two members need, beside what reads images and weights."""


@pytest.mark.slow
def test_the_whole_command_rehearses_it_in_a_simulated_image(tools, served, root, good_run, tmp_path):
    """As `nox -s rehearse` calls it: it makes the image, the gateway asks in the sandbox, there is a page."""
    own = ".".join(map(str, sys.version_info[:2]))
    like = known()[0]
    has = dict.fromkeys((*NEEDED, "tifffile", "imagecodecs", "safetensors"))
    image = replace(
        like, name="served", python=own, tag="cp" + own.replace(".", ""), image_has=has, freeze=None
    )
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "served.json").write_text(json.dumps(asdict(image)))
    data, out = root / "competitions" / tools.slug, tmp_path / "rehearsal"
    # Three images: with two in a call, the second call is one without the set-up.
    shutil.copyfile(data / "test" / "bbb.tiff", data / "test" / "ccc.tiff")
    (data / "sample_submission.csv").write_text("id,predicted\naaa,\nbbb,\nccc,\n")
    what = ["--predict", served.script, "--bundle", served.bundle, "--data", data, "--budget", "600"]
    where = ["--out", out, "--targets", tmp_path / "targets", "--venvs", BUILD / "images", "--python", own]
    more = ["--", "--device", "cpu", "--workers", "1"]
    done = subprocess.run(
        [*map(str, [sys.executable, "-m", "submission", "rehearse", *what, *where, *more])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = out / "log.txt"
    assert done.returncode == 0, done.stdout + (log.read_text() if log.is_file() else "")
    rows = rows_of((out / "submission.csv").read_text())
    expected = rows_of(good_run.csv)
    assert rows == {**expected, "ccc": expected["bbb"]}
    result = json.loads((out / "rehearsal.json").read_text())
    assert (result["ok"], result["valid"], result["target"]) == (True, True, "served")
    assert result["verdict"]["reached_rung"] == 1
    assert "rung        reached 2 of 2 in every call" in done.stdout
    assert "verdict     safe to send on images like these, with an expected score of 0.5100" in done.stdout
    assert "makes no dry run" in log.read_text()
    assert re.search(
        r"s an image in the calls after the first: \d+ s of 600 s for the 40 images", log.read_text()
    )
    assert "<svg" in (out / "report.html").read_text()
    assert json.loads((out / "report.json").read_text())["install"]["tool"] == "nothing"


def test_without_the_competitions_package_it_says_what_to_do(tools, served, competition, tmp_path):
    root = tools.mount(tmp_path / "input", served, competition)
    ran = tools.run(served.script, root, tmp_path / "working")
    assert ran.code == 2
    assert "kaggle_evaluation.slides_inference_server cannot be imported: ModuleNotFoundError" in ran.text
    assert "attach the competition" in ran.text
    assert "Traceback" not in ran.text


def test_an_output_folder_is_made_and_a_file_in_its_place_refused(tools, served, competition, tmp_path):
    root = tools.mount(tmp_path / "input", served, competition)
    (tmp_path / "file").write_text("")
    for place, told in (("new/folder", "cannot be imported"), ("file", "no file can be written there")):
        command = [sys.executable, served.script, "--input", root, "--output", tmp_path / place]
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert told in ran.stderr
        assert "Traceback" not in ran.stderr
    assert (tmp_path / "new" / "folder").is_dir()
    assert (tmp_path / "file").is_file()
