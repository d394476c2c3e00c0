"""A class of the user's behind the kit's interface: what it gets, what it may return, what is refused."""

import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kit.errors import KitError
from kit.models import build, check, family, load_weights, names, spec_of

SOURCE = """
import torch
from torch import nn

class Maps(nn.Module):
    def __init__(self, channels=1, out=None):
        super().__init__()
        self.layer, self.out, self.seen = nn.Conv2d(3, channels, 1), out, []

    def forward(self, x):
        self.seen.append(x)
        value = self.layer(x)
        if self.out == "softmax":
            return value.softmax(dim=1)
        if self.out == "small":
            return value[..., ::2, ::2]
        if self.out == "text":
            return "nothing"
        return value.sigmoid() if self.out == "sigmoid" else value

class Boxes(nn.Module):
    def __init__(self, out="good"):
        super().__init__()
        self.layer, self.out = nn.Conv2d(3, 1, 1), out

    def forward(self, x):
        n, _, height, width = x.shape
        boxes = torch.tensor([[0.0, 0, 4, 4], [2, 2, 9, 9]])
        masks = torch.zeros(2, 1, height, width)
        masks[0, 0, :4, :4] = 0.9
        masks[1, 0, 2:9, 2:9] = 0.7
        found = {"boxes": boxes, "scores": torch.tensor([0.3, 0.8]), "masks": masks}
        if self.out == "few":
            del found["masks"]
        return [found] * n if self.out != "none" else None

class Numbers:
    def __init__(self):
        self.table = None

    def load(self, path):
        assert path.name == "table.npy"
        import numpy
        self.table = numpy.load(path)

    def predict(self, image):
        return {"red": image[..., 0].mean(), "blue": torch.tensor(float(image[..., 2].mean())), "word": "a"}

class Pickled(Numbers):
    def load(self, path):
        import pickle
        self.table = pickle.loads(path.read_bytes())

class Torch(Numbers):
    def load(self, path):
        self.table = torch.load(path)
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The config of a class of the module above."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda class_name, **more: {"network": "own", "module": name, "class_name": class_name, **more}
    sys.modules.pop(name, None)


def test_it_is_in_no_list_and_its_declaration_needs_no_import():
    assert "own" not in names()
    assert family("own") == "kit.models.own"
    declared = spec_of({"network": "own", "module": "absent", "kind": "values", "classes": ["a", "b"]})
    assert (declared.kind, declared.output, declared.classes) == ("values", "values", 2)


@pytest.mark.parametrize(
    "wrong",
    [{"module": "my-model"}, {"kind": "boxes"}, {"std": [0, 1, 1]}, {"colour": "GRAY"}, {"size_divisor": 0}],
)
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(KitError):
        check({"network": "own", **wrong})


def test_a_semantic_class_gets_a_normalised_padded_batch_in_its_order_of_colours(config):
    made = build(config("Maps", mean=[10, 20, 30], std=[2, 4, 8], colour="BGR", size_divisor=8)).eval()
    x = torch.arange(2 * 3 * 5 * 9, dtype=torch.uint8).reshape(2, 3, 5, 9)
    value = made(x)
    assert value.shape == (2, 1, 5, 9)
    [seen] = made.model.seen
    assert seen.shape == (2, 3, 8, 16)
    blue, red = x[0, 2, 0, 0].item(), x[0, 0, 0, 0].item()
    assert seen[0, 0, 0, 0].item() == (blue - 10) / 2
    assert seen[0, 2, 0, 0].item() == (red - 30) / 8
    assert torch.equal(seen[..., 5:, :9], seen[..., 4:5, :9].expand(-1, -1, 3, -1)), "edges are repeated"


@pytest.mark.parametrize(("output", "channels"), [("sigmoid", 1), ("softmax", 2), ("logit", 1)])
def test_one_class_gives_one_channel(config, output, channels):
    made = build(config("Maps", output=output, settings={"channels": channels, "out": output})).eval()
    x = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    whole = made.model(made.normalise(x))
    assert torch.allclose(made(x), whole[:, -1:])


def test_several_classes_have_a_channel_each_and_softmax_loses_its_background(config):
    made = build(
        config("Maps", output="softmax", classes=["gas", "dust"], settings={"channels": 3, "out": "softmax"})
    ).eval()
    x = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    assert torch.allclose(made(x), made.model(made.normalise(x))[:, 1:])


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"out": "small"}, "(1, 1, 4, 4)"), ({"channels": 2}, "(1, 2, 8, 8)"), ({"out": "text"}, "str")],
)
def test_another_shape_is_refused_with_both_shapes(config, settings, told):
    made = build(config("Maps", settings=settings))
    with pytest.raises(KitError) as caught:
        made(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert told in caught.value.problem
    assert "(1, 1, 8, 8)" in caught.value.problem


def test_detections_come_best_first_with_bool_masks_without_the_padding(config):
    made = build(config("Boxes", kind="instance", size_divisor=16))
    [found] = made.detect(torch.zeros(1, 3, 10, 12, dtype=torch.uint8))
    assert found.scores.tolist() == pytest.approx([0.8, 0.3])
    assert found.masks.dtype == torch.bool
    assert found.masks.shape == (2, 10, 12)
    assert found.masks.sum(dim=(1, 2)).tolist() == [49, 16]
    assert found.labels is None


@pytest.mark.parametrize(("out", "told"), [("few", "no masks"), ("none", "NoneType")])
def test_detections_that_lack_something_are_refused(config, out, told):
    made = build(config("Boxes", kind="instance", settings={"out": out}))
    with pytest.raises(KitError, match=told):
        made.detect(torch.zeros(1, 3, 10, 12, dtype=torch.uint8))


def stored(path, data):
    save_file({"file": torch.frombuffer(bytearray(data), dtype=torch.uint8)}, path)
    return path


def numbers(config, name, data, class_name="Numbers"):
    return build(
        config(class_name, kind="values", classes=["red", "blue", "word"], file=name, file_size=len(data))
    )


def test_values_of_any_library_become_numbers_and_a_file_of_its_own_is_loaded_by_the_class(config, tmp_path):
    np.save(tmp_path / "t.npy", np.arange(4))
    data = (tmp_path / "t.npy").read_bytes()
    made = numbers(config, "table.npy", data)
    load_weights(made, stored(tmp_path / "w.safetensors", data))
    assert made.model.table.tolist() == [0, 1, 2, 3]
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 7
    assert made(image) == {"red": 7.0, "blue": 0.0, "word": "a"}


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("class_name", ["Pickled", "Torch"])
def test_no_pickle_that_names_a_function_is_loaded(config, tmp_path, capsys, class_name):
    data = pickle.dumps({"weights": Harmful()})
    if class_name == "Torch":
        torch.save({"weights": Harmful()}, tmp_path / "w.pt")
        data = (tmp_path / "w.pt").read_bytes()
    made = numbers(config, "table.npy", data, class_name)
    with pytest.raises(Exception, match=r"pickle|[Ww]eights.only"):
        load_weights(made, stored(tmp_path / "w.safetensors", data))
    assert "this ran" not in capsys.readouterr().out
    pickle.loads(pickle.dumps(Harmful.__name__))  # afterwards pickles work again, in this thread, too


def test_a_state_dict_that_torch_saved_passes_its_own_loader(config, tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pt")
    data = (tmp_path / "w.pt").read_bytes()
    made = numbers(config, "table.npy", data, "Torch")
    load_weights(made, stored(tmp_path / "w.safetensors", data))
    assert made.model.table["a"].tolist() == [1, 1]


def test_what_is_no_module_and_has_no_file_cannot_be_loaded(config):
    with pytest.raises(KitError, match=r"no torch\.nn\.Module"):
        build(config("Numbers", kind="values"))


def test_a_class_that_is_not_there_is_told(config):
    with pytest.raises(KitError, match="no class Absent"):
        build(config("Absent"))
