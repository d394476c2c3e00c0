import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit.inference.boxes import weighted_boxes_fusion
from train_local.ensemble import near_boxes


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 120),
    side=st.sampled_from([40, 150, 600]),
    iou=st.sampled_from([0.05, 0.3, 0.5, 0.6, 0.7, 0.95, 1.0]),
    whole=st.booleans(),
)
@example(seed=0, count=0, side=40, iou=0.6, whole=False)
@example(seed=1, count=100, side=40, iou=0.05, whole=True)
def test_clusters_are_those_that_a_grid_finds_to_the_last_digit(seed, count, side, iou, whole):
    random = np.random.default_rng(seed)
    things, sizes = random.uniform(0, side, (8, 2)), random.uniform(4, 60, (8, 2))
    which = random.integers(0, 8, count)
    centre = things[which] + random.normal(0, 4, (count, 2))
    half = sizes[which] * np.exp(random.normal(0, 0.2, (count, 2))) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    # Whole numbers give equal overlaps, and some scores are 0 or equal.
    boxes = boxes.round() if whole else boxes
    scores = random.choice([0.0, 0.3, 1.0], count) * random.choice([1.0, random.random()], count)
    parts = [slice(None, count // 2), slice(count // 2, None)]
    found, expected = (
        weighted_boxes_fusion(
            [boxes[part] for part in parts],
            [scores[part] for part in parts],
            [1.0, 2.0],
            iou=iou,
            skip_score=0.0,
            group=group,
        )
        for group in (near_boxes.clusters, None)
    )
    for name in ("boxes", "scores", "of", "sources", "indices"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
