import pytest

from kit.ensemble import Member
from kit.local.estimate import estimate
from kit.local.forward_check import flops_per_megapixel
from kit.models import tiny


def member(network, **inference):
    return Member(
        name="m",
        weights="w",
        sha256="0" * 64,
        size=1,
        network=tiny(network),
        inference=inference,
        requires=[],
    )


def test_windows_cost_by_their_cores_and_each_view_of_a_set_by_its_scale():
    windows = member("unet-regnety16", core=96, context=16, scale=0.5, batch_size=4)
    of_input = estimate(tiny("unet-regnety16"), 64, 64).forward_flops
    one = flops_per_megapixel(windows, "hflip", (500, 900))
    assert one == pytest.approx(of_input * 1e6 / 96**2)
    small = flops_per_megapixel(windows, "rot90@0.5", (500, 900))
    assert small == pytest.approx(one / 4, rel=0.01)
    assert flops_per_megapixel(windows, "identity+hflip@0.5", (500, 900)) == pytest.approx(one + small)


def test_an_image_at_once_costs_by_its_own_ratio_of_sides():
    whole = member("segformer-b0", size=64)
    square, half, large = (
        flops_per_megapixel(whole, "identity", size) for size in ((500, 500), (250, 500), (1000, 1000))
    )
    assert half == pytest.approx(square), "half the work, half the pixels"
    assert large == pytest.approx(square / 4), "as much work, four times the pixels"


def test_a_detector_sees_an_image_at_once_or_in_windows():
    whole, windows = (
        member("detectors-r50", size=64, **more) for more in ({}, {"window": 100, "overlap": 20})
    )
    at_once = flops_per_megapixel(whole, "vflip", (100, 100))
    assert at_once > 0
    assert flops_per_megapixel(windows, "vflip", (100, 100)) == at_once
    assert flops_per_megapixel(windows, "vflip", (800, 800)) == pytest.approx(at_once * (100 / 80) ** 2)
