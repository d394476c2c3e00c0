"""Glass on the rendered predict.py: not shown to the network, no foreground there, and told to the reader."""

import numpy as np
import pytest
import tifffile

HEIGHT, WIDTH, GLASS = 192, 480, 240
"""Two rows of five windows of 96 + 2 * 16 pixels; the last two of each see columns from 272 on only."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tools):
    """A slide half of which is glass, with and without skipping; and the plan of the first."""
    folder = tmp_path_factory.mktemp("background")
    data = tools.write_kidney(folder / tools.slug, {"half": (HEIGHT, WIDTH)})
    slide_HWC = tifffile.imread(data / "test" / "half.tiff")
    slide_HWC[:, GLASS:] = 243
    tifffile.imwrite(data / "test" / "half.tiff", slide_HWC, photometric="rgb")
    found = {}
    for skip in (True, False):
        settings = {"skip_background": skip}
        # A threshold that random networks pass everywhere: foreground on glass would show.
        kit = tools.make_kit(folder / f"{skip}", inference=settings, settings={"threshold": 0.01})
        mount = tools.mount(folder / f"{skip}" / "input", kit, data)
        found[skip] = tools.run(kit.script, mount, folder / f"{skip}" / "out")
        assert found[skip].code == 0, found[skip].text
        found["plan", skip] = tools.run(kit.script, mount, folder / f"{skip}" / "plan", "--explain").text
    return found


def mask_of(outcome):
    numbers = [int(number) for number in outcome.csv.splitlines()[1].split(",")[1].split()]
    mask = np.zeros(HEIGHT * WIDTH, bool)
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        mask[start - 1 : start - 1 + length] = True
    return mask.reshape(WIDTH, HEIGHT).T


def test_skipped_windows_hold_no_foreground_and_the_others_are_what_they_were(runs):
    skipping_HW, plain_HW = mask_of(runs[True]), mask_of(runs[False])
    assert plain_HW.all()
    assert np.array_equal(skipping_HW[:, :288], plain_HW[:, :288])
    assert not skipping_HW[:, 288:].any()


def test_report_and_last_lines_tell_how_many_windows_were_skipped(runs):
    for item in runs[True].report["passes"]:
        assert (item["skipped"], item["windows"]) == (4, 10)
    assert "background  40 % of the windows hold no tissue and were not predicted" in runs[True].text
    for item in runs[False].report["passes"]:
        assert "windows" not in item
    assert "hold no tissue" not in runs[False].text


def test_the_plan_says_who_skips_them(runs):
    assert runs["plan", True].count("windows without tissue skipped") == 2
    assert "skipped" not in runs["plan", False]
