"""Each recipe's pipeline does the published operations, as often and as strongly."""

import json
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.train_local.augment.magnitudes import CHECKS
from train_local.augment import ByOrgan, Op, apply, flat
from train_local.augment.operation import Example
from train_local.recipes import published, registry

DRAWS = 2000
STAGES = [(name, stage.stage) for name in published.names() for stage in published.load(name).stages]


@dataclass(frozen=True)
class Leaf:
    """An operation of the facts with its probability, all draws on the way to it multiplied."""

    op: str
    args: str
    p: float


def recipe_of(name, stage):
    return registry.get(f"{name}-stage1" if stage == 1 else name)


def leaves(facts, p=1.0):
    """The operations of a published list. The crop of a tile is no operation here, but a recipe's `data`."""
    for fact in facts:
        here = p * fact.get("p", 1.0)
        if fact["op"] == "Sequence":
            yield from leaves(fact["choices"], here)
        elif fact["op"] != "OneOf":
            yield Leaf(fact["op"], json.dumps(fact.get("args") or {}, sort_keys=True), here)
        elif isinstance(fact["choices"][0], list):  # mmdet: evenly; what is inside keeps its probabilities
            for choice in fact["choices"]:
                yield from leaves(choice, here / len(fact["choices"]))
        elif fact["choices"][0]["op"] not in {"CenterCrop", "RandomCrop"}:
            # albumentations: in proportion to p, and then for certain
            total = sum(choice["p"] for choice in fact["choices"])
            for choice in fact["choices"]:
                yield from leaves([{**choice, "p": choice["p"] / total}], here)


def published_lists(name, stage):
    """Organ -> its published list; None where organs share one."""
    facts = published.stage_of(name, stage).config["augment"]
    return facts["by_organ"] if isinstance(facts, dict) else {None: facts}


def fits(operation, leaf):
    """Whether an operation of a recipe is the published one, by the arguments that a recipe writes alike."""
    if operation.op != leaf.op:
        return False
    args = json.loads(leaf.args)
    alike = operation.args.keys() & args.keys()
    return all(operation.args[key] == args[key] for key in alike)


def expected(operation, lists):
    """How often the facts do an operation, and the spread of that, per example."""
    found = [leaf for leaf in lists if fits(operation, leaf)]
    return sum(leaf.p for leaf in found), sum(leaf.p * (1 - leaf.p) for leaf in found)


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_operations_are_done_as_often_as_published(name, stage, monkeypatch):
    recipe, done = recipe_of(name, stage), []
    # What an operation does to the pixels is the other test's; here it is only noted that it was its turn.
    monkeypatch.setattr(Op, "__call__", lambda self, example, random: done.append(self) or example)
    for organ, facts in published_lists(name, stage).items():
        lists, random = list(leaves(facts)), np.random.default_rng(1)
        done.clear()
        example = Example(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 1), np.uint8), organ=organ)
        for _ in range(DRAWS):
            apply(recipe.augment, example, random)
        # One operation may stand in several choices: all that say the same are counted together.
        said = {
            id(operation): f"{operation.op} {json.dumps(operation.args, sort_keys=True)}"
            for operation in done
        }
        counts = Counter(said[id(operation)] for operation in done)
        kinds = {said[id(operation)]: operation for operation in done}
        for words, operation in kinds.items():
            p, variance = expected(operation, lists)
            found = counts[words]
            assert abs(found - DRAWS * p) <= 4 * (DRAWS * variance) ** 0.5, (organ, words, found / DRAWS, p)
        # Nothing published is missing.
        for leaf in lists:
            assert any(fits(operation, leaf) for operation in kinds.values()), (organ, leaf)


def pairs():
    """Each published operation once, with the recipes' form of it."""
    found = {}
    for name, stage in STAGES:
        for organ, facts in published_lists(name, stage).items():
            operations = recipe_of(name, stage).augment
            if organ is not None:
                operations = [
                    step for one in operations if isinstance(one, ByOrgan) for step in one.organs[organ]
                ]
            for leaf in leaves(facts):
                for operation in flat(operations):
                    if isinstance(operation, Op) and fits(operation, leaf):
                        key = (
                            operation.library,
                            leaf.op,
                            leaf.args,
                            json.dumps(operation.args, sort_keys=True),
                        )
                        found.setdefault(key, (replace(operation, p=1.0), json.loads(leaf.args)))
    return found


PAIRS = pairs()


@pytest.mark.parametrize("key", PAIRS, ids=lambda key: f"{key[1]} {key[2]}")
def test_operations_are_as_strong_as_published(key):
    operation, args = PAIRS[key]
    CHECKS[operation.library][operation.op](operation, args)


def test_the_crop_of_a_tile_is_the_middle_as_often_as_published():
    for name, stage in STAGES:
        for fact in published.stage_of(name, stage).config["augment"]:
            choices = fact.get("choices", [{}]) if isinstance(fact, dict) else [{}]
            if isinstance(choices[0], dict) and choices[0].get("op") == "CenterCrop":
                data = recipe_of(name, stage).data
                assert data.crop_centre == choices[0]["p"]
                assert data.crop == choices[0]["args"]["size"]
