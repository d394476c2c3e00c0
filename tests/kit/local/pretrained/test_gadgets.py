"""Hundreds of pickles that try to run code, to crash or to fill memory: refused, or read without effect."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kit.errors import KitError
from kit.local.pretrained.limited import convert
from kit.models import tiny
from tests.kit.local.pretrained import gadgets
from tests.kit.local.pretrained.reading import read_tensors

ROOT = Path(__file__).parents[4]
INERT = (
    "scalar text", "huge bytearray", "nested tuples in", "nested lists", "doubled lists", "a list in itself",
    "long integer",
)  # fmt: skip
"""Beside the weights these do nothing: they are values that nobody looks at."""

READ_ALL = """
import json, resource, sys
from pathlib import Path
from kit.errors import KitError
from tests.kit.local.pretrained.reading import read_tensors
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), used + (2 << 30)))
for path in sorted(Path(sys.argv[1]).glob("*.pth")):
    try:
        said = sorted(read_tensors(path))
    except KitError as error:
        said = str(error)
    print(json.dumps([path.stem, said]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of every gadget in both formats of torch: the names of the tensors, or the error."""
    folder = tmp_path_factory.mktemp("gadgets")
    names = {}
    for number, what, body in gadgets.numbered(gadgets.all_gadgets()):
        gadgets.write_zip(folder / f"{number}-zip.pth", body)
        gadgets.write_legacy(folder / f"{number}-legacy.pth", body)
        names[number] = what
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(folder)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 * len(names) > 1500
    left = sorted(path.name for path in folder.iterdir() if path.suffix != ".pth")
    return [(names[stem[:4]], stem[5:], said) for stem, said in rows], left


def test_no_gadget_crashes_runs_or_leaves_a_file(outcomes):
    assert outcomes[1] == []


def test_every_gadget_is_refused_but_those_that_do_nothing(outcomes):
    read = {what for what, _, said in outcomes[0] if isinstance(said, list)}
    assert {what for what in read if not what.startswith(INERT)} == set()
    assert all(said == ["w"] for _, _, said in outcomes[0] if isinstance(said, list))


def test_the_refusals_are_ours_and_name_file_and_culprit(outcomes):
    said = {(what, form): text for what, form, text in outcomes[0] if isinstance(text, str)}
    assert all(".pth" in text and "fix:" in text for text in said.values())
    assert not [text for text in said.values() if "weights_only" in text or "add_safe_globals" in text]
    for command in gadgets.COMMANDS.split():
        named = command.replace(":", ".").replace("__builtin__", "builtins").replace("copy_reg", "copyreg")
        assert (
            f"asks for {named} when it is opened; no code was run"
            in said[f"{named_of(command)} called", "zip"]
        )
    assert "asks for numpy objects" in said["ndarray called object bytearray in a set", "zip"]


def named_of(command):
    return command.replace(":", ".")


@pytest.mark.parametrize("shape", gadgets.CRASHING)
@pytest.mark.parametrize("write", [gadgets.write_zip, gadgets.write_legacy])
def test_the_shapes_that_crashed_the_interpreter_are_refused(tmp_path, shape, write):
    path = write(tmp_path / "crash.pth", gadgets.CRASHING[shape])
    with pytest.raises(KitError, match="asks for numpy objects when it is opened; no code was run") as error:
        read_tensors(path)
    assert str(path) in str(error.value)


def test_numpy_s_own_numbers_and_arrays_are_read_beside_the_weights_and_as_weights(tmp_path):
    import numpy as np

    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.array([True, False]),
        "d": np.zeros((0, 4), np.float16),
    }
    extras = {"acc": np.float64(81.3), "names": np.array(["a", "b"]), "day": np.datetime64("2023-01-01")}
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pth"
        torch.save({"state_dict": arrays, **extras}, path, _use_new_zipfile_serialization=zipped)
        found = read_tensors(path)
        assert found.keys() == arrays.keys()
        assert all(np.array_equal(found[name].numpy(), array) for name, array in arrays.items())


def test_a_pickle_of_every_protocol_is_read(tmp_path):
    state = {"a": torch.arange(3.0), "b": torch.tensor(2, dtype=torch.bfloat16), "c": torch.rand(4, 5).T}
    state["parameter"] = torch.nn.Parameter(torch.rand(2))
    state["part"] = torch.rand(10)[4:8]
    for protocol in (2, 3, 4, 5):
        path = tmp_path / f"{protocol}.pth"
        torch.save(
            {
                "model": state,
                "epoch": 3,
                "lr": [1e-3],
                "t": (1, b"x", {2}, frozenset({3}), None, 1 << 70, True),
            },
            path,
            pickle_protocol=protocol,
        )
        found = read_tensors(path)
        assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_crash_of_the_worker_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    path, out = tmp_path / "net.pth", tmp_path / "net.safetensors"
    torch.save({"a": torch.ones(2)}, path)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'worker' in ' '.join(sys.orig_argv):\n    os.kill(os.getpid(), 11)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KitError, match=r"crashed \(SIGSEGV\); nothing was written") as error:
        convert(path, tiny("segformer-b0"), out)
    assert str(path) in str(error.value)
    assert not out.exists()
