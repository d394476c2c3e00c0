"""A whole run of predict.py on a bundle with archives, mounted in each way that Kaggle was seen to do it."""

import dataclasses
from pathlib import Path

import pytest

from bundle import dataset
from bundle.archives import place_wheel
from bundle.dataset import Content, entry_of
from bundle.wheelfile import Description
from bundle.wheelfile import build as build_wheel
from kit import ensemble as ensembles
from kit.competitions import get
from kit.local.offline.kaggle_shape import mount
from kit.local.targets import known
from kit.manifest import Wheel
from submission.render import render

TAGS = sorted({target.tag for target in known()})


def write_wheels(folder: Path, scratch: Path) -> None:
    """A dataset with one wheel that no image has."""
    about = Description(
        name="tinytool",
        version="1.0+local",
        summary="A test",
        licence="MIT",
        licence_files={},
        requires_python=">=3.11",
        requires=(),
        readme="",
    )
    path = build_wheel(scratch, about, {"tinytool.py": b"VALUE = 42\n"})
    wheel = Wheel(
        name="tinytool",
        version="1.0+local",
        tags=["py3-none-any"],
        licence="MIT",
        accepts="==1.0+local",
        requires={tag: [] for tag in TAGS},
    )
    entry = entry_of(path, place_wheel(path.name, wheel.tags), role="wheel", wheel=wheel)
    dataset.write(folder, [Content(entry=entry, source=path)], {"id": "someone/kit-wheels"}, targets=TAGS)


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tools):
    """Two members whose weights share an archive; the first needs a wheel, which lies in another archive."""
    folder = tmp_path_factory.mktemp("archived")
    made = tools.make_kit(folder)
    plan = ensembles.load(made.ensemble)
    needy = dataclasses.replace(plan.members[0], requires=[*plan.members[0].requires, "tinytool"])
    ensembles.save(made.ensemble, dataclasses.replace(plan, members=[needy, *plan.members[1:]]))
    loose = made.weights.rename(folder / "loose")
    contents = [
        Content(entry=entry_of(path, f"weights-01.zip/{path.name}", role="weights"), source=path)
        for path in sorted(loose.glob("*.safetensors"))
    ]
    dataset.write(made.weights, contents, {"id": f"someone/{made.weights.name}"})
    write_wheels(made.bundle / "kit-wheels", folder)
    render(made.ensemble, made.bundle, made.script)
    return made


@pytest.mark.parametrize(
    "how", [("unpacked", "new"), ("doubled", "new"), ("doubled", "old"), ("packed", "old")], ids=" ".join
)
def test_every_member_runs_however_the_archives_were_mounted(kit, competition, tools, tmp_path, how):
    archives, layout = how
    root = tmp_path / "input"
    folders = sorted(path.parent for path in kit.bundle.glob("*/manifest.json"))
    mount(root, competition, folders, get("kidney"), archives=archives, layout=layout)
    assert bool(list(root.rglob("weights-01.zip"))) == (archives == "packed")
    assert bool(list(root.rglob("weights-01/weights-01/*.safetensors"))) == (archives == "doubled")
    outcome = tools.run(kit.script, root, tmp_path / "working")
    assert outcome.code == 0, outcome.text
    assert outcome.report["problems"] == []
    assert [rung["state"] for rung in outcome.report["rungs"]] == ["done", "done"]
    install = outcome.report["install"]
    (choice,) = (choice for choice in install["choices"] if choice["name"] == "tinytool")
    assert choice["version"] == "1.0+local"
    (found,) = (row for row in install["found"] if row["file"] == choice["file"])
    assert (found["how"] == "from an archive") == (archives == "packed")
    assert found["seconds"] >= 0
    assert install["refused"] == {}
    assert [(row["tool"], row["wheels"], row["error"]) for row in install["installers"]] == [
        (install["tool"], sum(choice["version"] is not None for choice in install["choices"]), None)
    ]
