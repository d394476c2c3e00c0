"""Whose copy is imported on an image, from the lock and the image's description alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from bundle import __main__ as cli
from bundle.roots import ROOTS, Root
from bundle.shadow import OWN, shadow_table
from kit.local import lockfile, targets
from kit.local.lockfile import Pin
from kit.local.program import run_cli

ROOT = Path(__file__).parents[2]
(KNOWN,) = targets.choose(["kaggle-2026-10"], targets.known())
EXACT = (Root("tool", exact=True, why="test"),)
LOOSE = (Root("tool", exact=False, why="test"),)


def pin(name, version="2.0", via=()):
    return Pin(name=name, version=version, hashes=("0" * 64,), via=via)


def image(**has):
    """An image whose freeze is known."""
    freeze = {"torch": "2.11.0+cu128", **has}
    return replace(KNOWN, image_has={"torch": "2.11.0"}, freeze=freeze)


def only(rows):
    (row,) = rows
    return row.action, row.image


def test_without_a_freeze_nothing_is_claimed_that_nobody_saw():
    rows = shadow_table([pin("tool"), pin("scipy", via=("tool",))], EXACT, KNOWN)
    assert [(row.name, row.action) for row in rows] == [("scipy", "unknown"), ("tool", "unknown")]
    assert "the image's version is not known" in rows[0].why
    assert rows[1].why == "nobody saw whether it is there; ours in front unless it is 2.0"


@pytest.mark.parametrize(
    ("roots", "has", "accepted", "expected"),
    [
        (EXACT, None, None, ("image has none", None)),
        (EXACT, "2.0", None, ("image keeps its own", "2.0")),
        (EXACT, "2.0+cu128", None, ("image keeps its own", "2.0+cu128")),
        (EXACT, "1.0", None, ("ours in front", "1.0")),
        (LOOSE, None, None, ("image has none", None)),
        (LOOSE, "1.0", None, ("unknown", "1.0")),
        (LOOSE, "1.0", ">=1", ("image keeps its own", "1.0")),
        (LOOSE, "1.0", ">=1.5", ("ours in front", "1.0")),
        (LOOSE, "1.6rc1", ">=1.5", ("image keeps its own", "1.6rc1")),
    ],
)
def test_a_freeze_tells_whose_copy_is_imported(roots, has, accepted, expected):
    target = image(**({"Tool": has} if has else {}))
    known = None if accepted is None else {"tool": SpecifierSet(accepted)}
    assert only(shadow_table([pin("tool")], roots, target, accepted=known)) == expected


def test_torch_stays_the_images_and_what_it_needs_is_not_looked_at():
    pins = [pin("tool"), pin("torch", via=("tool",)), pin("sympy", via=("torch",))]
    rows = shadow_table(pins, EXACT, image())
    assert [(row.name, row.action) for row in rows] == [
        ("tool", "image has none"),
        ("torch", "image keeps its own"),
    ]


def test_a_package_of_the_image_that_does_not_accept_ours_is_a_conflict():
    target = replace(
        image(tool="1.0", other="3.1", old="1.0"),
        requires={
            "other": ["Tool<2", 'tool>9 ; python_version < "3.8"', "numpy"],
            "old": ["tool>=1", "this is no requirement"],
        },
    )
    (row,) = shadow_table([pin("tool")], EXACT, target)
    assert row.conflicts == ("other 3.1 needs tool<2",)
    (row,) = shadow_table([pin("tool", "1.0")], EXACT, target)
    assert (row.action, row.conflicts) == ("image keeps its own", ())


def test_a_wheel_of_our_own_has_no_pin_and_a_row_all_the_same():
    (row,) = shadow_table([], EXACT, KNOWN)
    assert (row.ours, row.action, row.why) == (
        OWN,
        "unknown",
        "nobody saw whether it is there; ours in front",
    )
    (row,) = shadow_table([pin("extra")], (), KNOWN, more=["extra"])
    assert row.name == "extra"


def test_the_table_of_the_real_lock_names_what_the_bundle_ships(capsys):
    arguments = ["shadow", "--target", "kaggle-2026-09", "--lock", str(ROOT / "requirements.lock"), "--json"]
    assert run_cli(cli.main, arguments) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["kaggle-2026-09"]}
    assert rows.keys() >= {root.name for root in ROOTS}
    assert rows["torch"]["action"] == "image keeps its own"
    assert (rows["pillow"]["image"], rows["pillow"]["action"]) == ("11.3.0", "unknown")
    locked = {item.name: item.version for item in lockfile.load(ROOT / "requirements.lock")}
    assert rows["timm"]["ours"] == locked["timm"]
    assert run_cli(cli.main, arguments[:-1]) == 0
    assert "kaggle-2026-09" in capsys.readouterr().out
