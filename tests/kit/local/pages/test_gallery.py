"""Galleries of competitions of every kind, from folders in the layout of public ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.competitions import get
from kit.local.competitions.labelled import LabelledData
from kit.local.pages.confusion import confusion
from kit.local.pages.gallery import make_gallery
from kit.local.pages.render import render
from kit.masks import coco, rle
from kit.predictions import ClassMasks, Instances, SemanticMask, Values
from tests.browser.checks import CONTRAST
from tests.browser.chromium import DESKTOP, PHONE, SIZES, opened
from tests.kit.competitions import public_folders

ROOT = Path(__file__).parents[4]
TEMPLATE = ROOT / "tests" / "browser" / "gallery_page.html"


def labelled(name, tmp_path):
    """A competition's definition and its tiny folder, with the truth of its test images."""
    public_folders.FOLDERS[name](tmp_path)
    competition = get(ROOT / "docs" / "competitions" / f"{name}.toml")
    ids = competition.test_ids(tmp_path)
    return competition, LabelledData(competition, tmp_path).truth(ids)


def galleries(competition, data, images, **more):
    return make_gallery(
        competition.name,
        competition,
        images,
        lambda image: competition.image_path(data, image, "test"),
        **more,
    )


def test_masks_of_several_classes_are_judged_class_by_class(tmp_path):
    competition, truth = labelled("severstal", tmp_path)
    (first, true), (second, nothing) = truth.items()
    assert isinstance(true, ClassMasks)
    # The defect of class 1 is predicted as class 2: it is missed, and another one is false.
    masks = dict(true.masks)
    masks["1"], masks["2"] = masks["2"], masks["1"]
    wrong = ClassMasks(true.height, true.width, masks)
    found = galleries(competition, tmp_path, {first: (true, wrong), second: (nothing, nothing)}, pictures=5)
    assert [entry.image_id for entry in found.entries] == [first, second], "the worst first"
    assert found.entries[0].counts == {"missed": 1, "false": 1}
    assert found.entries[1].counts == {}
    assert found.entries[1].score == 1.0
    assert {"lacking", "surplus", "missed", "false"} <= set(found.pictures[0]["layers"])
    assert found.objects == "regions"


def test_instances_of_a_metric_without_scores_are_judged(tmp_path):
    competition, truth = labelled("sartorius", tmp_path)
    images = {
        image: (true, Instances(true.height, true.width, np.ones(1), true.masks[:1]))
        for image, true in truth.items()
    }
    found = galleries(competition, tmp_path, images, pictures=1)
    missed = sum(entry.counts.get("missed", 0) for entry in found.entries)
    assert missed == sum(len(true.masks) - 1 for true in truth.values())
    assert [entry.picture for entry in found.entries] == [0, None]
    assert "with a picture" in found.counted


def test_a_lower_loss_is_better_and_values_stand_beside_the_true_ones(tmp_path):
    competition, truth = labelled("rsna-hemorrhage", tmp_path)
    names = competition.format.targets
    images = {
        image: (true, Values({name: 0.9 if number == 5 else 0.1 for number, name in enumerate(names)}))
        for image, true in truth.items()
    }
    found = galleries(competition, tmp_path, images, pictures=3)
    losses = [entry.score for entry in found.entries]
    assert losses == sorted(losses, reverse=True), "the worst first"
    assert not found.has_meter
    assert "is 0, predicted 0.9" in found.entries[0].text
    assert all(picture["layers"] == {} for picture in found.pictures)
    assert found.layers == []


def test_words_and_shares_of_classes_have_a_confusion():
    def one(word):
        return Values({"kind": word})

    images = {"a": (one("cat"), one("cat")), "b": (one("cat"), one("dog")), "c": (one("dog"), one("dog"))}
    table = confusion(images)
    assert table.names == ["cat", "dog"]
    assert table.rows == [("cat", [1, 1]), ("dog", [0, 1])]
    shares = Values({"cat": 0.2, "dog": 0.7, "bird": 0.1})
    table = confusion({"a": (Values({"cat": 1, "dog": 0, "bird": 0}), shares)})
    assert table.rows == [("cat", [0, 1]), ("dog", [0, 0])]
    assert confusion({"a": (Values({"cat": 1, "dog": 1}), shares)}) is None, "several classes at once"
    assert confusion({"a": (Values({"height": 1.7}), Values({"height": 1.6}))}) is None
    assert confusion({"a": (None, one("cat"))}) is None
    many = {str(n): (one(f"w{n % 30:02}"), one(f"w{n % 30:02}")) for n in range(90)}
    assert (len(confusion(many).names), confusion(many).left_out) == (20, 30)


def slides(folder, count, size=700):
    random = np.random.default_rng(1)
    (folder / "test").mkdir()
    masks = {}
    for number in range(count):
        coarse_HWC = random.integers(90, 220, (size // 4, size // 4, 3), np.uint8)
        image_HWC = np.kron(coarse_HWC, np.ones((4, 4, 1), np.uint8))
        tifffile.imwrite(folder / "test" / f"s{number:02}.tiff", image_HWC, photometric="rgb")
        mask_HW = np.zeros((size, size), bool)
        mask_HW[100:400, 100 : 110 + 20 * number] = True
        masks[f"s{number:02}"] = SemanticMask(size, size, rle.encode(mask_HW))
    return masks


def test_two_of_three_pictures_are_of_the_worst_images_and_all_keep_the_budget(tmp_path):
    masks = slides(tmp_path, 9)
    whole = next(reversed(masks.values()))
    images = {image: (whole, mask) for image, mask in masks.items()}
    found = galleries(get("kidney"), tmp_path, images, pictures=6, budget=1_800_000)
    assert [entry.image_id for entry in found.entries] == sorted(masks), "more of the truth is better"
    assert [entry.picture for entry in found.entries] == [0, 1, 2, 3, None, None, None, 4, 5]
    characters = sum(len(tile) for picture in found.pictures for tile in picture["tiles"].values())
    assert characters <= 1_800_000
    unknown = {image: (None, mask) for image, mask in masks.items()}
    found = galleries(get("kidney"), tmp_path, unknown, pictures=3)
    assert [entry.image_id for entry in found.entries if entry.picture is not None] == ["s00", "s04", "s08"]
    assert not found.with_truth
    assert galleries(get("kidney"), tmp_path, unknown, pictures=0).pictures == []


def test_an_id_cannot_end_the_script_that_holds_it(tmp_path):
    masks = slides(tmp_path, 1, size=40)
    (mask,) = masks.values()
    images, path = {"</script><b>": (None, mask)}, tmp_path / "test" / "s00.tiff"
    found = make_gallery("<x>", get("kidney"), images, lambda _: path, pictures=1)
    assert "<" not in found.data
    assert json.loads(found.data)["images"][0]["id"] == "</script><b>"


def test_5000_images_with_errors_make_a_list_of_a_megabyte(tmp_path):
    size = (64, 64)
    true = [coco.encode(np.eye(64, dtype=bool)), coco.encode(np.eye(64, dtype=bool)[::-1])]
    truth = Instances(*size, np.ones(2), true)
    half = Instances(*size, np.array([0.9, 0.2]), [true[0], coco.encode(np.ones(size, bool))])
    images = {f"image-{number:012}": (truth, half) for number in range(5000)}
    found = galleries(get("vasculature"), tmp_path, images, pictures=0)
    page = render(TEMPLATE, found=found)
    assert len(found.entries) == 5000
    assert len(page) < 2_500_000


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=SIZES)
def test_pages_of_other_kinds_work_in_a_browser(chromium, tmp_path, size):
    pages = {}
    for name in ("severstal", "rsna-hemorrhage"):
        folder = tmp_path / name
        folder.mkdir()
        competition, truth = labelled(name, folder)
        images = {image: (true, true) for image, true in truth.items()}
        found = galleries(competition, folder, images, pictures=2)
        pages[name] = folder / "page.html"
        pages[name].write_text(render(TEMPLATE, found=found))
    words = {f"i{number}": (Values({"kind": "cat"}), Values({"kind": "cow"})) for number in range(3)}
    found = galleries(get(ROOT / "docs" / "competitions" / "severstal.toml"), tmp_path, {}, pictures=0)
    table = type(found)("words", "accuracy", "", True, [], [], confusion(words))
    pages["words"] = tmp_path / "words.html"
    pages["words"].write_text(render(TEMPLATE, found=table))
    for name, path in pages.items():
        with opened(chromium, path, size=size) as seen:
            seen.page.wait_for_timeout(300)
            assert seen.complaints == []
            assert seen.requests == []
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert [text for text in seen.page.evaluate(CONTRAST) if text[0] < 4.5] == []
            if name == "words":
                assert seen.page.locator("table.confusion td.failed").inner_text() == "3"
                assert seen.page.locator(".message").is_visible()
            else:
                seen.until("document.querySelector('.openseadragon-canvas canvas')")
                assert seen.page.locator(".item").count() == 2
            if name == "rsna-hemorrhage":
                assert seen.page.locator(".only").count() == 0, "values have no objects"
