"""What training sees of a definition, and how differences are told."""

from hypothesis import given
from hypothesis import strategies as st

from train_local.data.seen import definition_seen, differences, metric_differences, metric_seen

DEFINITION = {
    "name": "discs",
    "slug": "find-the-discs",
    "kind": "semantic",
    "images": {"train": "train/{id}.tif", "test": "test/{id}.tif", "intensity": {"bits": 12}},
    "truth": {"form": "images", "file": "masks/{id}.png", "solution": "held/{id}.png"},
    "submission": {"mask": "rle"},
    "metric": {"name": "mean Dice"},
}


def changed(*keys, value):
    """The definition with another value of a key."""
    first, *inner = keys
    table = DEFINITION.get(first)
    return {**DEFINITION, first: {**table, inner[0]: value} if inner else value}


@given(
    st.sampled_from(
        [
            ("slug",),
            ("hidden_images",),
            ("hidden_megapixels",),
            ("server",),
            ("marks",),
            ("metadata",),
            ("submission", "mask"),
            ("metric", "name"),
            ("truth", "solution"),
            ("images", "test"),
        ]
    ),
    st.one_of(st.integers(), st.text()),
)
def test_what_no_training_sees_does_not_count(keys, value):
    assert definition_seen(changed(*keys, value=value)) == definition_seen(DEFINITION)


def test_keys_that_change_pixels_or_targets_are_named():
    for keys, name in (
        (("kind",), "kind"),
        (("classes",), "classes"),
        (("images", "train"), "images.train"),
        (("images", "intensity"), "images.intensity.bits"),
        (("truth", "file"), "truth.file"),
    ):
        value = {"bits": 16} if name.endswith("bits") else "other"
        now = {"definition": definition_seen(changed(*keys, value=value))}
        assert differences({"definition": definition_seen(DEFINITION)}, now) == [
            f"the definition differs in {name}"
        ]


def test_every_other_part_is_told_in_words():
    then = {"definition": None, "image": "a", "truth": "b", "folds": "c", "infos": "d"}
    now = {**then, "truth": "x", "folds": "y"}
    assert differences(then, now) == ["the truth differs", "the folds differ"]
    assert differences(then, then) == []
    assert "the stained copies differ" in differences(then, {**then, "stain": "s"})


def test_a_metric_counts_by_its_content():
    assert metric_seen(None) is None
    assert metric_seen({"metric": {"file": "a.py", "source": "x"}}) == {"source": "x"}
    one, other = metric_seen(DEFINITION), {"name": "F-beta", "beta": 2.0}
    assert metric_differences(one, other) == ["metric.beta", "metric.name"]
    assert metric_differences(None, one) == ["metric.name"]
    assert metric_differences(one, one) == []


def test_of_a_competition_that_its_name_describes_nothing_of_a_definition_is_seen():
    assert definition_seen(None) is None
    assert definition_seen({"name": "discs", "slug": "find-the-discs"}) == {"name": "discs"}
