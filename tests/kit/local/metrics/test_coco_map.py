import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kit.errors import KitError
from kit.local.metrics.coco_map import CocoMap, coco_map
from kit.masks import coco
from kit.predictions import Instances

SIDE = 160


def ellipse(y, x, a, b):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1


def random_images(rng, count, largest):
    """Truths, and for each some detections that are moved and stretched a little."""
    truths, guesses = {}, {}
    for number in range(count):
        shapes = rng.uniform((20, 20, 5, 5), (140, 140, largest, largest), (rng.integers(1, 9), 4))
        moved = np.repeat(shapes, 3, axis=0) * rng.normal(1, 0.08, (3 * len(shapes), 4))
        scores = np.round(rng.random(len(moved)), 2)  # some are equal
        truths[f"tile{number:02}"] = Instances(
            SIDE, SIDE, np.ones(len(shapes)), [coco.encode(ellipse(*shape)) for shape in shapes]
        )
        guesses[f"tile{number:02}"] = Instances(
            SIDE, SIDE, scores, [coco.encode(ellipse(*shape)) for shape in moved]
        )
    return truths, guesses


def by_pycocotools(truths, guesses):
    def rows(all_instances):
        for number, image in enumerate(truths):
            found = all_instances[image]
            order = np.argsort(-found.scores, kind="stable")
            for index in order.tolist():
                counts = found.masks[index]
                yield {
                    "image_id": number,
                    "category_id": 1,
                    "score": float(found.scores[index]),
                    "segmentation": {"size": [SIDE, SIDE], "counts": counts.decode()},
                    "area": int(coco.decode(counts, SIDE, SIDE).sum()),
                }

    reference = COCO()
    reference.dataset = {
        "images": [{"id": number, "height": SIDE, "width": SIDE} for number in range(len(truths))],
        "categories": [{"id": 1, "name": "vessel"}],
        "annotations": [
            {**row, "id": number, "iscrowd": 0} for number, row in enumerate(rows(truths), start=1)
        ],
    }
    reference.createIndex()
    evaluation = COCOeval(reference, reference.loadRes(list(rows(guesses))), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [None if value < 0 else value for value in evaluation.stats[:6].tolist()]


@pytest.mark.parametrize(("seed", "largest"), [(0, 20), (1, 45), (2, 70)])
def test_all_six_equal_those_of_pycocotools(seed, largest):
    truths, guesses = random_images(np.random.default_rng(seed), 12, largest)
    with redirect_stdout(io.StringIO()):
        expected = by_pycocotools(truths, guesses)
    found = coco_map(truths, guesses)
    values = [found.mean, found.at_50, found.at_75, found.small, found.medium, found.large]
    assert [value is None for value in values] == [value is None for value in expected]
    for value, theirs in zip(values, expected, strict=True):
        assert value == pytest.approx(theirs, abs=5e-7)
    assert 0.05 < found.mean < 0.95


def test_images_with_equal_scores_rank_by_their_id_not_by_their_place_in_the_dictionary():
    truths, guesses = random_images(np.random.default_rng(6), 6, 30)
    alike = {
        image: Instances(SIDE, SIDE, np.full(len(one.masks), 0.5), one.masks)
        for image, one in guesses.items()
    }
    assert coco_map(dict(reversed(truths.items())), alike) == coco_map(truths, alike)


def test_nothing_is_printed(capfd):
    coco_map(*random_images(np.random.default_rng(3), 2, 20))
    assert capfd.readouterr() == ("", "")


def test_what_does_not_exist_has_no_precision_and_what_is_not_found_has_none_either():
    truths, _ = random_images(np.random.default_rng(4), 2, 15)
    nothing = {image: Instances(SIDE, SIDE, np.zeros(0), []) for image in truths}
    assert coco_map(truths, {}) == coco_map(truths, nothing) == CocoMap(0.0, 0.0, 0.0, 0.0, None, None)
    assert coco_map(nothing, truths) == coco_map({}, {}) == CocoMap(None, None, None, None, None, None)
    assert coco_map(truths, {**truths, "elsewhere": truths["tile00"]}).mean == pytest.approx(1.0)


def test_a_mask_of_another_size_is_refused():
    truths, guesses = random_images(np.random.default_rng(5), 1, 20)
    guesses["tile00"].masks[0] = coco.encode(np.ones((3, 4), bool))
    with pytest.raises(KitError, match="mask covers 12 pixels, the image has 160 x 160"):
        coco_map(truths, guesses)
