"""The passes that images still have to be started on."""

from hypothesis import given
from hypothesis import strategies as st

from kit.plan.to_do import ToDo

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9), st.sets(st.integers(0, 2))),
        st.tuples(st.just("start"), st.integers(0, 9), st.integers(0, 2)),
        st.tuples(st.just("add"), st.floats(0.1, 5), st.none()),
        st.tuples(st.just("ask"), st.integers(0, 2), st.none()),
    ),
    max_size=40,
)


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=6), CHANGES)
def test_images_come_the_largest_first_whatever_was_set_started_or_added_before(sizes, changes):
    to_do, size_of, needed = ToDo(3), {}, [set(), set(), set()]

    def add(size):
        image = f"i{len(size_of)}"
        size_of[image] = size
        to_do.add(image, size)

    for size in sizes:
        add(size)
    for kind, first, second in changes:
        image = f"i{first % len(size_of)}" if isinstance(first, int) else ""
        if kind == "set":
            to_do.set_passes(image, second)
            for index in range(3):
                (needed[index].add if index in second else needed[index].discard)(image)
        elif kind == "start":
            to_do.start(second, image)
            needed[second].discard(image)
        elif kind == "add":
            add(first)
        else:
            expected = sorted(needed[first], key=lambda one: (-size_of[one], one))
            assert list(to_do.images(first)) == expected
            assert to_do.number(first) == len(expected)
            assert to_do.smallest(first) == (expected[-1] if expected else None)
    for index in range(3):
        expected = sorted(needed[index], key=lambda one: (-size_of[one], one))
        assert list(to_do.images(index)) == expected
