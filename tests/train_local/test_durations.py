import pytest

from kit.errors import KitError
from train_local.durations import duration, range_text, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", 7200),
        ("90m", 5400),
        ("1.5h", 5400),
        ("2h30m", 9000),
        ("45s", 45),
        ("7200", 7200),
        ("1d", 86400),
    ],
)
def test_durations_are_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "two hours", "2 h", "-1h", "0", "1h!"])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(KitError, match="is no duration") as error:
        seconds(text)
    assert "90m" in str(error.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5940, "99 min"),
        (6000, "1 h 40 min"),
        (3600 * 47, "47 h 0 min"),
        (3600 * 52, "2 d 4 h"),
    ],
)
def test_durations_for_people(value, text):
    assert duration(value) == text


@pytest.mark.parametrize(
    ("low", "median", "high", "text"),
    [
        (5760, 7560, 10080, "2.1 h (1.6 to 2.8 h)"),
        (1800, 3600, 43200, "1.0 h (0.5 to 12 h)"),
        (30, 90, 600, "1.5 min (0.5 to 10 min)"),
        (0, 0, 0, "0.0 s (0.0 to 0.0 s)"),
    ],
)
def test_a_range_is_told_in_the_unit_of_its_middle(low, median, high, text):
    assert range_text(low, median, high) == text
