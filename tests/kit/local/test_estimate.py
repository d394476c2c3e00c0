import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.network_probes import images
from kit.errors import KitError
from kit.local.estimate import estimate, measure, predict
from kit.models import build, names, tiny
from kit.models.__main__ import main

HEIGHT, WIDTH = 96, 128


def allocated_at_most(forward):
    """Peak of the bytes that a call allocates, from what torch's own CPU allocator reports."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded:
        forward()
    pending = list(recorded.profiler.kineto_results.experimental_event_tree())
    changes = []
    while pending:
        event = pending.pop()
        pending += event.children
        if hasattr(event.extra_fields, "alloc_size"):
            changes.append((event.start_time_ns, event.extra_fields.alloc_size))
    live = peak = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        live += change
        peak = max(peak, live)
    return peak


def test_operations_and_memory_of_a_small_network_are_those_counted_by_hand():
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
        )
    flops, peak = measure(network, lambda: network(torch.empty(2, 3, 16, 20)))
    convolution = 2 * (2 * 8 * 16 * 20) * (3 * 3 * 3)
    assert flops == convolution + 2 * 2 * 8 * 5
    # The image, the convolution's output and the rectified one.
    assert peak == 4 * (2 * 3 * 16 * 20 + 2 * (2 * 8 * 16 * 20))


def test_attention_is_two_matrix_products_and_keeps_no_weights_of_attention():
    query = {"size": (1, 4, 300, 16)}
    flops, peak = measure(
        nn.Identity(),
        lambda: F.scaled_dot_product_attention(*(torch.empty(**query) for _ in range(3))),
    )
    assert flops == 2 * (2 * 4 * 300 * 300 * 16)
    assert peak < 4 * 4 * 300 * 300


@pytest.mark.parametrize("name", ["unet-regnety16", "unet-regnetx32-scse"])
def test_operations_of_a_convolutional_network_are_the_sum_over_its_layers(name):
    module, counted = build(tiny(name)).eval(), []

    def count(layer, _inputs, output):
        taps = math.prod(layer.kernel_size) * layer.in_channels // layer.groups
        counted.append(2 * output.numel() * taps)

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(images(1, HEIGHT, WIDTH))
    assert estimate(tiny(name), HEIGHT, WIDTH).forward_flops == sum(counted)


@pytest.mark.parametrize("name", names())
def test_peak_memory_is_about_what_the_network_allocates(name):
    module = build(tiny(name)).eval()
    x_NCHW = images(1, HEIGHT, WIDTH).float()
    with torch.no_grad():
        measured = allocated_at_most(lambda: predict(module, x_NCHW))
    estimated = estimate(tiny(name), HEIGHT, WIDTH).peak_activation_bytes
    # torch's transposed convolution, where the cascade's masks peak, has scratch of twice its output.
    assert estimated / 1.2 < measured < 2.5 * estimated


def test_four_times_the_pixels_are_four_times_the_work_and_the_weights_stay():
    small, large = (estimate(tiny("unet-regnety16"), side, side) for side in (128, 256))
    assert large.forward_flops == pytest.approx(4 * small.forward_flops, rel=0.01)
    assert large.peak_activation_bytes == pytest.approx(4 * small.peak_activation_bytes, rel=0.05)
    assert (large.parameters, large.weight_bytes) == (small.parameters, small.weight_bytes)
    module = build(tiny("unet-regnety16"))
    assert small.parameters == sum(parameter.numel() for parameter in module.parameters())


def test_more_proposals_are_more_work_in_the_heads_alone():
    few, many = (
        estimate({**tiny("detectors-r50"), "rpn_proposals": [150, kept]}, HEIGHT, WIDTH)
        for kept in (100, 200)
    )
    most = estimate({**tiny("detectors-r50"), "rpn_proposals": [150, 300]}, HEIGHT, WIDTH)
    assert many.forward_flops - few.forward_flops == most.forward_flops - many.forward_flops > 0


def test_an_unknown_network_is_refused():
    with pytest.raises(KitError, match="no network is called 'unet-of-mars'"):
        estimate({"network": "unet-of-mars"}, 64, 64)


def test_the_list_estimates_an_image_of_the_given_size_and_keeps_its_other_columns(capsys):
    assert main(["list", "--json", "unet-regnety16"]) == 0
    (plain,) = json.loads(capsys.readouterr().out)
    assert main(["list", "--json", "--size", "64", "unet-regnety16", "segformer-b0"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["unet-regnety16", "segformer-b0"]
    assert {key: rows[0][key] for key in plain} == plain
    for row in rows:
        assert row["weight_bytes"] >= 4 * row["parameters"]
        assert row["forward_flops"] > row["peak_activation_bytes"] > 64 * 64


def test_the_list_for_people_has_the_estimates_on_demand(capsys):
    assert main(["list", "--size", "32", "unet-regnetx32-scse", "segformer-b5"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.endswith("weights MB  forward GFLOP  activations MB")
    assert [len(line) for line in lines] == [len(head)] * 2


def test_a_network_that_is_not_there_is_not_listed():
    with pytest.raises(KitError, match="no network is called 'unet-of-mars'"):
        main(["list", "unet-of-mars"])


def test_an_image_without_pixels_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["list", "--size", "0"])
    assert "argument --size: '0' cannot be used" in capsys.readouterr().err
