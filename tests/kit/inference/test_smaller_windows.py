import pytest

from kit.ensemble import Member
from kit.inference.instance_settings import InstanceSettings
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.smaller_windows import with_smaller_windows
from kit.typed_json import from_plain


def member(**inference):
    return Member(
        name="m",
        weights="m.safetensors",
        sha256="0" * 64,
        size=1,
        network={"network": "x"},
        inference=inference,
        requires=[],
    )


@pytest.mark.parametrize(
    ("settings", "halvings", "expected"),
    [
        ({"core": 1536, "context": 384, "scale": 0.33}, 0, {"core": 1536, "context": 384, "scale": 0.33}),
        ({"core": 1536, "context": 384, "scale": 0.33}, 1, {"core": 768, "context": 384, "scale": 0.33}),
        ({"core": 3, "context": 1, "scale": 1.0}, 5, {"core": 1, "context": 1, "scale": 1.0}),
        ({"size": 960}, 2, {"size": 960}),
    ],
)
def test_cores_are_halved_and_what_is_around_them_stays(settings, halvings, expected):
    found = with_smaller_windows(member(**settings), halvings)
    assert found.inference == expected
    from_plain(SemanticSettings, found.inference)


@pytest.mark.parametrize("halvings", range(6))
def test_windows_of_detectors_keep_their_scale_and_may_still_overlap(halvings):
    found = with_smaller_windows(member(size=1024, window=512, overlap=200), halvings)
    settings = from_plain(InstanceSettings, found.inference)
    assert (settings.size, settings.window) == (1024 >> halvings, 512 >> halvings)
    assert with_smaller_windows(member(size=1024), halvings).inference == {"size": 1024}
