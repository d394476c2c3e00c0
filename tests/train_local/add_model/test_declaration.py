"""What a class declares becomes settings of the engine; what is misspelt or cannot be is told."""

from pathlib import Path

import pytest
from torch import nn

from kit.errors import KitError
from train_local.add_model.declaration import declaration_of

WHERE = Path("my_model.py")


def declared(**attributes):
    return declaration_of(type("Mine", (nn.Module,), attributes), WHERE)


def test_windows_become_cores_with_context():
    found = declared(kind="semantic", window=512, batch=4)
    assert found.settings("x") == {"core": 384, "context": 64, "scale": 1.0, "batch_size": 4}
    found = declared(kind="semantic", window=512, context=0, scale=0.5, inference={"stored": "uint8"})
    assert found.settings("x") == {"core": 512, "context": 0, "scale": 0.5, "stored": "uint8"}


def test_whole_images_instances_and_values():
    assert declared(kind="semantic", size=256, batch=2).settings("x") == {"size": 256, "batch_size": 2}
    assert declared(kind="instance", window=800, overlap=100, scale=0.5).settings("x") == {
        "size": 400,
        "window": 800,
        "overlap": 100,
    }
    assert declared(kind="values").settings("x") == {}
    assert declared(kind="values", size=224).settings("x") == {"size": 224}


def test_what_a_parent_declares_a_child_may_change():
    parent = type("Parent", (nn.Module,), {"kind": "semantic", "window": 64, "requires": ["timm"]})
    child = type("Child", (parent,), {"window": 128})
    found = declaration_of(child, WHERE)
    assert (found.window, found.requires) == (128, ("timm",))


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({}, "kind is missing"),
        ({"kind": "boxes"}, "kind is 'boxes'"),
        ({"kind": "semantic", "require": ["timm"]}, "require is nothing"),
        ({"kind": "semantic", "mean": (1, 2)}, "mean is"),
        ({"kind": "semantic", "std": (0, 1, 1)}, "above 0"),
        ({"kind": "semantic", "window": "512"}, "window is"),
        ({"kind": "semantic", "views": ["upside"]}, "unknown view"),
        ({"kind": "semantic", "views": []}, "views is"),
        ({"kind": "semantic", "views": ["hflip", "hflip"]}, "views is"),
        ({"kind": "semantic", "output": "tanh"}, "output is"),
    ],
)
def test_a_fault_of_an_attribute_is_told(attributes, told):
    with pytest.raises(KitError) as caught:
        declared(**attributes)
    assert told in caught.value.problem
    assert "my_model.py" in caught.value.where
    assert caught.value.fix


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"kind": "semantic"}, "neither"),
        ({"kind": "instance"}, "neither"),
        ({"kind": "semantic", "window": 64, "context": 32}, "leaves nothing"),
        ({"kind": "semantic", "window": 64, "inference": {"blnd": "halo"}}, "unknown key blnd"),
        ({"kind": "instance", "size": 64, "window": 64, "overlap": 40}, "overlap"),
    ],
)
def test_settings_that_cannot_be_are_told(attributes, told):
    with pytest.raises(KitError) as caught:
        declared(**attributes).settings("my_model.py")
    assert told in caught.value.problem
