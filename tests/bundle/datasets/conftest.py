"""Small real wheels, a folder that pip takes as its index, and locks and ensembles made of them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file

from bundle.wheelfile import write_wheel
from bundle.wheelinfo import read
from kit import ensemble
from kit.artefacts import sha256_file, write_text
from kit.local import lockfile
from kit.local.lockfile import Pin
from kit.local.sidecars import write_sidecar
from kit.local.targets import marker_environment
from kit.models import build, tiny

NETWORK = tiny("segformer-b0")


@pytest.fixture(scope="session")
def network_state():
    """The tensors of a small network, as numpy has them."""
    torch.manual_seed(0)
    return {name: value.numpy() for name, value in build(NETWORK).network.state_dict().items()}


@dataclass(frozen=True)
class Index:
    """A folder of wheels that stands for the package index."""

    folder: Path

    def add(
        self,
        name,
        version="1.0",
        requires=(),
        tag="py3-none-any",
        *,
        content=b"",
        licence="MIT",
        extras=(),
        python="",
    ):
        dist_info = f"{name.replace('-', '_')}-{version}.dist-info"
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        lines += [f"License-Expression: {licence}", *(f"Requires-Dist: {item}" for item in requires)]
        lines += [f"Requires-Python: {python}"] if python else []
        lines += [f"Provides-Extra: {extra}" for extra in extras]
        files = {
            f"{name.replace('-', '_')}.py": content,
            f"{dist_info}/METADATA": "\n".join([*lines, "", ""]).encode(),
            f"{dist_info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        }
        path = self.folder / f"{name.replace('-', '_')}-{version}-{tag}.whl"
        write_wheel(path, files, dist_info=dist_info)
        return path

    def pins(self):
        """Return a pin for every release in the index, with the hashes of all its wheels."""
        hashes = {}
        for path in sorted(self.folder.glob("*.whl")):
            info = read(path)
            hashes.setdefault((info.name, info.version), []).append(sha256_file(path))
        return [
            Pin(name=name, version=version, hashes=tuple(sorted(found)))
            for (name, version), found in hashes.items()
        ]

    def lock(self, path):
        write_text(path, lockfile.render(sorted(self.pins()), command="a test"))
        return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Index(folder)


@pytest.fixture
def make_ensemble(tmp_path, network_state):
    """Write an ensemble of small networks with their weights beside it; returns the path of ensemble.json."""

    def make(competition="kidney", *, names=("a.safetensors",), requires=("tool",), folder="ensemble"):
        weights = tmp_path / folder / "weights"
        weights.mkdir(parents=True, exist_ok=True)
        members = []
        bias = network_state["decode_head.conv_seg.bias"]
        for number, name in enumerate(names):
            path = weights / name
            save_file({**network_state, "decode_head.conv_seg.bias": bias + number}, path)
            write_sidecar(
                path,
                kind="weights",
                config={"recipe": "small", "fold": number},
                inputs={"prepared": "0" * 64},
                metrics={"dice": 0.5},
                code_version="test",
            )
            members.append(
                ensemble.Member(
                    name=f"small.fold{number}",
                    weights=name,
                    sha256=sha256_file(path),
                    size=path.stat().st_size,
                    network=NETWORK,
                    inference={"core": 64, "context": 0, "scale": 1.0},
                    requires=list(requires),
                )
            )
        passes = [
            ensemble.Pass(member=number, view="identity", seconds_per_megapixel=1.0)
            for number in range(len(names))
        ]
        rung = ensemble.Rung(
            passes=list(range(len(passes))), weights=[1.0] * len(passes), settings={"threshold": 0.5}, cv=0.5
        )
        plan = ensemble.Ensemble(
            competition=competition, kind="semantic", members=members, passes=passes, rungs=[rung]
        )
        path = weights.parent / "ensemble.json"
        ensemble.save(path, plan)
        return path

    return make


def tree(folder):
    """Every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def read_tree():
    return tree


@pytest.fixture
def change_json():
    def change(path, **fields):
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


@pytest.fixture
def repo_pins():
    lock = lockfile.load(Path(__file__).parents[3] / "requirements.lock")
    return lockfile.select(lock, marker_environment("3.12"))
