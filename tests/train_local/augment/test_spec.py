import json

import pytest

from kit.errors import KitError
from kit.typed_json import from_plain, to_plain
from train_local.augment import Stain
from train_local.augment.spec import OneOf, Op, Sequence

FLIP = Op(op="RandomFlip", p=0.5, args={"direction": ["horizontal"]}, library="mmdet")


def test_nested_operations_survive_json():
    steps = Sequence(steps=(FLIP, OneOf(p=0.4, choices=((FLIP, Stain(gain=0.1, offset=0.1)), ()))))
    assert from_plain(Sequence, json.loads(json.dumps(to_plain(steps)))) == steps


def test_as_many_weights_as_choices():
    with pytest.raises(KitError, match="2 choices and 1 weights"):
        OneOf(choices=((FLIP,), ()), weights=(1.0,))
