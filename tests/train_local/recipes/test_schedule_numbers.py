"""Learning rates beside those of the libraries that the published trainings used."""

from types import SimpleNamespace

import pytest
import torch

from kit.models.openmmlab import quiet
from train_local.recipes.schedule import Schedule, Warmup

STEPS = [0, 1, 57, 199, 200, 201, 640, 1287]


def of_mmcv(kind, lr, total, warmup, **settings):
    """The rates of mmcv's hook with a linear warm-up that is multiplied onto the policy, by step."""
    with quiet():
        from mmcv.runner.hooks import lr_updater
    steps, ratio = warmup
    how = {"warmup": "linear", "warmup_iters": steps, "warmup_ratio": ratio, "by_epoch": False}
    hook = getattr(lr_updater, f"{kind}LrUpdaterHook")(**how, **settings)

    def rate(step):
        runner = SimpleNamespace(iter=step, max_iters=total, epoch=0, max_epochs=1)
        hook.base_lr = [lr]
        hook.regular_lr = [hook.get_lr(runner, lr)]
        return hook.get_warmup_lr(step)[0] if step < steps else hook.regular_lr[0]

    return rate


def test_cosine_with_a_multiplied_warm_up_is_mmcv_s():
    theirs = of_mmcv("CosineAnnealing", 0.0125, 1288, (200, 0.001), min_lr=1e-8)
    warmup = Warmup(steps=200, start_factor=0.001, multiplies_policy=True)
    ours = Schedule(policy="cosine", min_lr=1e-8, warmup=warmup)
    for step in STEPS:
        assert 0.0125 * ours.factor(step, 1288, lr=0.0125) == pytest.approx(theirs(step), rel=1e-9)
    # The published log of detectors-r50, whose warm-up ends below the peak.
    assert 0.0125 * ours.factor(200, 1288, lr=0.0125) == pytest.approx(0.0125 * 0.9416, rel=1e-3)


def test_poly_with_a_multiplied_warm_up_is_mmcv_s():
    theirs = of_mmcv("Poly", 6e-5, 45000, (1500, 1e-6), power=1.0, min_lr=0.0)
    warmup = Warmup(steps=1500, start_factor=1e-6, multiplies_policy=True)
    ours = Schedule(policy="poly", warmup=warmup)
    for step in (0, 700, 1499, 1500, 20000, 44999):
        assert 6e-5 * ours.factor(step, 45000, lr=6e-5) == pytest.approx(theirs(step), rel=1e-9)


def test_restarts_are_torch_s():
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, T_0=30, eta_min=1e-6)
    ours = Schedule(policy="restarts", unit="epoch", period=30, min_lr=1e-6)
    for epoch in range(50):
        for step in (epoch * 7, epoch * 7 + 6):
            rate = 1e-4 * ours.factor(step, 350, lr=1e-4, epoch_steps=7)
            assert rate == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        theirs.step()


def test_two_cosines_rise_from_one_rate_to_the_next_and_fall_to_the_last():
    # 50 epochs: 2e-5 up to 8e-4 in the first fifth, down to 3e-5 in the rest; halfway is the mean.
    rise = Warmup(kind="cosine", share=0.2, start_factor=2e-5 / 8e-4)
    schedule = Schedule(policy="two-cosines", unit="epoch", min_lr=3e-5, warmup=rise)
    for epoch, rate in ((0, 2e-5), (5, 4.1e-4), (10, 8e-4), (30, 4.15e-4), (50, 3e-5)):
        found = 8e-4 * schedule.factor(epoch * 4, 200, lr=8e-4, epoch_steps=4)
        assert found == pytest.approx(rate, rel=1e-6)


def test_a_constant_rate_stays():
    assert {Schedule(policy="constant").factor(step, 9, lr=0.1) for step in range(10)} == {1.0}
