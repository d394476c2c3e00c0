"""One suite over the whole registry: what holds for one network holds for every one."""

import math

import pytest
import torch

from kit.errors import KitError
from kit.models import build, load_weights, names, save_weights, spec
from train_local import recipes

LARGEST_FILE = 4 * 2**20
"""Bytes of a tiny network as fp16: small enough to pass weights around in tests and demos."""

TINY = {
    network: next(
        form.network
        for form in (recipes.get(name).tiny() for name in recipes.names())
        if form.network["network"] == network
    )
    for network in names()
}


def images(count, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def squares(height, width, corners, side=30):
    boxes, masks = [], []
    for y, x in corners:
        mask_HW = torch.zeros(height, width, dtype=torch.bool)
        mask_HW[y : y + side, x : x + side] = True
        boxes.append([x, y, min(x + side, width), min(y + side, height)])
        masks.append(mask_HW)
    return {"boxes": torch.tensor(boxes, dtype=torch.float32), "masks": torch.stack(masks)}


def loss(module, x_NCHW):
    if spec(module.spec.name).kind == "semantic":
        return torch.nn.functional.softplus(module(x_NCHW)).mean()
    height, width = x_NCHW.shape[-2:]
    targets = [squares(height, width, [(5, 8), (40, 50)]), squares(height, width, [(20, 30)])]
    return torch.stack(list(module.losses(x_NCHW, targets).values())).sum()


def predicted(module, x_NCHW):
    """Everything a network says about each image, as a list of tensors an image."""
    with torch.no_grad():
        if module.spec.kind == "semantic":
            return [[output] for output in module(x_NCHW)]
        return [[found.scores, found.boxes, found.masks] for found in module.detect(x_NCHW)]


@pytest.fixture(params=names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def built():
    torch.manual_seed(0)
    return {name: build(TINY[name]).eval() for name in names()}


@pytest.fixture
def module(name, built):
    return built[name].eval()


class TestConformance:
    def test_training_gives_finite_losses_and_a_gradient_to_every_parameter(self, name):
        torch.manual_seed(1)
        module = build(TINY[name]).train()
        value = loss(module, images(2, 96, 128))
        value.backward()
        assert math.isfinite(float(value.detach()))
        left_out = tuple(spec(name).unused_parameters)
        without = [
            key
            for key, parameter in module.network.named_parameters()
            if parameter.grad is None and not (left_out and key.startswith(left_out))
        ]
        assert without == []
        assert all(bool(torch.isfinite(p.grad).all()) for p in module.parameters() if p.grad is not None)

    def test_an_image_does_not_depend_on_its_batch(self, module):
        x_NCHW = images(2, 96, 128)
        together = predicted(module, x_NCHW)
        alone = [predicted(module, x_NCHW[index : index + 1])[0] for index in range(2)]
        for left, right in zip(together, alone, strict=True):
            for one, other in zip(left, right, strict=True):
                if one.dtype == torch.bool:
                    assert (one != other).float().mean() < 1e-3
                else:  # a hundred random layers amplify rounding
                    torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)

    @pytest.mark.parametrize(("height", "width"), [(97, 131), (33, 40), (64, 257)])
    def test_any_size_comes_back_as_it_went_in(self, module, height, width):
        (found,) = predicted(module, images(1, height, width))
        assert found[-1].shape[-2:] == (height, width)

    def test_the_same_seed_builds_the_same_network_and_the_same_answers(self, name):
        states, answers = [], []
        for _ in range(2):
            torch.manual_seed(5)
            module = build(TINY[name]).eval()
            states.append(module.network.state_dict())
            answers.append(predicted(module, images(1, 96, 96)))
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert all(torch.equal(a, b) for a, b in zip(answers[0][0], answers[1][0], strict=True))

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

    def test_weights_survive_a_round_trip_under_the_library_s_names(self, module, name, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_weights(module, path, {"made": "here"})
        other = build(TINY[name]).eval()
        load_weights(other, path)
        x_NCHW = images(1, 96, 96)
        for one, same in zip(predicted(module, x_NCHW)[0], predicted(other, x_NCHW)[0], strict=True):
            assert torch.equal(one, same)
        from safetensors import safe_open

        with safe_open(path, "pt") as stored:
            assert sorted(stored.keys()) == sorted(module.network.state_dict())
            assert stored.metadata() == {"made": "here"}

    def test_half_precision_weights_are_half_the_size_and_load_as_float32(self, module, name, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_weights(module, path, half=True)
        assert path.stat().st_size < LARGEST_FILE
        other = build(TINY[name])
        load_weights(other, path)
        original = module.network.state_dict()
        for key, value in other.network.state_dict().items():
            assert value.dtype == original[key].dtype
            torch.testing.assert_close(value, original[key], rtol=1e-3, atol=1e-4)

    def test_images_that_are_not_rgb_are_refused(self, module):
        with pytest.raises(KitError, match=r"takes RGB images \(N, 3, H, W\), got \(1, 4, 96, 96\)"):
            predicted(module, torch.zeros(1, 4, 96, 96))

    def test_an_argument_it_does_not_have_is_named(self, name):
        with pytest.raises(KitError, match="colour_of_the_sky"):
            build({"network": name, "colour_of_the_sky": "blue"})

    def test_it_declares_what_it_needs_and_returns(self, name):
        declared = spec(name)
        assert declared.name == name
        assert declared.requires
        assert (declared.kind == "instance") == (declared.output == "detections")
        assert all(0 < value < 255 for value in (*declared.mean, *declared.std))
