"""Faults that pass, and faults of one image, through the rendered predict.py in real processes."""

import json

import pytest
import tifffile

# Python runs this at the start of every process. In workers it plants a fault, as often as it is told:
# in each network's convolutions, when an image of a certain name is opened, or at the very start.
HOOK = """
import builtins, os, signal, sys, time
place, plan = os.environ["FAULT_PLACE"], os.environ["FAULT"].split(":")
kind, where, times = plan[0], plan[1], int(plan[2])

def fault():
    for number in range(times):
        try:
            os.close(os.open(os.path.join(place, str(number)), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        break
    else:
        return
    if kind == "raise":
        raise RuntimeError("planted fault")
    if kind == "memory":
        raise MemoryError
    if kind == "eio":
        raise OSError(5, "Input/output error")
    if kind == "hang":
        time.sleep(600)
    os.kill(os.getpid(), {"kill": 9, "segfault": 11, "bus": 7}[kind])
    time.sleep(5)

def worker():
    return "--worker" in getattr(sys, "argv", ())

real_import, real_open = builtins.__import__, os.open

def importing(name, *more, **named):
    module = real_import(name, *more, **named)
    torch = sys.modules.get("torch")
    if where == "network" and worker() and hasattr(getattr(torch, "nn", None), "Conv2d"):
        builtins.__import__ = real_import
        forward = torch.nn.Conv2d.forward

        def faulty(self, x):
            fault()
            return forward(self, x)

        torch.nn.Conv2d.forward = faulty
    if where == "start" and worker() and name == "torch":
        builtins.__import__ = real_import
        fault()
    return module

def opening(path, *more, **named):
    if worker() and os.path.basename(os.fspath(path) if not isinstance(path, int) else "") == where:
        fault()
    return real_open(path, *more, **named)

builtins.__import__, os.open = importing, opening
"""


@pytest.fixture
def run_with(mount, kit_of_two, tmp_path, monkeypatch, tools):
    """Run predict.py with a fault planted into every worker."""

    def run(fault: str, *more: str):
        hooks = tmp_path / "hooks"
        (hooks / "taken").mkdir(parents=True)
        (hooks / "sitecustomize.py").write_text(HOOK)
        monkeypatch.setenv("PYTHONPATH", str(hooks))
        monkeypatch.setenv("FAULT_PLACE", str(hooks / "taken"))
        monkeypatch.setenv("FAULT", fault)
        return tools.run(kit_of_two.script, mount, tmp_path / "out", *more)

    return run


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raise:network:5", "RuntimeError: planted fault"),
        ("kill:network:3", "worker ended with code -9: killed; if nobody did it, memory ran out"),
        ("eio:aaa.tiff:3", "Input/output error"),
        ("kill:start:3", "one worker is started in 2 s"),
    ],
)
def test_a_fault_that_passes_costs_no_row(fault, told, run_with, good_run):
    outcome = run_with(fault, "--workers", "1")
    assert outcome.code == 0, outcome.text
    assert outcome.csv == good_run.csv
    assert [rung["state"] for rung in outcome.report["rungs"]] == ["done", "done"]
    problems = outcome.report["problems"]
    assert any(told in problem["what"] for problem in problems), outcome.text
    assert told in outcome.text


def test_memory_that_never_holds_a_whole_window_costs_no_row(run_with, good_run):
    outcome = run_with("memory:network:3", "--workers", "1")
    assert outcome.code == 0, outcome.text
    assert [rung["state"] for rung in outcome.report["rungs"]] == ["done", "done"]
    assert "memory ran out with a batch of one; fewer workers (--workers)" in outcome.text
    (note,) = outcome.report["notes"]["aaa"]
    assert note == "memory ran out with a batch of one: seen in windows of 1/2 of the side"
    rows, expected = ([line.split(",") for line in csv.splitlines()] for csv in (outcome.csv, good_run.csv))
    assert [image for image, _ in rows] == [image for image, _ in expected]
    # At the borders of smaller windows the network sees less beside them, so some pixels are others.
    changed = [image for (image, row), (_, good) in zip(rows, expected, strict=True) if row != good]
    assert changed == ["aaa"]
    assert dict(rows)["aaa"]


def test_an_error_is_told_with_its_type_first_then_with_the_lines_that_led_to_it(run_with):
    outcome = run_with("raise:network:1", "--workers", "1")
    (problem,) = outcome.report["problems"]
    assert problem["what"] == (
        "pass 1 (member0, identity), image aaa: RuntimeError: planted fault; image aaa is tried again with a "
        "batch of one"
    )
    assert problem["stage"] == "error"
    assert problem["trace"].startswith("Traceback (most recent call last):")
    assert problem["trace"].endswith("RuntimeError: planted fault\n")
    assert outcome.text.count("] RuntimeError: planted fault") == 1


@pytest.mark.parametrize(
    ("fault", "workers", "told"),
    [
        (
            "segfault:aaa.tiff:1000",
            "2",
            "a segmentation fault in a library; Fatal Python error: Segmentation fault",
        ),
        ("bus:aaa.tiff:1000", "1", "a bus error: the disk or /dev/shm below a mapped file is full"),
        ("hang:aaa.tiff:1000", "1", "no sign of life for 4 s"),
    ],
)
def test_one_image_that_ends_every_worker_costs_only_its_own_row(fault, workers, told, run_with, good_run):
    # On a busy machine a worker that imports may be silent for 4 s: only a fault that hangs needs so little.
    silent = ("--stall", "4") if fault.startswith("hang") else ()
    outcome = run_with(fault, "--workers", workers, *silent)
    assert outcome.code == 0, outcome.text
    rows = dict(line.split(",") for line in outcome.csv.splitlines())
    assert rows == dict(line.split(",") for line in good_run.csv.splitlines()) | {"aaa": ""}
    # Of two workers either may be the first one that the image ends.
    of_image = (
        item for item in outcome.report["problems"] if "member0, identity), image aaa: " in item["what"]
    )
    problem = next(of_image)
    assert told in problem["what"]
    assert told.split(";")[0] in {image["id"]: image for image in outcome.report["images"]}["aaa"]["reason"]
    if fault.startswith("segfault"):
        assert "in run_pass" in problem["trace"], "the lines of Python that led to it"


def test_what_the_reader_assumed_is_told_once_per_image(mount, kit_of_two, tmp_path, tools):
    data = next((mount / "competitions").iterdir()) / "test" / "aaa.tiff"
    tifffile.imwrite(data, tifffile.imread(data), photometric="rgb", rowsperstrip=64)
    with tifffile.TiffFile(data) as tiff:
        tags = [tiff.pages[0].tags[name] for name in ("StripOffsets", "StripByteCounts")]
    blob = bytearray(data.read_bytes())
    for tag in tags:
        width = tag.valuebytecount // tag.count
        blob[tag.valueoffset : tag.valueoffset + width] = bytes(width)
    data.write_bytes(blob)
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", "--workers", "1")
    assert outcome.code == 0, outcome.text
    (notes,) = outcome.report["notes"].values()
    assert list(outcome.report["notes"]) == ["aaa"]
    assert any("1 of its strips or tiles were never written" in note for note in notes)
    assert outcome.text.count("never written") == 1
    assert json.dumps(outcome.report["problems"]) == "[]"
