"""Copies in other stains: two stains are found again, and a copy has the other image's."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.errors import KitError
from kit.local.program import run_cli
from train_local import cli
from train_local.data import prepare, stains

SAMPLE = Path(__file__).parents[3] / "sample" / "body"
HAEMATOXYLIN, DAB, PAS = (0.651, 0.701, 0.290), (0.269, 0.568, 0.778), (0.175, 0.972, 0.155)


def tissue(first, second, seed=0):
    """An image of two stains, and the optical density that each takes away, (H, W, 2)."""
    random = np.random.default_rng(seed)
    amounts_HW2 = random.gamma(2.0, 0.35, (96, 128, 2)) * (random.random((96, 128, 2)) < 0.6)
    density_HWC = amounts_HW2 @ np.array([first, second])
    return np.clip(np.rint(256 * np.exp(-density_HWC) - 1), 0, 255).astype(np.uint8), amounts_HW2


def test_the_two_stains_of_an_image_are_found():
    image_HWC, amounts_HW2 = tissue(DAB, HAEMATOXYLIN)
    found = stains.stain_of(image_HWC.reshape(-1, 3))
    for vector, true in zip(found.vectors, (HAEMATOXYLIN, DAB), strict=True):
        assert np.dot(vector, true) / np.linalg.norm(true) > 0.995
    assert found.most == pytest.approx(np.percentile(amounts_HW2, 99, axis=(0, 1))[::-1], rel=0.15)


def test_a_copy_has_the_amounts_of_the_image_and_the_stains_of_the_other():
    image_HWC, _ = tissue(HAEMATOXYLIN, DAB)
    wanted_HWC, _ = tissue(HAEMATOXYLIN, PAS)
    own, other = (stains.stain_of(one.reshape(-1, 3)) for one in (image_HWC, wanted_HWC))
    copy_HWC = stains.recoloured(image_HWC, own, other)
    before = np.abs(image_HWC.astype(int) - wanted_HWC).mean()
    after = np.abs(copy_HWC.astype(int) - wanted_HWC).mean()
    assert after < before / 5
    same_HWC = stains.recoloured(wanted_HWC, other, other)
    assert np.abs(same_HWC.astype(int) - wanted_HWC).mean() < 2


def test_copies_are_made_once_and_prepared(tmp_path, capsys):
    image_HWC, _ = tissue(HAEMATOXYLIN, PAS)
    Image.fromarray(image_HWC).save(tmp_path / "like.png")
    out, like = tmp_path / "stains", f"pas={tmp_path / 'like.png'}"
    command = ["stain", "body", "--data", str(SAMPLE), "--out", str(out), "--like", like]
    assert cli.main(command) == 0
    assert "15 copies: prepare them with --stains" in capsys.readouterr().out
    made = {path: path.stat().st_mtime_ns for path in sorted((out / "pas").glob("*.jpg"))}
    assert len(made) == 15
    lost, *kept = made
    lost.unlink()
    assert cli.main(command) == 0
    assert lost.is_file()
    assert all(path.stat().st_mtime_ns == made[path] for path in kept)
    for path in kept[:2]:
        shown = stains.measured(path)
        assert np.dot(shown.vectors[1], PAS) > 0.95, "the copy shows the other stain"
    choices = {"reductions": (), "sides": (32,), "published_stains": ("pas", "test")}
    result = prepare.prepare("body", SAMPLE, tmp_path / "out", stains=out, **choices)
    assert result.stains == ["pas"]
    assert any("in the stains test, which are not here" in text for text in result.findings)


def test_what_cannot_be_stained_is_told(tmp_path, capsys):
    Image.new("RGB", (64, 64), (250, 250, 250)).save(tmp_path / "glass.png")
    data = shutil.copytree(SAMPLE, tmp_path / "data")
    place = ["stain", "body", "--data", str(data), "--out", str(tmp_path / "out"), "--like"]
    for like, message in (
        (f"pas={tmp_path / 'glass.png'}", "no tissue is found in this image"),
        ("pas=nowhere.png", "the image that has the stain is not there"),
        ("../x=nowhere.png", "is no NAME=FILE"),
    ):
        assert run_cli(cli.main, [*place, like]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
    with pytest.raises(KitError, match="comes twice"):
        stains.named([f"pas={tmp_path / 'glass.png'}"] * 2)


def test_a_competition_of_ones_own_hears_nothing_of_the_published_stains(tmp_path):
    own = Path(__file__).parents[3] / "docs/examples/segmenter/competition.toml"
    kidney = SAMPLE.parents[0] / "kidney"
    result = prepare.prepare(str(own), kidney, tmp_path / "out", published_stains=("pas", "test"))
    assert not any("stains" in text for text in result.findings)
