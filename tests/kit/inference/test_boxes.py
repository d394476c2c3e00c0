import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference.boxes import CONFIDENCES, nms, weighted_boxes_fusion

SIDE = 512
"""A power of two: dividing by it, as ensemble-boxes wants boxes, rounds nothing."""


def scene(rng, sources, most, truths=6):
    """Sources that see the same things a little differently, in pixels, no two scores equal."""
    centres, sides = rng.uniform(50, 460, (truths, 2)), rng.uniform(25, 100, (truths, 2))
    boxes, scores = [], []
    for _ in range(sources):
        count = int(rng.integers(0, most + 1))
        which = rng.integers(0, truths, count)
        middle = centres[which] + rng.normal(0, 5, (count, 2))
        half = sides[which] * rng.uniform(0.8, 1.25, (count, 2)) / 2
        boxes.append(np.clip(np.concatenate([middle - half, middle + half], axis=1), 0, SIDE))
        scores.append(rng.random(count))
    return boxes, scores


def members(found, cluster):
    """(source, index in the source) of every box of one cluster, best first."""
    own = found.of == cluster
    return list(zip(found.sources[own].tolist(), found.indices[own].tolist(), strict=True))


def theirs(boxes, scores, weights, *, iou, skip=0.0, confidence="avg"):
    from ensemble_boxes import weighted_boxes_fusion as oracle

    shrunk, labels = [part / SIDE for part in boxes], [np.zeros(len(part)) for part in scores]
    found, fused, _ = oracle(
        shrunk, scores, labels, weights=weights, iou_thr=iou, skip_box_thr=skip, conf_type=confidence
    )
    return np.concatenate([found, np.reshape(fused, (-1, 1))], axis=1)


def ours(boxes, scores, weights, *, iou, skip=0.0, confidence="avg"):
    found = weighted_boxes_fusion(boxes, scores, weights, iou=iou, skip_score=skip, confidence=confidence)
    return np.concatenate([found.boxes / SIDE, found.scores[:, None]], axis=1)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    sources=st.integers(1, 5),
    most=st.sampled_from([1, 10, 60]),
    options=st.fixed_dictionaries(
        {
            "iou": st.sampled_from([0.05, 0.4, 0.55, 0.6, 0.7, 0.95]),
            "skip": st.sampled_from([0.0, 0.01, 0.3]),
            "confidence": st.sampled_from(CONFIDENCES),
        }
    ),
)
def test_fused_boxes_equal_ensemble_boxes(seed, sources, most, options):
    rng = np.random.default_rng(seed)
    boxes, scores = scene(rng, sources, most)
    case = (boxes, scores, rng.uniform(0.3, 3, sources).tolist())
    found, expected = ours(*case, **options), theirs(*case, **options)
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    sources=st.integers(1, 4),
    iou=st.sampled_from([0.25, 0.5, 0.6]),
    confidence=st.sampled_from(CONFIDENCES),
)
def test_ties_of_scores_and_overlaps_equal_ensemble_boxes_that_is_told_our_order(
    seed, sources, iou, confidence
):
    rng = np.random.default_rng(seed)
    corners = [rng.integers(0, 12, (int(rng.integers(0, 9)), 2)) * 8.0 for _ in range(sources)]
    boxes = [np.concatenate([near, near + rng.integers(1, 5, near.shape) * 8.0], axis=1) for near in corners]
    scores = [rng.integers(1, 4, len(part)) / 4 for part in boxes]
    weights = rng.choice([0.5, 1.0, 2.0], sources).tolist()
    # Their order of equal scores is not defined. Smallest steps downwards leave them no choice.
    told, step = [part.copy() for part in scores], 0
    for source, part in enumerate(scores):
        for index in range(len(part)):
            told[source][index] = part[index] * (1 - step * 2.0**-52)
            step += 1
    found = ours(boxes, scores, weights, iou=iou, confidence=confidence)
    expected = theirs(boxes, told, weights, iou=iou, confidence=confidence)
    assert len(found) == len(expected)
    unmatched = np.ones(len(expected), bool)
    for row in found:  # among equal fused scores, too, their order is not defined
        near = np.flatnonzero(unmatched & (np.abs(expected - row).max(axis=1, initial=0) <= 1e-9))
        assert len(near)
        unmatched[near[0]] = False
    assert (np.diff(found[:, 4]) <= 0).all()


def test_one_giant_among_hundreds_of_tiny_boxes_equals_ensemble_boxes():
    rng = np.random.default_rng(0)
    near = rng.uniform(0, 500, (300, 2))
    tiny = np.concatenate([near, near + rng.uniform(0.5, 3, (300, 2))], axis=1)
    boxes = [np.concatenate([tiny, [[0, 0, 512, 512]]]), np.concatenate([tiny + 0.1, [[1, 2, 509, 511]]])]
    case = (boxes, [rng.random(301), rng.random(301)], [1, 1])
    assert np.allclose(ours(*case, iou=0.5), theirs(*case, iou=0.5), rtol=0, atol=1e-9)


@given(seed=st.integers(0, 10**6))
def test_every_box_above_the_threshold_is_in_exactly_one_cluster_best_first(seed):
    boxes, scores = scene(np.random.default_rng(seed), 3, 20)
    weights = [1.0, 0.5, 2.0]
    found = weighted_boxes_fusion(boxes, scores, weights, iou=0.5, skip_score=0.2)
    weighted = [scores[s][i] * weights[s] for s, i in zip(found.sources, found.indices, strict=True)]
    ranks = list(zip(found.of.tolist(), -np.array(weighted), strict=True))
    assert ranks == sorted(ranks)
    fused = sorted(member for cluster in range(len(found)) for member in members(found, cluster))
    kept = [(s, i) for s, own in enumerate(scores) for i, score in enumerate(own) if score >= 0.2]
    assert fused == kept


def test_equal_scores_are_ranked_by_source_and_then_by_index():
    count = 40  # so many that a sort that need not keep their order would not
    apart = np.array([[0.0, 0, 1, 1]]) + 5 * np.arange(count)[:, None]
    scores = np.resize([0.5, 0.9, 0.7], count)
    found = weighted_boxes_fusion([apart, apart + 500], [scores] * 2, [1, 1], iou=0.5, skip_score=0)
    ranked = sorted((-scores[index], source, index) for source in (0, 1) for index in range(count))
    expected = [[(source, index)] for _, source, index in ranked]
    assert [members(found, cluster) for cluster in range(2 * count)] == expected


def test_one_source_alone_keeps_its_boxes_and_scores():
    boxes = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    found = weighted_boxes_fusion([boxes], [np.array([0.3, 0.9])], [2.0], iou=0.6, skip_score=0)
    assert found.boxes.tolist() == boxes[::-1].tolist()
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])


@pytest.mark.parametrize(("confidence", "score"), [("avg", 1.35), ("max", 0.9), ("box_and_model_avg", 0.675)])
def test_only_avg_passes_one_when_a_heavy_source_doubles_a_box(confidence, score):
    twice, none = np.array([[0.0, 0, 9, 9]] * 2), np.empty((0, 4))
    found = weighted_boxes_fusion(
        [twice, none],
        [np.full(2, 0.9), np.empty(0)],
        [3.0, 1.0],
        iou=0.6,
        skip_score=0,
        confidence=confidence,
    )
    assert found.scores.tolist() == pytest.approx([score])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), confidence=st.sampled_from(CONFIDENCES[1:]))
def test_the_other_confidences_never_pass_one(seed, confidence):
    rng = np.random.default_rng(seed)
    boxes, scores = scene(rng, 3, 30, truths=2)
    weights = rng.uniform(0.1, 5, 3)
    found = weighted_boxes_fusion(boxes, scores, weights, iou=0.3, skip_score=0, confidence=confidence)
    assert (found.scores <= 1 + 1e-6).all()


def test_no_boxes_fuse_to_none():
    none, scores = np.empty((0, 4)), np.empty(0)
    for sources in ([], [none, none]):
        found = weighted_boxes_fusion(
            sources, [scores] * len(sources), [1] * len(sources), iou=0.5, skip_score=0
        )
        assert (len(found), found.boxes.shape, len(found.of)) == (0, (0, 4), 0)
    assert len(nms(none, scores, 0.5)) == 0


def test_boxes_without_area_take_no_part_and_scores_of_zero_are_fused():
    boxes = np.array([[4.0, 4, 4, 9], [0, 0, 8, 8], [0, 0, 8, 7]])
    found = weighted_boxes_fusion([boxes], [np.zeros(3)], [1.0], iou=0.5, skip_score=0)
    assert members(found, 0) == [(0, 1), (0, 2)]
    assert found.boxes.tolist() == [[0, 0, 8, 8]]
    assert found.scores.tolist() == [0]


@pytest.mark.parametrize(
    ("box", "score", "message"),
    [
        ([0, 0, float("nan"), 9], 0.5, "boxes or scores that are not numbers"),
        ([0, 0, float("inf"), 9], 0.5, "boxes or scores that are not numbers"),
        ([0, 0, 1e39, 9], 0.5, "or lie far outside any image"),
        ([-1e200, 0, 9, 9], 0.5, "or lie far outside any image"),
        ([0, 0, 9, 9], float("nan"), "boxes or scores that are not numbers"),
        ([0, 0, 9, 9], float("inf"), "boxes or scores that are not numbers"),
        ([0, 0, 9, 9], -0.5, "a detection has a negative score: -0.5"),
        ([0, 0, 9], 0.5, r"boxes of shape \(1, 3\) do not fit scores of shape \(1,\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused(box, score, message):
    boxes, scores = np.array([box], np.float64), np.array([score])
    with pytest.raises(KitError, match=message) as caught:
        nms(boxes, scores, 0.5)
    assert "run it again" in str(caught.value)
    with pytest.raises(KitError, match=message):
        weighted_boxes_fusion([boxes], [scores], [1.0], iou=0.5, skip_score=0)


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union else 0.0


def slow_nms(boxes, scores, iou):
    kept = []
    for index in sorted(range(len(scores)), key=lambda position: (-scores[position], position)):
        if all(overlap(boxes[index], boxes[other]) <= iou for other in kept):
            kept.append(index)
    return kept


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.booleans(), iou=st.sampled_from([0.02, 0.3, 0.5, 0.9, 1.0]))
def test_nms_equals_plain_loops_also_with_equal_scores_and_boxes(seed, ties, iou):
    boxes, scores = (part[0] for part in scene(np.random.default_rng(seed), 1, 40))
    if ties:
        boxes, scores = np.concatenate([boxes, boxes // 40 * 40]), np.tile(scores.round(1), 2)
    assert nms(boxes, scores, iou).tolist() == slow_nms(boxes, scores, iou)


def test_boxes_without_area_suppress_nothing():
    boxes = np.array([[1.0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 2, 2]])
    assert nms(boxes, np.array([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 1, 2]
    assert nms(boxes[:2], np.array([0.9, 0.8]), 0.5).tolist() == [0, 1]
