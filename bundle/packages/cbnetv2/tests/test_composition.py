"""What the lead network is fed, recomputed with plain torch from the weights of the parts."""

import pytest
import torch
from cbnetv2 import CBRes2Net, CBResNet, CBSwinTransformer
from torch.nn import functional as F

from bundle.packages.cbnetv2.tests import naive
from bundle.packages.cbnetv2.tests.miniatures import RESNET, RESNET_WIDTHS, SWIN, randomised

STAGES = len(SWIN["depths"])
SWIN_WORDS = {**SWIN, "out_indices": tuple(range(STAGES))}
CNNS = {"resnet": (CBResNet, {}), "res2net": (CBRes2Net, {"scales": 3, "base_width": 8})}


def cb_swin(**words):
    return CBSwinTransformer(**{**SWIN_WORDS, **words})


def cnn(kind, **words):
    made, own_words = CNNS[kind]
    return made(**{**RESNET, "norm_eval": True, **own_words, **words})


def images(height=35, width=50, batch=1):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(5))


def nearest(x_NCHW, size):
    """Row floor(i * from / to) of the source for row i, the same for columns."""
    rows = torch.arange(size[0]) * x_NCHW.shape[2] // size[0]
    columns = torch.arange(size[1]) * x_NCHW.shape[3] // size[1]
    return x_NCHW[:, :, rows][:, :, :, columns]


def expected_swin_maps(weights, x_NCHW, deleted=0):
    """The composition formula on the written-out Swin transformer; `deleted` of the lead's stages."""
    assistant, lead = (naive.part(weights, f"cb_modules.{net}") for net in (0, 1))
    inputs, found = [naive.naive_embedding(x_NCHW, naive.part(assistant, "patch_embed"), 4)], []
    leading = []
    for stage in range(STAGES):
        out, following = advance(inputs[-1], assistant, stage)
        found.append(naive.output(out, assistant, stage))
        if stage < deleted:  # the assistant's tokens behind the lead's own norm
            leading.append(naive.output(out, lead, stage))
        inputs.append(following)
    x_BHWC = inputs[deleted]
    for stage in range(deleted, STAGES):
        fed = x_BHWC.permute(0, 3, 1, 2) + found[stage]
        for deeper in range(stage + 1, STAGES):
            at = f"cb_linears.{stage}.{deeper - stage}"
            narrowed = F.conv2d(found[deeper], weights[f"{at}.weight"], weights[f"{at}.bias"])
            fed = fed + nearest(narrowed, fed.shape[2:])
        out, x_BHWC = advance(fed.permute(0, 2, 3, 1), lead, stage)
        leading.append(naive.output(out, lead, stage))
    return found, leading


def advance(x_BHWC, weights, stage):
    of_stage = naive.part(weights, f"layers.{stage}")
    out = naive.naive_stage(
        x_BHWC, of_stage, SWIN["depths"][stage], SWIN["num_heads"][stage], SWIN["window_size"]
    )
    merging = naive.part(of_stage, "downsample")
    return out, naive.naive_merging(out, merging) if merging else out


@pytest.mark.parametrize("random", [False, True], ids=["at_zero_init", "with_random_weights"])
@torch.no_grad()
def test_swin_maps_follow_the_composition_formula(random):
    torch.manual_seed(0)
    net = cb_swin().double().eval()
    net.init_weights()
    if random:
        randomised(net)
    x_NCHW = images().double()
    assisting, leading = net(x_NCHW)
    expected_assisting, expected_leading = expected_swin_maps(net.state_dict(), x_NCHW)
    for got, expected in zip((*assisting, *leading), (*expected_assisting, *expected_leading), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("deleted", [1, 2])
def test_a_lead_swin_without_its_first_stages_normalises_the_assistants_tokens_itself(deleted):
    net = randomised(cb_swin(cb_del_stages=deleted + 1).double()).eval()
    with torch.no_grad():
        net.cb_modules[1].norm0.weight.mul_(-2)  # far from the assistant's own
    x_NCHW = images(17, 30).double()
    assisting, leading = net(x_NCHW)
    weights = {key: value.detach().clone().requires_grad_() for key, value in net.named_parameters()}
    expected_assisting, expected_leading = expected_swin_maps(weights, x_NCHW, deleted)
    found, expected = (*assisting, *leading), (*expected_assisting, *expected_leading)
    for got, one in zip(found, expected, strict=True):
        torch.testing.assert_close(got, one, atol=1e-6, rtol=1e-6)
    names = [key for key in weights if key.endswith(("norm0.weight", "norm0.bias", "qkv.weight"))]
    assert {"cb_modules.1.norm0.weight", "cb_modules.1.norm0.bias"} < set(names)
    mine = torch.autograd.grad(loss(found), [net.get_parameter(name) for name in names])
    theirs = torch.autograd.grad(loss(expected), [weights[name] for name in names])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    for stage in range(deleted):
        absent = (f"cb_modules.1.layers.{stage}.", f"cb_linears.{stage}.")
        assert not any(key.startswith(absent) for key in net.state_dict())


def loss(maps):
    return sum(level.square().mean() for level in maps)


@torch.no_grad()
def test_swin_composition_starts_at_zero_and_keeps_the_identity():
    net = cb_swin()
    net.init_weights()
    convolutions = [module for module in net.cb_linears.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == 3
    assert all(not conv.weight.any() and not conv.bias.any() for conv in convolutions)
    drawn = cb_swin(cb_zero_init=False)
    drawn.init_weights()
    assert any(module.weight.any() for module in drawn.cb_linears.modules() if hasattr(module, "weight"))


def expected_cnn_maps(net, x_NCHW, deleted):
    """The composition formula with mmdet's own stages and torch's own operations in evaluation."""
    assistant, lead = net.cb_modules
    weights = net.state_dict()
    conv1 = getattr(assistant, "conv1", None)
    stem = assistant.stem(x_NCHW) if conv1 is None else assistant.bn1(conv1(x_NCHW)).relu()
    found = [F.max_pool2d(stem, 3, stride=2, padding=1)]
    for stage in range(4):
        found.append(getattr(assistant, f"layer{stage + 1}")(found[-1]))
    leading = found[: deleted + 1]
    for stage in range(deleted, 4):
        fed = leading[-1]
        for deeper in range(stage + 1, 5):
            at = f"cb_linears.{stage}.{deeper - stage - 1}"
            narrowed = F.conv2d(found[deeper], weights[f"{at}.0.weight"])
            norm = [weights[f"{at}.1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
            fed = fed + nearest(F.batch_norm(narrowed, *norm), fed.shape[2:])
        leading.append(getattr(lead, f"layer{stage + 1}")(fed))
    return found[1:], leading[1:]


@pytest.mark.parametrize("kind", CNNS)
@pytest.mark.parametrize("deleted", [0, 1, 2])
@torch.no_grad()
def test_cnn_maps_follow_the_composition_formula(kind, deleted):
    net = randomised(cnn(kind, cb_del_stages=deleted).double()).eval()
    x_NCHW = images(47, 66).double()
    for got, expected in zip(net(x_NCHW), expected_cnn_maps(net, x_NCHW, deleted), strict=True):
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", CNNS)
@torch.no_grad()
def test_a_cnn_composition_at_zero_init_adds_nothing(kind):
    net = cnn(kind, cb_del_stages=1)
    randomised(net)
    for norm in net._norms():
        torch.nn.init.zeros_(norm.weight)
        torch.nn.init.zeros_(norm.bias)
    net.eval()
    lead = net.cb_modules[1]
    assisting, leading = net(images())
    x_NCHW = assisting[0]
    assert torch.equal(leading[0], x_NCHW)
    for stage in (2, 3, 4):
        x_NCHW = getattr(lead, f"layer{stage}")(x_NCHW)
        torch.testing.assert_close(leading[stage - 1], x_NCHW)


def test_initialising_a_cnn_composition_zeroes_scale_and_shift_only():
    net = cnn("resnet", cb_del_stages=1)
    net.init_weights()
    assert len(net._norms()) == 6
    for at, value in net.cb_linears.state_dict().items():
        zero = at.endswith(("1.weight", "1.bias", "running_mean", "tracked")) and ".1." in at
        assert bool(value.any()) != zero, at
    drawn = cnn("resnet", cb_zero_init=False)
    drawn.init_weights()
    assert all(norm.weight.all() for norm in drawn._norms())


@torch.no_grad()
def test_a_cnn_composition_has_the_norm_of_its_networks():
    group = {"type": "GN", "num_groups": 4, "requires_grad": True}
    net = randomised(cnn("resnet", cb_del_stages=1, norm_cfg=group, norm_eval=False).double()).eval()
    assert {type(norm) for norm in net._norms()} == {torch.nn.GroupNorm}
    fed = net._feed(3, [torch.zeros(1, 1, 2, 2)] * 4 + [images(2, 3).double().repeat(1, 86, 1, 1)[:, :256]])
    convolved = net.cb_linears[3][0][0](images(2, 3).double().repeat(1, 86, 1, 1)[:, :256])
    norm = net.cb_linears[3][0][1]
    expected = F.group_norm(convolved, 4, norm.weight, norm.bias)
    torch.testing.assert_close(fed, nearest(expected, (2, 2)))
    net.init_weights()
    assert not any(norm.weight.any() or norm.bias.any() for norm in net._norms())


def test_statistics_of_the_composition_never_change():
    net = cnn("resnet", norm_eval=False, cb_del_stages=1)
    assert net.train() is net
    before = {key: value.clone() for key, value in net.cb_linears.state_dict().items()}
    net(images(64, 64, batch=2))
    assert all(torch.equal(value, before[key]) for key, value in net.cb_linears.state_dict().items())
    assert net.cb_modules[1].layer2[0].bn1.num_batches_tracked == 1
    assert net.eval() is net


@pytest.mark.parametrize("kind", CNNS)
@pytest.mark.parametrize("frozen", [-1, 0, 2])
def test_every_weight_that_asks_for_a_gradient_gets_one(kind, frozen):
    net = cnn(kind, cb_del_stages=1, frozen_stages=frozen).train()
    assisting, leading = net(images(64, 64))
    sum(x.square().mean() for x in (*assisting, *leading)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
        if name.startswith("cb_modules.1.bn1."):
            assert not parameter.requires_grad
        if name.startswith("cb_modules.1.layer2"):
            assert parameter.requires_grad == (frozen < 2)


def test_a_shallow_network_of_other_widths_composes_too():
    net = CBResNet(
        depth=18, base_channels=8, stem_channels=8, cb_inplanes=[8, 8, 16, 32, 64], out_indices=(1, 3)
    )
    assisting, leading = net(images())
    assert [x.shape[1] for x in assisting] == [x.shape[1] for x in leading] == [16, 64]


def test_gradients_of_both_compositions_agree_with_finite_differences():
    swin = randomised(
        CBSwinTransformer(
            embed_dim=2,
            depths=(1, 1),
            num_heads=(1, 1),
            window_size=2,
            patch_size=2,
            mlp_ratio=1,
            out_indices=(0, 1),
        )
    )
    resnet = randomised(
        CBResNet(depth=18, base_channels=1, stem_channels=1, cb_inplanes=[1, 1, 2, 4, 8], cb_del_stages=1)
    )
    for net, side in ((swin.double(), 5), (resnet.double(), 33)):
        net.eval()
        trained = {f"cb_linears.{name}": value for name, value in net.cb_linears.named_parameters()}
        x_NCHW = images(side, side).double()

        def maps(*values, net=net, names=tuple(trained), x_NCHW=x_NCHW):
            assisting, leading = torch.func.functional_call(
                net, dict(zip(names, values, strict=True)), (x_NCHW,)
            )
            return torch.cat([x.flatten() for x in (*assisting, *leading)])

        assert torch.autograd.gradcheck(maps, tuple(trained.values()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cb_inplanes": None}, r"cb_inplanes is missing; .* have \[8, 32, 64, 128, 256\] channels"),
        ({"cb_inplanes": [64, *RESNET_WIDTHS[1:]]}, r"cb_inplanes is \[64, 32, .*have \[8, 32, 64"),
        ({"cb_del_stages": 4}, "cb_del_stages is 4; the lead keeps one of 4 stages at least"),
        ({"cb_del_stages": -1}, "cb_del_stages is -1; .* between 0 and 3"),
    ],
)
@pytest.mark.parametrize("kind", CNNS)
def test_cnn_sizes_that_do_not_fit_are_refused(kind, words, message):
    with pytest.raises(ValueError, match=message):
        cnn(kind, **words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cb_del_stages": 0}, "cb_del_stages is 0; with 3 stages it must lie between 1 and 3"),
        ({"cb_del_stages": 4}, "cb_del_stages is 4"),
        ({"out_indices": (1, 2)}, r"out_indices \(1, 2\) leaves out stages .* return all 3"),
    ],
)
def test_swin_sizes_that_do_not_fit_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        cb_swin(**words)


@pytest.mark.parametrize("net", [cb_swin, lambda: cnn("resnet"), lambda: cnn("res2net")])
def test_images_of_other_channels_are_refused(net):
    with pytest.raises(ValueError, match=r"shape \(1, 1, 32, 32\) do not fit: \(N, 3, height, width\)"):
        net()(torch.zeros(1, 1, 32, 32))
