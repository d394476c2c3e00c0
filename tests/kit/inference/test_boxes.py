import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.inference.boxes import iou_with, nms, weighted_boxes_fusion


def scene(rng, sources, most, truths=6):
    """Sources that see the same things a little differently, in coordinates 0..1, no two scores equal."""
    centres, sides = rng.random((truths, 2)) * 0.8 + 0.1, rng.random((truths, 2)) * 0.15 + 0.05
    boxes, scores = [], []
    for _ in range(sources):
        count = int(rng.integers(0, most + 1))
        which = rng.integers(0, truths, count)
        middle = centres[which] + rng.normal(0, 0.01, (count, 2))
        half = sides[which] * rng.uniform(0.8, 1.25, (count, 2)) / 2
        boxes.append(np.clip(np.concatenate([middle - half, middle + half], axis=1), 0, 1))
        scores.append(rng.random(count))
    return boxes, scores


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    sources=st.integers(1, 5),
    most=st.sampled_from([1, 10, 60]),
    iou=st.sampled_from([0.4, 0.55, 0.6, 0.7]),
    skip=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_fused_boxes_equal_ensemble_boxes(seed, sources, most, iou, skip):
    from ensemble_boxes import weighted_boxes_fusion as oracle

    rng = np.random.default_rng(seed)
    boxes, scores = scene(rng, sources, most)
    weights = rng.uniform(0.3, 3, sources).tolist()
    labels = [np.zeros(len(part)) for part in scores]
    expected_boxes, expected_scores, _ = oracle(
        boxes, scores, labels, weights=weights, iou_thr=iou, skip_box_thr=skip, conf_type="avg"
    )
    clusters = weighted_boxes_fusion(boxes, scores, weights, iou=iou, skip_score=skip)
    assert len(clusters) == len(expected_scores)
    if clusters:
        assert np.abs(np.array([cluster.box for cluster in clusters]) - expected_boxes).max() <= 1e-9
        assert np.abs(np.array([cluster.score for cluster in clusters]) - expected_scores).max() <= 1e-9


@given(seed=st.integers(0, 10**6))
def test_every_box_above_the_threshold_is_in_exactly_one_cluster(seed):
    boxes, scores = scene(np.random.default_rng(seed), 3, 20)
    clusters = weighted_boxes_fusion(boxes, scores, [1, 1, 1], iou=0.5, skip_score=0.2)
    members = sorted(member for cluster in clusters for member in cluster.members)
    kept = [(s, i) for s, own in enumerate(scores) for i, score in enumerate(own) if score >= 0.2]
    assert members == kept


def test_equal_scores_are_ranked_by_source_and_then_by_index():
    box = np.array([[0.0, 0, 1, 1]])
    apart = np.concatenate([box, box + 5, box + 10])
    clusters = weighted_boxes_fusion(
        [apart, apart + 100], [np.full(3, 0.5), np.full(3, 0.5)], [1, 1], iou=0.5, skip_score=0
    )
    assert [cluster.members for cluster in clusters] == [[(s, i)] for s in (0, 1) for i in (0, 1, 2)]


def test_one_source_alone_keeps_its_boxes_and_scores():
    boxes = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    clusters = weighted_boxes_fusion([boxes], [np.array([0.3, 0.9])], [2.0], iou=0.6, skip_score=0)
    assert [cluster.box.tolist() for cluster in clusters] == boxes[::-1].tolist()
    assert [cluster.score for cluster in clusters] == pytest.approx([0.9, 0.3])


def test_no_boxes_fuse_to_none():
    none, scores = np.empty((0, 4)), np.empty(0)
    assert weighted_boxes_fusion([none, none], [scores, scores], [1, 1], iou=0.5, skip_score=0) == []
    assert len(nms(none, scores, 0.5)) == 0


def slow_nms(boxes, scores, iou):
    kept = []
    for index in sorted(range(len(scores)), key=lambda position: (-scores[position], position)):
        if all(iou_with(boxes[index], boxes[other][None])[0] <= iou for other in kept):
            kept.append(index)
    return kept


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_nms_equals_plain_loops_also_with_equal_scores(seed, ties):
    boxes, scores = (part[0] for part in scene(np.random.default_rng(seed), 1, 40))
    scores = scores.round(1) if ties else scores
    assert nms(boxes, scores, 0.5).tolist() == slow_nms(boxes, scores, 0.5)


def test_overlap_is_that_of_areas_and_zero_without_area():
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [1, 1, 1, 1]])
    assert iou_with(boxes[0], boxes).tolist() == [1.0, 1 / 7, 0.0, 0.0]
    assert iou_with(boxes[3], boxes[3:]).tolist() == [0.0]
