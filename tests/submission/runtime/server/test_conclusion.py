import pytest

from submission.runtime.server.conclusion import pace_told


def call(images: int, seconds: float) -> dict[str, object]:
    return {"call": 1, "images": images, "rows": {"rung 1": images}, "seconds": seconds, "share": 9.0}


def test_the_calls_after_the_first_tell_how_long_all_images_would_take():
    said = [*pace_told([call(2, 60.0), call(2, 8.0), call(1, 4.0)], 900, 30600.0)]
    assert said[0].startswith("hidden run  an inference server makes no dry run")
    assert "4 s an image in the calls after the first: 3600 s of 30600 s for the 900 images" in said[1]
    assert len(said) == 2


@pytest.mark.parametrize(
    ("calls", "images"), [([], 900), ([call(2, 60.0)], 900), ([call(2, 60.0), call(0, 1.0)], 900), ([], None)]
)
def test_without_a_call_after_the_first_there_is_no_pace(calls, images):
    said = [*pace_told(calls, images, 30600.0)]
    assert said[1].strip() == "there was no call after the first, which has the set-up in it"
