import pytest

from kit.errors import KitError
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
        InstanceSettings(size=640),
        SemanticFusion(threshold=0.55),
        InstanceFusion(morphology="opening", overlap="exclusive"),
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
        (SemanticSettings, {"core": 8}, "missing 2 required"),
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
        (InstanceFusion, {"morphology": "erode"}, "known: none, closing, opening"),
        (InstanceFusion, {"morphology_size": 4}, "morphology_size must be odd, not 4"),
        (InstanceFusion, {"overlap": "first"}, "known: keep, exclusive"),
    ],
)
def test_impossible_settings_say_what_is_wrong(kind, value, message):
    with pytest.raises(KitError) as caught:
        kind.from_dict(value, where="ensemble.json")
    assert message in str(caught.value)
    assert caught.value.fix
