from types import SimpleNamespace

from submission.runtime.work.output_watch import OutputWatch

ENSEMBLE = SimpleNamespace(
    kind="semantic",
    members=[SimpleNamespace(name=name) for name in ("a", "b", "c")],
    passes=[
        SimpleNamespace(member=0, view="identity"),
        SimpleNamespace(member=0, view="hflip"),
        SimpleNamespace(member=1, view="identity"),
        SimpleNamespace(member=2, view="identity"),
    ],
)


def watch_of(images):
    return OutputWatch(SimpleNamespace(ensemble=ENSEMBLE, megapixels=dict.fromkeys(range(images), 1.0)))


def told(watch, *results):
    """The sentences for (pass, image, mark, plain)."""
    return [
        text for index, image, mark, plain in results for text in watch.note(index, image, mark, plain=plain)
    ]


def test_two_members_with_equal_output_are_told_of_once():
    watch = watch_of(9)
    first = [(0, "x", 7, False), (2, "x", 7, False)]
    assert told(watch, *first) == [], "one image may be an accident"
    assert told(watch, *first) == [], "the same image again is no second one"
    (text,) = told(watch, (2, "y", 8, False), (0, "y", 8, False))
    assert text.startswith("members a and b give the same output for 2 images")
    assert told(watch, (0, "z", 9, False), (2, "z", 9, False)) == []


def test_views_of_one_member_and_different_views_of_two_may_be_equal():
    watch = watch_of(9)
    for image in ("x", "y", "z"):
        assert told(watch, (0, image, 7, False), (1, image, 7, False)) == []
    assert told(watch, (1, "u", 7, False), (2, "u", 7, False), (1, "v", 7, False), (2, "v", 7, False)) == []


def test_a_member_that_says_the_same_everywhere_is_told_of_once():
    watch = watch_of(9)
    assert told(watch, *((3, image, 0, True) for image in "1234")) == []
    assert told(watch, (3, "4", 0, True)) == []
    (text,) = told(watch, (3, "5", 0, True))
    assert (
        text == "member c gives the same everywhere in 5 of 5 images: its weights or its training are damaged"
    )
    assert told(watch, (3, "6", 0, True)) == []


def test_empty_images_beside_others_are_no_fault_and_empty_results_are_not_compared():
    watch = watch_of(9)
    assert told(watch, (3, "0", 1, False), *((3, image, 0, True) for image in "123456")) == []
    assert (
        told(watch, *((0, image, 0, True) for image in "12"), *((2, image, 0, True) for image in "12")) == []
    )


def test_with_fewer_images_fewer_are_enough():
    watch = watch_of(1)
    assert len(told(watch, (0, "x", 7, True), (2, "x", 7, False), (3, "x", 7, False))) == 2


def test_of_very_many_images_a_hundred_are_remembered():
    watch = watch_of(5000)
    first = [(0, str(image), image, False) for image in range(5000)]
    assert told(watch, *first) == []
    # Members a and c agree on all images: those that were looked at first tell it.
    (text,) = told(watch, *((3, image, mark, plain) for _, image, mark, plain in first))
    assert "members a and c" in text
    assert told(watch, (2, "4998", 4998, False), (2, "4999", 4999, False)) == []


def test_where_windows_were_skipped_equal_and_plain_results_are_no_fault():
    watch = watch_of(9)
    for image in "123456":
        for index in (0, 2):
            assert list(watch.note(index, image, 7, plain=image in "345", left=0.5)) == []
