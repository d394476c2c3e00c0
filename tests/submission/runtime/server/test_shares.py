import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.runtime.server.shares import Progress, limit, margin, share

SECONDS = st.floats(1, 1e5)


def test_each_image_gets_the_same_part_of_what_is_left_less_the_gateways_own_time():
    assert share(2, Progress(), left=31_500, expected=1000) == pytest.approx(60)
    progress = Progress(calls=450, images=450, inside=9000, outside=900)
    assert share(2, progress, left=30_000, expected=1000) == pytest.approx(96)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), SECONDS, st.floats(0.5, 2), st.floats(0, 0.5))
def test_calls_that_use_their_shares_never_use_more_than_the_run_has(batches, budget, wrong, outside):
    """However wrong the expected number of images is; the gateway takes a part of an image's time, too."""
    expected = max(1, round(wrong * sum(batches)))
    between = outside * budget / sum(batches)
    progress, left = Progress(), budget
    for images in batches:
        used = share(images, progress, left=left, expected=expected)
        assert 0 <= used <= max(left, 0.0) * (1 + 1e-9)
        progress.note(images, used, between)
        left -= used + between
    assert left >= -between * len(batches) - 1e-6 * budget


@given(st.integers(2, 300), SECONDS)
def test_calls_that_use_their_shares_all_get_the_same(calls, budget):
    """So nothing is lost by a restart that forgets how many came."""
    progress, left, shares = Progress(), budget, []
    for _ in range(calls):
        shares.append(share(1, progress, left=left, expected=calls))
        progress.note(1, shares[-1], 0.0)
        left -= shares[-1]
    assert shares == pytest.approx([shares[0]] * calls)
    assert left == pytest.approx(budget * (1 - 1 / 1.05))


def test_more_images_than_expected_share_what_is_left():
    progress = Progress(calls=100, images=1000)
    assert share(1, progress, left=500, expected=900) == pytest.approx(5)
    assert share(1, progress, left=-5, expected=900) == 0


@given(SECONDS)
def test_the_answer_is_on_its_way_before_the_deadline(deadline):
    assert 0 < margin(deadline) <= deadline / 2
    assert margin(deadline) >= min(2.0, deadline / 2)


@pytest.mark.parametrize(
    ("deadline", "left", "first", "seconds"),
    [
        (60, 30_000, False, 57),
        (60, 30_000, True, 1797),
        (5, 30_000, False, 3),
        (3600, 30_000, True, 3420),
        (60, 600, True, 147),
        (60, 10, False, 10),
        (60, -3, False, 0),
    ],
)
def test_the_first_call_has_time_for_the_installation(deadline, left, first, seconds):
    assert limit(deadline, left, first=first) == pytest.approx(seconds)
