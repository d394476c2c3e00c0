"""Plain values become dataclasses and come back; every fault is told by its key."""

import json
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.typed_json import (
    ODD,
    Checked,
    Fraction,
    above,
    at_least,
    at_most,
    below,
    convert,
    from_plain,
    to_plain,
)


@dataclass(frozen=True, kw_only=True)
class Halo(Checked):
    kind: Literal["halo"] = "halo"
    context: Annotated[int, at_least(0)]


@dataclass(frozen=True, kw_only=True)
class Gaussian(Checked):
    kind: Literal["gaussian"]
    sigma: Annotated[float, above(0), below(1)]


@dataclass(frozen=True, kw_only=True)
class Network(Checked):
    name: str
    blend: Halo | Gaussian
    size: Annotated[int, at_least(1), ODD] = 3
    share: Fraction | None = None
    scales: tuple[float, ...] = (1.0,)
    box: tuple[int, str] = (0, "")
    weights: Path = Path("w")
    thresholds: Mapping[str, Annotated[float, at_most(1)]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    parts: list[Halo] = field(default_factory=list)
    names: Sequence[str] = ()
    seed: int | str | None = None
    train: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.train and self.seed is None:
            raise KitError("training needs a seed", fix="give one")


PLAIN = {"name": "n", "blend": {"context": 2}}
MADE = Network(name="n", blend=Halo(context=2))


def test_what_is_left_out_has_its_default():
    assert from_plain(Network, PLAIN) == MADE


@pytest.mark.parametrize(
    ("change", "problem", "where", "fix"),
    [
        ({"nmae": 1}, "unknown key nmae", "FILE", "did you mean 'name'? keys are: name, blend"),
        ({3: 1}, "unknown key 3", "FILE", "keys are: name"),
        ({"name": None}, "name is None, not a text", "FILE", "write a text; run it again"),
        ({"size": 3.0}, "size is 3.0, not an integer", "FILE", "write an integer"),
        ({"size": True}, "size is True, not an integer", "FILE", "write an integer"),
        ({"size": 4}, "size is 4; it has to be at least 1 and odd", "FILE", "correct it"),
        ({"share": 1.5}, "share is 1.5; it has to be at least 0 and at most 1", "FILE", "correct it"),
        ({"share": float("nan")}, "share is nan, not a finite number", "FILE", "correct it"),
        ({"share": 10**400}, "share is too large", "FILE", "write a number"),
        ({"train": 1}, "train is 1, not true or false", "FILE", "write true or false"),
        ({"scales": [1, "x"]}, "scales[1] is 'x', not a number", "FILE", "write a number"),
        ({"box": [1]}, "box is [1], not a list of 2", "FILE", "write a list of 2"),
        ({"box": [1, 2]}, "box[1] is 2, not a text", "FILE", "write a text"),
        ({"weights": 5}, "weights is 5, not a path", "FILE", "write a path"),
        ({"thresholds": [1]}, "thresholds is [1], not a table", "FILE", "write a table"),
        ({"thresholds": {"a": 2}}, "thresholds.a is 2.0; it has to be at most 1", "FILE", "correct it"),
        ({"parts": {"context": 1}}, "parts is {'context': 1}, not a list", "FILE", "write a list"),
        ({"parts": [{}]}, "parts[0].context is missing", "FILE [parts[0]]", "add it; run it again"),
        ({"names": "abc"}, "names is 'abc', not a list", "FILE", "write a list"),
        ({"seed": 1.5}, "seed is 1.5, not a text", "FILE", "write a text"),
        ({"blend": 5}, "blend is 5, not a table", "FILE", "write a table"),
        ({"blend": {"kind": "halo"}}, "blend.context is missing", "FILE [blend]", "add it"),
        ({"blend": {"kind": "gaussian", "sigma": 1}}, "blend.sigma is 1.0", "FILE", "correct it"),
        ({"blend": {"kind": "sum"}}, "blend.kind is 'sum'", "FILE", "use one of: 'halo', 'gaussian'"),
        ({"train": True}, "training needs a seed", "FILE", "give one"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(change, problem, where, fix):
    with pytest.raises(KitError) as caught:
        from_plain(Network, {**PLAIN, **change}, where="FILE", fix="run it again")
    assert problem in caught.value.problem
    assert caught.value.where == where
    assert fix in caught.value.fix


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_what_is_no_table_is_refused(value):
    with pytest.raises(KitError, match="not a table"):
        from_plain(Network, value)


def test_a_missing_key_is_told():
    with pytest.raises(KitError, match="blend is missing"):
        from_plain(Network, {"name": "n"})


@pytest.mark.parametrize(
    ("hint", "value"),
    [(Literal[1], True), (Literal[True], 1), (Literal[1], 1.0), (float, True), (type(None), 0)],
)
def test_equal_values_of_another_type_are_not_taken(hint, value):
    with pytest.raises(KitError):
        convert(hint, value, "key")


def test_a_class_of_which_nothing_is_known_takes_its_instances():
    assert convert(complex, 1j, "key") == 1j
    with pytest.raises(KitError, match="key is 'x', not a complex"):
        convert(complex, "x", "key")


def test_code_is_checked_as_files_are():
    with pytest.raises(KitError, match="size is 0; it has to be at least 1 and odd") as caught:
        Network(name="n", blend=Halo(context=1), size=0)
    assert caught.value.where == "Network"


def test_code_may_write_lists_and_integers_for_tuples_and_numbers():
    network = Network(name="n", blend=Halo(context=1), scales=[1, 2], weights="folder/w")
    assert network.scales == (1.0, 2.0)
    assert all(type(scale) is float for scale in network.scales)
    assert network.weights == Path("folder/w")
    assert from_plain(Network, {**PLAIN, "scales": 0.5}).scales == (0.5,)


def test_fields_that_are_none_are_left_out_on_request():
    plain = to_plain([MADE], leave_out_none=True)[0]
    assert {"share", "seed"}.isdisjoint(plain)
    assert from_plain(Network, plain) == MADE


def test_a_deep_value_is_cut_in_the_message():
    deep = {}
    for _ in range(3000):
        deep = {"a": deep}
    with pytest.raises(KitError) as caught:
        from_plain(Network, {**PLAIN, "name": deep})
    assert len(caught.value.problem) < 200


def test_a_module_without_a_file_can_be_read():
    # predict.py makes its modules from text: their annotations are resolved by sys.modules alone.
    module = types.ModuleType("made_from_text")
    sys.modules[module.__name__] = module
    try:
        exec(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n"
            "@dataclass\nclass Size:\n    pixels: int\n",
            module.__dict__,
        )
        assert from_plain(module.Size, {"pixels": 3}).pixels == 3
    finally:
        del sys.modules[module.__name__]


BLENDS = st.builds(Halo, context=st.integers(0, 99)) | st.builds(
    Gaussian,
    kind=st.just("gaussian"),
    sigma=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
NETWORKS = st.builds(
    Network,
    name=st.text(),
    blend=BLENDS,
    size=st.integers(0, 50).map(lambda half: 2 * half + 1),
    share=st.none() | st.floats(0, 1),
    scales=st.lists(st.floats(-9, 9)).map(tuple),
    box=st.tuples(st.integers(), st.text()),
    weights=st.sampled_from([Path("a"), Path("/a/b")]),
    thresholds=st.dictionaries(st.text(), st.floats(-9, 1)),
    more=st.dictionaries(st.text(), st.integers() | st.none() | st.lists(st.booleans())),
    parts=st.lists(st.builds(Halo, context=st.integers(0))),
    seed=st.none() | st.integers() | st.text(),
)


@given(NETWORKS)
def test_what_is_written_is_read_back(network):
    text = json.dumps(to_plain(network), allow_nan=False)
    assert from_plain(Network, json.loads(text)) == network


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_any_value_is_taken_or_refused_with_a_message(value):
    for key in ("name", "blend", "size", "share", "scales", "box", "thresholds", "parts", "seed", "train"):
        try:
            made = from_plain(Network, {**PLAIN, key: value})
        except KitError as error:
            assert key in str(error) or error.problem == "training needs a seed"  # noqa: PT017  # some are taken
        else:
            assert from_plain(Network, to_plain(made)) == made


@dataclass(frozen=True)
class Odd:
    nothing: None = None
    some: frozenset[int] = frozenset()


def test_what_has_one_value_takes_that_alone_and_another_container_has_to_be_made_already():
    assert from_plain(Odd, {"nothing": None, "some": frozenset({3})}) == Odd(some=frozenset({3}))
    with pytest.raises(KitError, match="nothing is 0, not empty"):
        from_plain(Odd, {"nothing": 0})
    with pytest.raises(KitError, match="some is"):
        from_plain(Odd, {"some": [3]})
