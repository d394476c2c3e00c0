import pytest

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
from kit.typed_json import from_plain, to_plain


@pytest.mark.parametrize(
    ("core", "context", "scale", "window", "network"),
    [(1536, 384, 1 / 3, 2304, 768), (3072, 768, 1 / 3, 4608, 1536), (512, 256, 0.3125, 1024, 320)],
)
def test_published_windows_have_their_published_network_input(core, context, scale, window, network):
    settings = SemanticSettings(core=core, context=context, scale=scale)
    assert (settings.window, settings.input_size) == (window, network)


@pytest.mark.parametrize(
    "settings",
    [
        SemanticSettings(core=8, context=2, scale=0.5),
        SemanticSettings(
            core=8, context=2, scale=0.5, blend="gaussian", pixel_size=0.4, skip_background=True
        ),
        SemanticSettings(size=960, stored="uint8"),
        InstanceSettings(size=640),
        SemanticFusion(threshold=0.55, thresholds={"lung": 0.1, "Hubmap/lung": 0.06}),
        InstanceFusion(morphology="opening", overlap="exclusive"),
        InstanceFusion(calibration={"m": {"kind": "temperature", "temperature": 2.0}}),
    ],
)
def test_settings_survive_their_dict(settings):
    assert from_plain(type(settings), to_plain(settings)) == settings


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "cores": 9},
            "unknown key cores\n",
        ),
        (SemanticSettings, ["core"], "this is ['core'], not a table"),
        (SemanticFusion, None, "this is None, not a table"),
        (
            SemanticSettings,
            {"core": 8},
            "give either size, or core, context and scale; missing: context, scale",
        ),
        (SemanticSettings, {}, "missing: core, context, scale"),
        (SemanticSettings, {"core": "8", "context": 2, "scale": 1}, "core is '8', not an integer"),
        (
            SemanticSettings,
            {"core": 8, "context": 2.5, "scale": 1},
            "context is 2.5, not an integer",
        ),
        (SemanticSettings, {"size": True}, "size is True, not an integer"),
        (SemanticSettings, {"core": 8, "context": 2, "scale": "1"}, "scale is '1', not a number"),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 10**400},
            "scale is too large",
        ),
        (SemanticSettings, {"size": 9, "autocast": 0}, "autocast is 0, not true or false"),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "skip_background": "false"},
            "skip_background is 'false', not true or false",
        ),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": float("nan")},
            "scale is nan, not a finite number",
        ),
        (SemanticSettings, {"core": 8, "context": 2, "scale": 1, "size": 9}, "core belongs to windows"),
        (SemanticSettings, {"size": 0}, "size is 0; it has to be at least 1"),
        (SemanticSettings, {"size": 9, "blend": "gaussian"}, "blend belongs to windows"),
        (SemanticSettings, {"size": 9, "pixel_size": 0.4}, "pixel_size belongs to windows"),
        (SemanticSettings, {"size": 9, "skip_background": True}, "skip_background belongs to windows"),
        (
            SemanticSettings,
            {"size": 9, "stored": "float16"},
            "use one of: 'uint16', 'uint8'",
        ),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "pixel_size": 0},
            "pixel_size is 0.0; it has to be above 0",
        ),
        (SemanticSettings, {"core": 0, "context": 2, "scale": 1}, "core is 0; it has to be at least 1"),
        (SemanticSettings, {"core": 4, "context": -1, "scale": 1}, "context is -1; it has to be at least 0"),
        (
            SemanticSettings,
            {"core": 4, "context": 0, "scale": 0.01},
            "leaves nothing of a window of 4 pixels",
        ),
        (SemanticSettings, {"core": 4, "context": 0, "scale": 1, "blend": "sum"}, "blend is 'sum'"),
        (
            SemanticSettings,
            {"core": 4, "context": 0, "scale": 1, "batch_size": 0},
            "batch_size is 0; it has to be at least 1",
        ),
        (InstanceSettings, {"size": 0}, "size is 0; it has to be at least 1"),
        (
            InstanceSettings,
            {"size": 8, "mask_threshold": 1.0},
            "mask_threshold is 1.0; it has to be above 0 and below 1",
        ),
        (SemanticFusion, {"threshold": 0}, "threshold is 0.0; it has to be above 0 and below 1"),
        (SemanticFusion, {"thresholds": [0.5]}, "thresholds is [0.5], not a table"),
        (
            SemanticFusion,
            {"thresholds": {"lung": 1}},
            "thresholds.lung is 1.0; it has to be above 0 and below 1",
        ),
        (SemanticFusion, {"thresholds": {"": 0.5}}, "thresholds are by organ or source/organ, not by ''"),
        (SemanticFusion, {"thresholds": {"a/b/c": 0.5}}, "not by 'a/b/c'"),
        (SemanticFusion, {"thresholds": {"HPA/": 0.5}}, "not by 'HPA/'"),
        (InstanceFusion, {"morphology": "erode"}, "use one of: 'none', 'closing', 'opening'"),
        (InstanceFusion, {"morphology_size": 4}, "morphology_size is 4; it has to be at least 1 and odd"),
        (InstanceFusion, {"overlap": "first"}, "use one of: 'keep', 'exclusive'"),
        (InstanceFusion, {"confidence": "mean"}, "use one of: 'avg', 'max', 'box_and_model_avg'"),
        (InstanceFusion, {"masks": "hard"}, "use one of: 'votes', 'soft'"),
        (InstanceFusion, {"mask_threshold": 0}, "mask_threshold is 0.0; it has to be above 0 and at most 1"),
        (InstanceFusion, {"morphology_size": 3.0}, "morphology_size is 3.0, not an integer"),
        (InstanceFusion, {"min_area": 1.5}, "min_area is 1.5, not an integer"),
        (InstanceFusion, {"min_area": 0}, "min_area is 0; it has to be at least 1"),
        (InstanceFusion, {"iou": 0}, "iou is 0.0; it has to be above 0 and at most 1"),
        (
            InstanceFusion,
            {"vote_fraction": 1.1},
            "vote_fraction is 1.1; it has to be at least 0 and at most 1",
        ),
        (InstanceFusion, {"skip_score": float("nan")}, "skip_score is nan, not a finite number"),
        (InstanceFusion, {"min_score": -0.1}, "min_score is -0.1; it has to be at least 0"),
        (
            InstanceFusion,
            {"calibration": {"m": {"kind": "platt"}}},
            "the calibration of m has an unknown kind or other keys",
        ),
        (InstanceFusion, {"calibration": {"m": None}}, "calibration.m is None, not a table"),
        (InstanceFusion, {"calibration": ["m"]}, "calibration is ['m'], not a table"),
        (InstanceSettings, {"size": 8.0}, "size is 8.0, not an integer"),
        (InstanceSettings, {"size": 8, "max_per_image": 1.5}, "max_per_image is 1.5, not an integer"),
        (InstanceSettings, {"size": 8, "max_per_image": 0}, "max_per_image is 0; it has to be at least 1"),
        (InstanceSettings, {"size": 8, "autocast": "no"}, "autocast is 'no', not true or false"),
        (InstanceSettings, {"size": 8, "nms_iou": 0}, "nms_iou is 0.0; it has to be above 0"),
        (
            InstanceSettings,
            {"size": 8, "score_threshold": 1},
            "score_threshold is 1.0; it has to be at least 0 and below 1",
        ),
        (InstanceSettings, {"size": 8, "window": 0}, "window is 0; it has to be at least 1"),
        (
            InstanceSettings,
            {"size": 8, "window": 9, "overlap": 5},
            "overlap is 5, more than half the window (9)",
        ),
        (InstanceSettings, {"size": 8, "overlap": 5}, "overlap is 5, more than half the window (None)"),
    ],
)
def test_impossible_settings_say_what_is_wrong(kind, value, message):
    with pytest.raises(KitError) as caught:
        from_plain(kind, value, where="ensemble.json")
    assert message in str(caught.value)
    assert caught.value.fix
    assert caught.value.where == "ensemble.json"


# Body 1st place by organ; the last two as the 2nd place had them, by source.
FUSION = SemanticFusion(
    threshold=0.4, thresholds={"lung": 0.6, "spleen": 0.5, "Hubmap/lung": 15 / 255, "HPA/lung": 25 / 255}
)


@pytest.mark.parametrize(
    ("info", "threshold"),
    [
        (None, 0.4),
        (ImageInfo(), 0.4),
        (ImageInfo(organ="kidney", source="HPA"), 0.4),
        (ImageInfo(organ="spleen"), 0.5),
        (ImageInfo(organ="spleen", source="Hubmap"), 0.5),
        (ImageInfo(organ="lung"), 0.6),
        (ImageInfo(organ="lung", source="elsewhere"), 0.6),
        (ImageInfo(organ="lung", source="Hubmap"), 15 / 255),
        (ImageInfo(organ="lung", source="HPA"), 25 / 255),
        (ImageInfo(source="Hubmap"), 0.4),
    ],
)
def test_the_most_specific_threshold_applies(info, threshold):
    assert FUSION.threshold_of(info) == threshold
