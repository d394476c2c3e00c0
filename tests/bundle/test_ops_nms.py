import importlib
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def iou(a, b, offset):
    """Exact for boxes with whole coordinates; 0 where both are empty."""
    sides = [max(0, min(a[2 + i], b[2 + i]) - max(a[i], b[i]) + offset) for i in (0, 1)]
    area_a, area_b = ((c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b))
    inside = sides[0] * sides[1]
    union = area_a + area_b - inside
    return Fraction(inside, union) if union else Fraction(0)


def by_score(scores):
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def slow_nms(boxes, scores, threshold, offset):
    kept = []
    for i in by_score(scores):
        if all(iou(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


def slow_soft_nms(boxes, scores, *, iou_threshold, sigma, min_score, method, offset):
    left = dict(enumerate(scores))
    picked = []
    while left:
        best = by_score_of(left)
        picked.append((best, left.pop(best)))
        for i in list(left):
            overlap = float(iou(boxes[best], boxes[i], offset))
            if method == "gaussian":
                left[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= iou_threshold:
                left[i] *= 1 - overlap if method == "linear" else 0
            if left[i] < min_score:
                del left[i]
    return picked


def by_score_of(left):
    return min(left, key=lambda i: (-left[i], i))


def some_boxes():
    corner = st.integers(0, 12)
    side = st.integers(0, 8)
    box = st.tuples(corner, corner, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    # Few distinct scores, so that ties are common.
    return st.lists(st.tuples(box, st.sampled_from([0.125, 0.25, 0.5, 0.625, 0.875])), max_size=12)


THRESHOLDS = {"1/4": Fraction(1, 4), "1/2": Fraction(1, 2), "3/5": Fraction(3, 5), "7/10": Fraction(7, 10)}
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    some_boxes(),
    st.sampled_from(sorted(THRESHOLDS)),
    st.sampled_from([0, 1]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_nms_keeps_what_plain_loops_keep_ties_and_exact_thresholds_included(
    ops, items, threshold, offset, dtype
):
    boxes = [box for box, _ in items]
    scores = [score for _, score in items]
    exact = THRESHOLDS[threshold]
    dets, kept = ops.nms(
        torch.tensor(boxes, dtype=dtype).reshape(-1, 4),
        torch.tensor(scores, dtype=dtype),
        float(exact),
        offset,
    )
    assert kept.tolist() == slow_nms(boxes, scores, exact, offset)
    assert dets.tolist() == [[*boxes[i], scores[i]] for i in kept.tolist()]


def test_nms_of_nothing_is_nothing(ops, device):
    dets, kept = ops.nms(torch.zeros(0, 4, device=device), torch.zeros(0, device=device), 0.5)
    assert dets.shape == (0, 5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_nms_filters_by_score_and_caps_the_number(ops, device):
    boxes = torch.tensor(
        [[0, 0, 4, 4], [10, 10, 14, 14], [20, 20, 24, 24], [30, 30, 34, 34]], dtype=torch.float32
    )
    scores = torch.tensor([0.2, 0.9, 0.6, 0.7])
    _, kept = ops.nms(boxes.to(device), scores.to(device), 0.5, score_threshold=0.3, max_num=2)
    assert kept.tolist() == [1, 3]


def test_nms_of_numpy_arrays_gives_numpy_arrays(ops):
    dets, kept = ops.nms(np.array([[0, 0, 4, 4]], np.float32), np.array([0.5], np.float32), 0.5)
    assert isinstance(dets, np.ndarray)
    assert kept.tolist() == [0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nms_in_half_precision_measures_overlaps_in_full(ops, device, dtype):
    # 256 and 252 are numbers of both types, 256 * 252 of neither, and 256 * 256 overflows one of them.
    boxes = torch.tensor([[0, 0, 256, 256], [0, 0, 256, 252], [0, 0, 256, 120]], dtype=dtype, device=device)
    scores = torch.tensor([0.9, 0.8, 0.7], dtype=dtype, device=device)
    assert ops.nms(boxes, scores, 0.99)[1].tolist() == [0, 1, 2]
    assert ops.nms(boxes, scores, 0.98)[1].tolist() == [0, 2]


def test_batched_nms_keeps_classes_apart(ops, device):
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 8]], device=device)
    scores = torch.tensor([0.7, 0.9, 0.8], device=device)
    classes = torch.tensor([0, 1, 1], device=device)
    _, kept = ops.batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})
    assert kept.tolist() == [1, 0]


@quick
@given(
    items=some_boxes(),
    options=st.fixed_dictionaries(
        {
            "method": st.sampled_from(["naive", "linear", "gaussian"]),
            "iou_threshold": st.sampled_from([0.25, 0.5]),
            "min_score": st.sampled_from([1e-3, 0.2]),
            "offset": st.sampled_from([0, 1]),
        }
    ),
)
def test_soft_nms_equals_plain_loops(ops, items, options):
    boxes = [box for box, _ in items]
    scores = [score for _, score in items]
    dets, kept = ops.soft_nms(
        torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float64),
        sigma=0.5,
        **options,
    )
    expected = slow_soft_nms(boxes, scores, sigma=0.5, **options)
    assert kept.tolist() == [i for i, _ in expected]
    rows = [[*boxes[i], score] for i, score in expected]
    torch.testing.assert_close(
        dets, torch.tensor(rows, dtype=torch.float64).reshape(-1, 5), rtol=1e-12, atol=0
    )


def test_soft_nms_gives_the_answer_of_its_documentation(ops):
    boxes = np.array(
        [[4, 3, 5, 3], [4, 3, 5, 4], [3, 1, 3, 1], [3, 1, 3, 1], [3, 1, 3, 1], [3, 1, 3, 1]], np.float32
    )
    scores = np.array([0.9, 0.9, 0.5, 0.5, 0.4, 0.0], np.float32)
    dets, kept = ops.soft_nms(boxes, scores, 0.6, sigma=0.5)
    assert len(kept) == len(dets) == 5
    assert np.isfinite(dets).all()


def test_soft_nms_refuses_an_unknown_method(ops):
    softnms = importlib.import_module("mmcv._ext").softnms
    with pytest.raises(
        ValueError, match=r"method must be 0 \(naive\), 1 \(linear\) or 2 \(gaussian\), not 7"
    ):
        softnms(torch.zeros(1, 4), torch.zeros(1), torch.zeros(1, 5), 0.5, 0.5, 0.0, 7, 0)
