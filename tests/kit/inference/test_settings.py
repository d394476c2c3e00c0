import pytest

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.settings import InstanceFusion, InstanceSettings, SemanticFusion, SemanticSettings


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
    assert type(settings).from_dict(settings.as_dict()) == settings


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "cores": 9},
            "SemanticSettings knows no cores",
        ),
        (SemanticSettings, ["core"], "not SemanticSettings: ['core']"),
        (SemanticFusion, None, "not SemanticFusion: None"),
        (SemanticSettings, {"core": 8}, "either size, or core, context and scale: context, scale missing"),
        (SemanticSettings, {}, "core, context, scale missing"),
        (SemanticSettings, {"core": "8", "context": 2, "scale": 1}, "core must be a whole number, not '8'"),
        (
            SemanticSettings,
            {"core": 8, "context": 2.5, "scale": 1},
            "context must be a whole number, not 2.5",
        ),
        (SemanticSettings, {"size": True}, "size must be a whole number, not True"),
        (SemanticSettings, {"core": 8, "context": 2, "scale": "1"}, "not SemanticSettings"),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 10**400},
            "not SemanticSettings: int too large",
        ),
        (SemanticSettings, {"size": 9, "autocast": 0}, "autocast must be true or false, not 0"),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "skip_background": "false"},
            "skip_background must be true or false, not 'false'",
        ),
        (SemanticSettings, {"core": 8, "context": 2, "scale": float("nan")}, "scale nan leaves nothing"),
        (SemanticSettings, {"core": 8, "context": 2, "scale": 1, "size": 9}, "core belongs to windows"),
        (SemanticSettings, {"size": 0}, "size must be at least 1 pixel, not 0"),
        (SemanticSettings, {"size": 9, "blend": "gaussian"}, "blend belongs to windows"),
        (SemanticSettings, {"size": 9, "pixel_size": 0.4}, "pixel_size belongs to windows"),
        (SemanticSettings, {"size": 9, "skip_background": True}, "skip_background belongs to windows"),
        (
            SemanticSettings,
            {"size": 9, "stored": "float16"},
            "stored 'float16' is unknown; known: uint16, uint8",
        ),
        (
            SemanticSettings,
            {"core": 8, "context": 2, "scale": 1, "pixel_size": 0},
            "pixel_size must be a positive number of micrometres, not 0",
        ),
        (SemanticSettings, {"core": 0, "context": 2, "scale": 1}, "core must be at least 1 pixel, not 0"),
        (SemanticSettings, {"core": 4, "context": -1, "scale": 1}, "context cannot be negative: -1"),
        (
            SemanticSettings,
            {"core": 4, "context": 0, "scale": 0.01},
            "leaves nothing of a window of 4 pixels",
        ),
        (SemanticSettings, {"core": 4, "context": 0, "scale": 1, "blend": "sum"}, "blend 'sum' is unknown"),
        (SemanticSettings, {"core": 4, "context": 0, "scale": 1, "batch_size": 0}, "batch_size must be"),
        (InstanceSettings, {"size": 0}, "size must be at least 1 pixel, not 0"),
        (InstanceSettings, {"size": 8, "mask_threshold": 1.0}, "mask_threshold 1.0 is outside (0, 1)"),
        (SemanticFusion, {"threshold": 0}, "threshold 0 is outside (0, 1)"),
        (SemanticFusion, {"thresholds": [0.5]}, "thresholds are by name, not [0.5]"),
        (SemanticFusion, {"thresholds": {"lung": 1}}, "threshold 1 of 'lung' is outside (0, 1)"),
        (SemanticFusion, {"thresholds": {"": 0.5}}, "thresholds are by organ or source/organ, not by ''"),
        (SemanticFusion, {"thresholds": {"a/b/c": 0.5}}, "not by 'a/b/c'"),
        (SemanticFusion, {"thresholds": {"HPA/": 0.5}}, "not by 'HPA/'"),
        (InstanceFusion, {"morphology": "erode"}, "known: none, closing, opening"),
        (InstanceFusion, {"morphology_size": 4}, "morphology_size must be odd, not 4"),
        (InstanceFusion, {"overlap": "first"}, "known: keep, exclusive"),
        (InstanceFusion, {"confidence": "mean"}, "known: avg, max, box_and_model_avg"),
        (InstanceFusion, {"masks": "hard"}, "known: votes, soft"),
        (InstanceFusion, {"mask_threshold": 0}, "mask_threshold 0 is outside (0, 1]"),
        (InstanceFusion, {"morphology_size": 3.0}, "morphology_size must be a whole number, not 3.0"),
        (InstanceFusion, {"min_area": 1.5}, "min_area must be a whole number, not 1.5"),
        (InstanceFusion, {"min_area": 0}, "min_area must be at least 1 pixel, not 0"),
        (InstanceFusion, {"iou": 0}, "iou 0 is outside (0, 1]"),
        (InstanceFusion, {"vote_fraction": 1.1}, "vote_fraction 1.1 is outside [0, 1]"),
        (InstanceFusion, {"skip_score": float("nan")}, "skip_score nan is outside [0, 1]"),
        (InstanceFusion, {"min_score": -0.1}, "min_score -0.1 is outside [0, 1]"),
        (InstanceFusion, {"calibration": {"m": {"kind": "platt"}}}, "the calibration of m is none"),
        (InstanceFusion, {"calibration": {"m": None}}, "the calibration of m is none: None"),
        (InstanceFusion, {"calibration": ["m"]}, "calibration is by member, not ['m']"),
        (InstanceSettings, {"size": 8.0}, "size must be a whole number, not 8.0"),
        (InstanceSettings, {"size": 8, "max_per_image": 1.5}, "max_per_image must be a whole number"),
        (InstanceSettings, {"size": 8, "max_per_image": 0}, "max_per_image must be at least 1, not 0"),
        (InstanceSettings, {"size": 8, "autocast": "no"}, "autocast must be true or false, not 'no'"),
        (InstanceSettings, {"size": 8, "nms_iou": 0}, "nms_iou 0 is outside (0, 1]"),
        (InstanceSettings, {"size": 8, "score_threshold": 1}, "score_threshold 1 is outside [0, 1)"),
        (InstanceSettings, {"size": 8, "window": 0}, "window must be at least 1 pixel, not 0"),
        (InstanceSettings, {"size": 8, "window": 9, "overlap": 5}, "overlap 5 is not from 0 to half"),
        (InstanceSettings, {"size": 8, "overlap": 5}, "overlap 5 is not from 0 to half the window (None)"),
    ],
)
def test_impossible_settings_say_what_is_wrong(kind, value, message):
    with pytest.raises(KitError) as caught:
        kind.from_dict(value, where="ensemble.json")
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
