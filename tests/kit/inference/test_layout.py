import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.inference import views
from kit.inference.layout import layout
from kit.inference.semantic_settings import SemanticSettings
from kit.typed_json import to_plain

KIDNEY = SemanticSettings(core=1536, context=384, scale=1 / 3)
KIDNEY_LOCAL = SemanticSettings(core=3072, context=768, scale=1 / 3)
DAFORMER = SemanticSettings(core=512, context=256, scale=0.3125)
BODY = SemanticSettings(size=960)


def lay(settings, size, scales=(1.0,), pixel_size=None):
    return layout(settings, scales, size, pixel_size=pixel_size, where="member m, image i")


@pytest.mark.parametrize(
    ("settings", "view", "size", "windows", "inputs"),
    [
        # Kidney 2nd place: blocks of 1536, 384 more on each side, a third of the resolution, four views.
        (KIDNEY, "identity+hflip+rot90+transpose", (30000, 30000), 400, [(768, 768)]),
        (KIDNEY_LOCAL, "+".join(views.names()), (30000, 30000), 100, [(1536, 1536)]),
        # Windows of 1024 seen at 320, of which the middle 512 counts; plain and two flips.
        (DAFORMER, "identity+hflip+vflip", (3000, 3000), 36, [(320, 320)]),
        # Body 1st place: whole images at three sizes, plain and flipped, averaged at the image's resolution.
        (
            BODY,
            "identity@0.75+hflip@0.75+identity+hflip+identity@1.25+hflip@1.25",
            (2023, 2023),
            1,
            [(720, 720), (960, 960), (1200, 1200)],
        ),
        (BODY, "identity", (3000, 2000), 1, [(960, 640)]),
    ],
)
def test_the_published_ways_of_seeing_an_image_can_be_said(settings, view, size, windows, inputs):
    scales = tuple(dict.fromkeys(item.scale for item in views.get_set(view)))
    found = lay(settings, size, scales)
    assert len(found) == len(list(found.tiles())) == windows
    assert list(found.inputs) == inputs


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    core=st.integers(1, 20),
    context=st.integers(0, 9),
    pixel_size=st.sampled_from([None, 0.2, 0.5, 0.7, 3.0]),
)
def test_tiles_are_every_pixel_exactly_once_whatever_the_pixel_size(height, width, core, context, pixel_size):
    settings = SemanticSettings(core=core, context=context, scale=1.0, pixel_size=0.5)
    found = lay(settings, (height, width), pixel_size=pixel_size)
    seen = np.zeros((height, width), int)
    for tile in found.tiles():
        seen[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width] += 1
    assert (seen == 1).all()
    assert len(list(found.tiles())) == len(found)


# Micrometres of a pixel: HPA 0.4; HuBMAP kidney 0.5, prostate 6.263, large intestine 0.229, spleen 0.4945,
# lung 0.7562.
@pytest.mark.parametrize("pixel_size", [0.4, 0.5, 6.263, 0.229, 0.4945, 0.7562])
@pytest.mark.parametrize("settings", [KIDNEY, DAFORMER])
def test_an_image_of_another_pixel_size_is_seen_at_the_same_resolution(settings, pixel_size):
    adapted = SemanticSettings(**{**to_plain(settings), "pixel_size": 0.4})
    found = lay(adapted, (3000, 3000), pixel_size=pixel_size)
    assert found.inputs == ((settings.input_size,) * 2,)
    wanted = 0.4 / settings.scale  # micrometres of a pixel of the network's input
    for part, of_image in ((settings.window, found.window[0]), (settings.core, found.core)):
        assert of_image == pytest.approx(part * 0.4 / pixel_size, abs=1)
    assert pixel_size * found.window[0] / found.inputs[0][0] == pytest.approx(
        wanted, abs=pixel_size / found.inputs[0][0]
    )


def test_an_unknown_pixel_size_changes_nothing():
    adapted = SemanticSettings(**{**to_plain(KIDNEY), "pixel_size": 0.4})
    assert lay(adapted, (99, 99)) == lay(KIDNEY, (99, 99), pixel_size=6.0) == lay(KIDNEY, (99, 99))


@pytest.mark.parametrize("pixel_size", [0.0, -1.0, float("nan"), float("inf"), 400.0, 0.001])
def test_an_absurd_pixel_size_is_told(pixel_size):
    adapted = SemanticSettings(**{**to_plain(KIDNEY), "pixel_size": 0.4})
    with pytest.raises(KitError, match=r"the settings' 0\.4 um") as caught:
        lay(adapted, (99, 99), pixel_size=pixel_size)
    assert caught.value.where == "member m, image i"


def test_a_view_too_small_for_a_pixel_is_told():
    with pytest.raises(KitError, match=r"scale 0\.001 of a view leaves nothing of a window of 1024 pixels"):
        lay(DAFORMER, (99, 99), (1.0, 0.001))


@pytest.mark.parametrize(
    ("settings", "scale", "pixel_size", "message"),
    [
        (
            SemanticSettings(size=1 << 14),
            1.01,
            None,
            "a network input has 16548 pixels per side, the most are 16384",
        ),
        (
            SemanticSettings(core=1 << 14, context=0, scale=1.0),
            1.01,
            None,
            "a network input has 16548 pixels",
        ),
        (SemanticSettings(core=65537, context=0, scale=0.01), 1.0, None, "a window has 65537 pixels"),
        (
            SemanticSettings(core=1 << 12, context=0, scale=0.1, pixel_size=1.7),
            1.0,
            0.1,
            "a window has 69632",
        ),
    ],
)
def test_sizes_beyond_any_memory_are_told_before_memory_is_asked_for(settings, scale, pixel_size, message):
    with pytest.raises(KitError, match=message) as caught:
        lay(settings, (99, 99), (1.0, scale), pixel_size)
    assert caught.value.where == "member m, image i"


def test_the_largest_sizes_are_laid():
    assert lay(SemanticSettings(size=1 << 14), (50, 100)).inputs == ((1 << 13, 1 << 14),)
    largest = SemanticSettings(core=1 << 15, context=1 << 14, scale=0.25)
    assert lay(largest, (99, 99)).inputs == ((1 << 14, 1 << 14),)


def test_a_slide_is_no_single_network_input():
    with pytest.raises(KitError, match="30000 x 30000 pixels is too large for one network input") as caught:
        lay(BODY, (30000, 30000))
    assert "core, context and scale instead of size" in str(caught.value)


def test_the_example_of_the_documentation():
    settings = SemanticSettings(core=512, context=128, scale=0.5, pixel_size=0.5)
    near, far = lay(settings, (9000, 9000), pixel_size=0.5), lay(settings, (9000, 9000), pixel_size=0.25)
    assert (near.core, near.context, near.inputs) == (512, 128, ((384, 384),))
    assert (far.core, far.context, far.window, far.inputs) == (1024, 256, (1536, 1536), ((384, 384),))


def test_a_window_is_the_core_with_its_context_or_the_whole_image():
    assert lay(DAFORMER, (3000, 2000)).window == (1024, 1024)
    assert lay(BODY, (3000, 2000)).window == (3000, 2000)
