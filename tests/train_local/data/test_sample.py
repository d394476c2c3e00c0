import csv
import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kit import competitions
from kit.errors import KitError
from kit.images.slide import open_slide
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco, rle
from train_local import cli
from train_local.data.sample import SUMS, check_sums, make_sample, read_sums
from train_local.data.seams import source_images

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "sample"
NAMES = ["body", "kidney", "vasculature"]


def labelled(name):
    return LabelledData(competitions.get(name), SAMPLE / name)


def ids_of(name, split):
    folder = labelled(name)
    return folder.train_ids() if split == "train" else folder.competition.test_ids(folder.data)


def pixels(name, split, image_id):
    with open_slide(competitions.get(name).image_path(SAMPLE / name, image_id, split)) as slide:
        return slide.read_band(0, slide.height)


@pytest.mark.parametrize("name", NAMES)
def test_committed_files_have_their_checksums_and_no_file_is_unlisted(name):
    check_sums(SAMPLE / name)
    present = {
        path.relative_to(SAMPLE / name).as_posix() for path in (SAMPLE / name).rglob("*") if path.is_file()
    }
    assert present == set(read_sums(SAMPLE / name)) | {SUMS, "README.md"}


def test_the_sample_is_small():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 1e7


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_passes_its_competitions_check(name):
    report = check(labelled(name))
    assert [str(finding) for finding in report.findings if finding.level != "note"] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_image_opens_and_every_truth_fits_it(name):
    competition = competitions.get(name)
    for split in ("train", "test"):
        truth = labelled(name).truth(ids_of(name, split))
        for image_id, true in truth.items():
            image_HWC = pixels(name, split, image_id)
            assert image_HWC.shape == (true.height, true.width, 3)
            assert image_HWC.std() > 5
            masks = (
                [rle.decode(true.runs, true.height, true.width)]
                if competition.kind == "semantic"
                else [coco.decode(mask, true.height, true.width) for mask in true.masks]
            )
            assert masks
            assert all(mask_HW.any() for mask_HW in masks)


@pytest.mark.parametrize("name", NAMES)
def test_training_and_held_out_images_are_different_images(name):
    digests = {
        split: {hashlib.sha256(pixels(name, split, key).tobytes()).hexdigest() for key in ids_of(name, split)}
        for split in ("train", "test")
    }
    assert len(digests["train"]) == len(ids_of(name, "train"))
    assert not digests["train"] & digests["test"]
    assert not set(ids_of(name, "train")) & set(ids_of(name, "test"))


def dataset_of():
    with (SAMPLE / "vasculature" / "tile_meta.csv").open(newline="") as stream:
        return {row["id"]: int(row["dataset"]) for row in csv.DictReader(stream)}


def test_no_held_out_tile_continues_a_training_tile():
    sides = {key: split for split in ("train", "test") for key in ids_of("vasculature", split)}
    datasets = dataset_of()
    tiles = {
        key: pixels("vasculature", split, key)
        for key, split in sides.items()
        if datasets.get(key, 1) == 1  # held-out tiles have no row
    }
    parts = source_images(tiles, rows=2, columns=2, limit=2.2)
    assert sorted(map(len, parts)) == [2, 2, 3] + 25 * [4], "the tiles are known to be quarters of images"
    for part in parts:
        assert len({sides[key] for key in part}) == 1, f"one image is on both sides: {sorted(part)}"


def test_a_stain_groups_tiles_are_on_both_sides_where_it_has_several_images():
    datasets = dataset_of()
    ids = [key for key in ids_of("vasculature", "train") if datasets[key] == 1]
    assert {labelled("vasculature").group_of(key) for key in ids} == {"1", "2", "3"}
    assert 0.2 < len(ids_of("vasculature", "test")) / 107 < 0.3


def test_datasets_2_and_3_have_tiles_for_the_first_stages_and_the_pseudo_labels():
    with (SAMPLE / "vasculature" / "tile_meta.csv").open(newline="") as stream:
        rows = [(row["dataset"], row["source_wsi"]) for row in csv.DictReader(stream)]
    counts = Counter(rows)
    assert counts["2", "3"] == counts["2", "4"] == 6
    assert counts["3", "6"] == counts["3", "7"] == 4
    assert not {key for key, dataset in dataset_of().items() if dataset == 3} & set(
        ids_of("vasculature", "train")
    )


def test_every_organ_of_the_body_sample_has_images_on_both_sides():
    folder = labelled("body")
    for split, count in (("train", 5), ("test", 1)):
        organs = Counter(
            folder.competition.info(folder.data, key, split).organ for key in ids_of("body", split)
        )
        assert organs == {"kidney": count, "prostate": count, "spleen": count}


def test_the_regions_have_the_three_layouts_of_the_competition():
    from kit.images.header import read_header

    layouts = {path.stem: read_header(path).layout for path in (SAMPLE / "kidney").glob("*/*.tiff")}
    assert layouts == {"1008": "chunky", "1019": "planar", "1015": "pages"}


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_tells_licence_origin_and_what_stands_for_what(name):
    text = (SAMPLE / name / "README.md").read_text()
    for part in (
        "**Licence.** CC0",
        "**Origin.**",
        "**What was changed.**",
        "stand for",
        "leaderboard quality",
    ):
        assert part in text


@pytest.fixture(scope="session")
def source():
    folder = Path(os.environ.get("SAMPLE_SOURCE", ROOT.parent / "shared" / "data"))
    if not (folder / "bcss-tumour-regions").is_dir():
        pytest.skip("the source images are not here; set SAMPLE_SOURCE to their folder")
    return folder


def test_the_sample_is_what_its_source_makes(source, tmp_path):
    make_sample(source, tmp_path)
    for name in NAMES:
        for file in [*read_sums(SAMPLE / name), SUMS]:
            assert (tmp_path / name / file).read_bytes() == (SAMPLE / name / file).read_bytes(), file


def test_a_missing_or_changed_source_is_named(tmp_path):
    arguments = ["sample", "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(KitError, match="source folder bcss-tumour-regions/ is missing"):
        cli.main(arguments)
    folder = tmp_path / "bcss-tumour-regions"
    folder.mkdir()
    with pytest.raises(KitError, match="SHA256SUMS is missing"):
        cli.main(arguments)
    (folder / SUMS).write_text(f"{hashlib.sha256(b'image').hexdigest()}  1008.tif\n")
    with pytest.raises(KitError, match="file is missing") as caught:
        cli.main(arguments)
    assert caught.value.where == str(folder / "1008.tif")
    (folder / "1008.tif").write_bytes(b"imagf")
    with pytest.raises(KitError, match="file differs from SHA256SUMS"):
        cli.main(arguments)
    assert not (tmp_path / "out").exists()


def test_pixels_are_read_in_the_right_channel_order():
    for split, name in (("train", "1008"), ("train", "1019"), ("test", "1015")):
        red, green, blue = np.mean(pixels("kidney", split, name), axis=(0, 1))
        assert red > green, "stroma is pink: red and blue outweigh green"
        assert blue > green
