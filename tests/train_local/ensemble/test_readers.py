"""An ensemble of a competition with DICOM images asks the bundle for what reads them."""

from types import SimpleNamespace

import pytest

from kit import competitions
from kit.ensemble import Member, Rung
from train_local.ensemble.build import to_ensemble

MEMBER = Member(
    name="m", weights="m.safetensors", sha256="0", size=1, network={}, inference={}, requires=["timm"]
)


@pytest.mark.parametrize(
    ("suffix", "needed"), [("dcm", ["timm", "pydicom"]), ("png", ["timm"]), ("tif", ["timm"])]
)
def test_members_require_the_reader_of_their_images(suffix, needed):
    definition = {
        "name": "scans",
        "slug": "scans",
        "kind": "semantic",
        "images": {"train": f"train/{{id}}.{suffix}", "test": f"test/{{id}}.{suffix}"},
        "truth": {"form": "text", "file": "train.csv", "mask": "rle"},
        "submission": {"mask": "rle"},
        "metric": {"name": "mean Dice"},
    }
    source = competitions.of(SimpleNamespace(competition="scans", definition=definition))
    prepared = SimpleNamespace(
        competition="scans", kind="semantic", definition=definition, source=source, identity="0"
    )
    run = SimpleNamespace(member=MEMBER)
    item = SimpleNamespace(run=run, view="identity", seconds_per_megapixel=1.0)
    rung = SimpleNamespace(rung=Rung(passes=[0], weights=[1.0], settings={}, cv=0.5))
    made = to_ensemble(prepared, [run], SimpleNamespace(passes=[item], rungs=[rung]))
    assert made.members[0].requires == needed
