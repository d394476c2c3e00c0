"""Images in groups of one standing."""

from hypothesis import given
from hypothesis import strategies as st

from kit.plan.image_groups import ImageGroups


def contents(groups):
    return sorted(sorted(group) for group in groups)


def test_images_of_one_standing_are_one_group_and_one_of_them_answers_for_it():
    groups = ImageGroups()
    for image, standing in {"a": 1, "b": 2, "c": 1}.items():
        groups.put(image, standing)
    assert contents(groups) == [["a", "c"], ["b"]]
    groups.put("c", 2)
    assert contents(groups) == [["a"], ["b", "c"]]
    groups.put("a", None)
    groups.put("a", None)
    assert contents(groups) == [["b", "c"]]
    assert groups.one_of_each() in (["b"], ["c"])


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 3)), max_size=60))
def test_whatever_happens_groups_are_what_the_last_standings_say(changes):
    groups, now = ImageGroups(), {}
    for image, standing in changes:
        groups.put(image, standing)
        now[image] = standing
    now = {image: standing for image, standing in now.items() if standing is not None}
    expected = [[image for image in sorted(now) if now[image] == standing] for standing in set(now.values())]
    assert contents(groups) == sorted(expected)
    assert sorted(now[image] for image in groups.one_of_each()) == sorted(set(now.values()))
