"""The estimate beside what torch's own CPU allocator reports, and beside sums by hand."""

import pytest
import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from kit.local.training.memory import training_memory
from kit.models import build, tiny


def allocated(config, shape):
    """Most bytes that a forward and a backward pass allocate."""
    module = build(config).train()
    x_NCHW = torch.zeros(shape)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded:
        F.softplus(module(x_NCHW, logits=True).main.float()).sum().backward()
    pending, changes = list(recorded.profiler.kineto_results.experimental_event_tree()), []
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


@pytest.mark.parametrize("name", ["unet-regnety16", "segformer-b0"])
def test_passes_take_about_what_torch_allocates(name):
    found = training_memory(tiny(name), (4, 128, 96), optimiser="sgd")
    assert found.passes == pytest.approx(allocated(tiny(name), (4, 3, 128, 96)), rel=0.25)


def test_weights_and_what_the_optimiser_keeps_are_counted():
    parameters = sum(item.numel() for item in build(tiny("segformer-b0")).parameters())
    sgd = training_memory(tiny("segformer-b0"), (1, 64, 64), optimiser="sgd")
    adam = training_memory(tiny("segformer-b0"), (1, 64, 64), optimiser="adamw", amsgrad=True, average=True)
    assert (sgd.optimiser, adam.optimiser) == (4 * parameters, 12 * parameters)
    assert (sgd.average, adam.average) == (0, adam.weights)
    assert adam.weights >= 4 * parameters
    assert adam.total > sgd.total > sgd.passes


def test_activations_grow_with_the_batch_and_checkpointing_and_half_precision_keep_fewer():
    deep = {**tiny("segformer-b0"), "depths": [2, 2, 6, 2]}

    def passes(number, *, kept=False, half=False):
        config = {**deep, "checkpointing": kept}
        return training_memory(config, (number, 128, 128), optimiser="sgd", half=half).passes

    assert 1.6 < passes(4) / passes(2) < 2.1
    assert passes(4, kept=True) < 0.9 * passes(4)
    assert passes(4, half=True) < 0.9 * passes(4)


@pytest.mark.parametrize("name", ["cbnetv2-swin-b", "vit-adapter-l"])
def test_every_kind_of_cascade_can_be_estimated(name):
    assert training_memory(tiny(name), (1, 128, 128), optimiser="adamw").passes > 1_000_000
