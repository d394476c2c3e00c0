"""Listings beside what was sent."""

from hypothesis import given
from hypothesis import strategies as st

from bundle.upload.expected import Expected, RemoteEntry, compare

WORD = st.text(st.sampled_from("abc+~"), min_size=1, max_size=4).filter(lambda text: text.strip("+~"))
NAMES = st.lists(WORD, min_size=1, max_size=5, unique_by=lambda text: text.replace("+", "").replace("~", ""))


def entries(names, archive, zips):
    """Return what is sent (files, and an archive of the same files) and what Kaggle lists."""
    files = [Expected(f"{name}.bin", len(name), "m", "s") for name in names]
    members = [Expected(f"{name}.whl", len(name), "m", "s", inside=archive) for name in names]
    shown = {f"{name}.bin".replace("+", "").replace("~", ""): len(name) for name in names}
    if zips == "packed":
        shown[archive] = 99
    else:
        folder = {"doubled": "w/w/", "bare": "", "named": "w.zip/"}.get(zips, "w/")
        inside = names if zips == "kept" else [name.replace("+", "").replace("~", "") for name in names]
        shown |= {f"{folder}{kept}.whl": len(name) for kept, name in zip(inside, names, strict=True)}
    listed = [RemoteEntry(name, size) for name, size in shown.items()]
    return [*files, Expected(archive, 99, "m", "s"), *members], listed


@given(NAMES, st.sampled_from(["packed", "unpacked", "kept", "doubled", "bare", "named"]), st.data())
def test_a_listing_is_the_same_however_archives_arrive_and_not_when_one_file_differs(names, zips, data):
    wanted, listed = entries(names, "w.zip", zips)
    assert compare(wanted, listed).same
    index = data.draw(st.integers(0, len(listed) - 1))
    lost = compare(wanted, listed[:index] + listed[index + 1 :])
    assert not lost.same
    assert lost.missing
    cut = RemoteEntry(listed[index].name, listed[index].size + 1)
    assert compare(wanted, [*listed[:index], cut, *listed[index + 1 :]]).wrong
    assert compare(wanted, [*listed, RemoteEntry("more.bin", 1)]).surplus
    blind = [RemoteEntry(entry.name, None) for entry in listed]
    assert compare(wanted, blind).same
