"""One suite over the whole registry: what holds for one network holds for every one.

`python -m benchmarks matrix` prints networks x checks; the table is kept in docs/models.md.
"""

import copy
import math

import pytest
import torch
from safetensors import safe_open

from benchmarks.network_probes import channels_last, images, loss
from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build, load_weights, names, save_weights, spec, tiny
from tests.kit.models.probing import (
    changed_copy,
    predicted,
    raw,
    settled,
    storages,
)

LARGEST_FILE = 4 * 2**20
"""Bytes of a tiny network as fp16: small enough to pass weights around in tests and demos."""

CLOSE = {"rtol": 2e-3, "atol": 2e-3}
"""Of float32 sums taken in another order, through a hundred layers."""

ROUNDING = {torch.bfloat16: 0.1, torch.float16: 0.025}
"""Error allowed with 8 and 11 significant bits: root mean square over the output's standard deviation. The
weights are random; those that training made are less touchy."""

RANDOM = {"Dropout", "Dropout2d", "DropPath", "Residual"}
"""What the layers are called that act in training alone, besides batch norms; the last is vit_adapter's."""

check = pytest.mark.check


@pytest.fixture(params=names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def built():
    return {}


@pytest.fixture
def module(name, built):
    """The network that all checks share: who changes it takes a copy."""
    if name not in built:
        built[name] = settled(name)
    return built[name].eval()


def assert_close(left, right, **tolerance):
    assert len(left) == len(right) > 0
    for one, other in zip(left, right, strict=True):
        scale = max(float(other.std()), 1e-6) if other.numel() > 1 else 1.0
        torch.testing.assert_close(one / scale, other / scale, **(tolerance or CLOSE))


class TestConformance:
    @pytest.fixture(autouse=True)
    def _cell(self, request, name):
        """Where this result goes in the matrix."""
        check_name = request.node.get_closest_marker("check").args[0]
        request.node.user_properties += [("network", name), ("check", check_name)]

    @check("declared")
    def test_it_declares_what_it_needs_and_returns(self, name):
        declared = spec(name)
        assert declared.name == name
        assert all(declared.requires)  # a network of torch alone needs nothing else
        assert (declared.kind == "instance") == (declared.output == "detections")
        assert all(0 < value < 255 for value in (*declared.mean, *declared.std))

    @check("trains")
    def test_training_gives_a_finite_loss_and_finite_gradients(self, name):
        torch.manual_seed(1)
        module = prepare(build(tiny(name)), tiny(name)).train()
        value = loss(module, images(2, 96, 128))
        value.backward()
        assert math.isfinite(float(value.detach()))
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        assert gradients
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        declared = module.spec.unused_parameters
        without = {key for key, parameter in module.network.named_parameters() if parameter.grad is None}
        assert {key for key in without if not key.startswith(declared or ("/",))} == set()
        assert all(any(key.startswith(prefix) for key in without) for prefix in declared)

    @check("train = eval")
    def test_training_mode_changes_nothing_but_dropout_and_batch_norm(self, module):
        x_NCHW = images(2, 96, 128)
        expected = raw(module, x_NCHW)
        training = copy.deepcopy(module).train()
        for layer in training.modules():
            batch_norm = isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)
            if batch_norm or type(layer).__name__ in RANDOM:
                layer.eval()
        assert_close(raw(training, x_NCHW), expected, rtol=1e-5, atol=1e-5)

    @check("batch")
    def test_an_image_does_not_depend_on_its_batch(self, module):
        x_NCHW = images(2, 96, 128)
        together = raw(module, x_NCHW)
        for index in range(2):
            assert_close(raw(module, x_NCHW[index : index + 1]), [t[index : index + 1] for t in together])

    @check("odd sizes")
    @pytest.mark.parametrize(("height", "width"), [(97, 131), (33, 40), (5, 257)])
    def test_any_size_comes_back_as_it_went_in(self, module, height, width):
        (found,) = predicted(module, images(1, height, width))
        assert found[-1].shape[-2:] == (height, width)

    @check("repeatable")
    def test_the_same_seed_builds_the_same_network_and_gives_the_same_loss_and_answers(self, name):
        states, losses, answers = [], [], []
        for _ in range(2):
            torch.manual_seed(5)
            module = prepare(build(tiny(name)), tiny(name))
            states.append(copy.deepcopy(module.network.state_dict()))
            losses.append(loss(module.train(), images(2, 96, 96)).detach())
            answers.append(predicted(module.eval(), images(1, 96, 96))[0])
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert torch.equal(*losses)
        assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))

    @check("colours")
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
    def test_colours_are_normalised_exactly_once(self, module, name, dtype):
        seen = []
        first = next(layer for layer in module.network.modules() if isinstance(layer, torch.nn.Conv2d))
        hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
        pixel = torch.tensor([200, 100, 50], dtype=torch.uint8)
        predicted(module, pixel.view(1, 3, 1, 1).expand(1, 3, 96, 96).to(dtype).contiguous())
        hook.remove()
        declared = spec(name)
        expected = [
            (value - m) / s for value, m, s in zip(pixel.tolist(), declared.mean, declared.std, strict=True)
        ]
        assert seen[0][0, :, 3, 7].tolist() == pytest.approx(expected, rel=1e-5)

    @check("round trip")
    def test_weights_survive_a_round_trip_under_the_library_s_names(self, module, name, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_weights(module, path, {"made": "here"})
        other = build(tiny(name)).eval()
        load_weights(other, path)
        x_NCHW = images(1, 96, 96)
        for one, same in zip(predicted(module, x_NCHW)[0], predicted(other, x_NCHW)[0], strict=True):
            assert torch.equal(one, same)
        with safe_open(path, "pt") as stored:
            assert sorted(stored.keys()) == sorted(module.network.state_dict())
            assert stored.metadata() == {"made": "here"}

    @check("fp16 file")
    def test_half_precision_weights_are_half_the_size_and_load_as_float32(self, module, name, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_weights(module, path, half=True)
        assert path.stat().st_size < LARGEST_FILE
        other = build(tiny(name))
        load_weights(other, path)
        original = module.network.state_dict()
        for key, value in other.network.state_dict().items():
            assert value.dtype == original[key].dtype
            torch.testing.assert_close(value, original[key], rtol=1e-3, atol=1e-4)

    def autocast_is_close(self, module, dtype):
        x_NCHW = images(1, 96, 128)
        expected = raw(module, x_NCHW)
        with torch.autocast("cpu", dtype=dtype):
            rounded = raw(module, x_NCHW)
        for one, other in zip(rounded, expected, strict=True):
            assert bool(torch.isfinite(one).all())
            error = (one.float() - other).square().mean().sqrt() / other.std()
            assert float(error) < ROUNDING[dtype]

    @check("bf16")
    def test_bfloat16_autocast_is_close_to_float32(self, module):
        self.autocast_is_close(module, torch.bfloat16)

    @check("fp16")
    def test_float16_autocast_is_close_to_float32(self, module):
        self.autocast_is_close(module, torch.float16)

    @check("NHWC")
    def test_channels_last_gives_the_same_numbers(self, module):
        x_NCHW = images(2, 96, 128)
        expected = raw(module, x_NCHW)
        other = channels_last(copy.deepcopy(module))
        assert_close(raw(other, x_NCHW.contiguous(memory_format=torch.channels_last)), expected)

    @check("copies")
    def test_a_deep_copy_answers_alike_and_shares_nothing(self, module):
        x_NCHW = images(1, 96, 96)
        before = raw(module, x_NCHW)
        other = copy.deepcopy(module)
        assert not storages(module) & storages(other)
        assert all(torch.equal(a, b) for a, b in zip(raw(other, x_NCHW), before, strict=True))
        assert not storages(module) & storages(changed_copy(module))
        assert all(torch.equal(a, b) for a, b in zip(raw(module, x_NCHW), before, strict=True))

    @check("SyncBN")
    def test_sync_batch_norm_keeps_names_and_answers(self, module, name):
        shared = {**tiny(name), "sync_bn": True}
        other = prepare(build(shared), shared).eval()
        count = {
            kind: [sum(isinstance(layer, kind) for layer in network.modules()) for network in (module, other)]
            for kind in (torch.nn.BatchNorm2d, torch.nn.SyncBatchNorm)
        }
        plain, shared = count.values()
        assert shared == plain[::-1]
        assert plain[1] == 0
        assert list(other.network.state_dict()) == list(module.network.state_dict())
        other.network.load_state_dict(module.network.state_dict())
        x_NCHW = images(1, 96, 96)
        assert_close(raw(other, x_NCHW), raw(module, x_NCHW))

    @check("bad input")
    def test_images_that_are_not_rgb_are_refused(self, module):
        with pytest.raises(KitError, match=r"takes RGB images \(N, 3, H, W\), got \(1, 4, 96, 96\)"):
            predicted(module, torch.zeros(1, 4, 96, 96))

    @check("bad input")
    def test_an_argument_it_does_not_have_is_named(self, name):
        with pytest.raises(KitError, match="colour_of_the_sky"):
            build({"network": name, "colour_of_the_sky": "blue"})
