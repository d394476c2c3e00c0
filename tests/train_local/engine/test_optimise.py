import pytest
import torch
from torch import nn

from kit.errors import KitError
from train_local.engine.optimise import make_optimiser, set_learning_rate
from train_local.recipes.settings import Optimiser, ParameterGroup

SPARED = (ParameterGroup(match="1-D", decay_mult=0.0),)


@pytest.fixture
def module():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    network[2].weight.requires_grad = False
    return network


def of_names(module, optimiser):
    """Parameter's name -> its group."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(parameter)]: group for group in optimiser.param_groups for parameter in group["params"]}


def test_norms_and_biases_are_spared_only_where_asked(module):
    adam = Optimiser(name="adamw", lr=0.1, weight_decay=0.5, betas=(0.8, 0.9), amsgrad=True, groups=SPARED)
    optimiser = make_optimiser(module, adam)
    decays = {name: group["weight_decay"] for name, group in of_names(module, optimiser).items()}
    assert decays == {"0.weight": 0.5, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.bias": 0}
    assert type(optimiser) is torch.optim.AdamW
    assert all(group["betas"] == (0.8, 0.9) and group["amsgrad"] for group in optimiser.param_groups)
    (everything,) = make_optimiser(module, Optimiser(name="sgd", lr=0.1, momentum=0.7)).param_groups
    assert len(everything["params"]) == 5, "what is frozen is left out"
    assert everything["momentum"] == 0.7
    assert type(make_optimiser(module, Optimiser(name="adam", lr=0.1))) is torch.optim.Adam


def test_the_first_rule_that_matches_takes_a_parameter():
    module = nn.ModuleDict({"head": nn.ModuleDict({"norm": nn.LayerNorm(2)}), "norm": nn.LayerNorm(2)})
    module["body"] = nn.Linear(2, 2)
    rules = (ParameterGroup(match="head", lr_mult=10.0), ParameterGroup(match="norm", decay_mult=0.0))
    settings = Optimiser(name="adamw", lr=6e-5, weight_decay=0.01, groups=rules)
    optimiser = make_optimiser(module, settings)
    set_learning_rate(optimiser, 6e-5 / 2)  # halfway down
    found = {
        name: (group["lr"], group["weight_decay"]) for name, group in of_names(module, optimiser).items()
    }
    # The head's own norm is the head's: fast, and decayed. This is what the published SegFormers do.
    assert found["head.norm.weight"] == pytest.approx((3e-4, 0.01))
    assert found["norm.weight"] == pytest.approx((3e-5, 0.0))
    assert found["body.weight"] == pytest.approx((3e-5, 0.01))


def test_a_group_without_a_parameter_is_refused_with_the_names_there_are(module):
    for groups, told in (
        ([*SPARED, ParameterGroup(match="pos_block")], "group 'pos_block' takes none of the 5 parameters"),
        ([*SPARED, ParameterGroup(match="bias")], "'bias' takes none .* is taken by 1-D before"),
    ):
        with pytest.raises(KitError, match=told) as error:
            make_optimiser(module, Optimiser(name="adam", lr=0.1, groups=tuple(groups)))
        assert "made of: bias, weight" in str(error.value)


def names_of(*names):
    """A module with one parameter under each dotted name."""
    root = nn.Module()
    for name in names:
        *path, last = name.split(".")
        place = root
        for part in path:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        place.register_parameter(last, nn.Parameter(torch.zeros(2, 2)))
    return root


def rates(module, decay):
    settings = Optimiser(name="adamw", lr=1.0, layer_decay=decay)
    return {name: group["lr"] for name, group in of_names(module, make_optimiser(module, settings)).items()}


def test_layer_decay_of_a_vit_is_beit_s():
    blocks = [f"backbone.blocks.{number}.attn.qkv.weight" for number in range(24)]
    module = names_of("backbone.patch_embed.proj.weight", *blocks, "backbone.norm.weight", "head.fc.weight")
    found = rates(module, 0.9)
    # BEiT numbers the embedding 0, the blocks 1 to 24 and the rest 25; a rate is 0.9 ** (25 - number).
    assert found["backbone.patch_embed.proj.weight"] == pytest.approx(0.9**25)
    assert found[blocks[0]] == pytest.approx(0.9**24)
    assert found[blocks[23]] == pytest.approx(0.9)
    assert found["backbone.norm.weight"] == found["head.fc.weight"] == 1.0


def test_layer_decay_counts_a_swin_s_blocks_through_its_stages():
    depths = (2, 2, 18, 2)
    blocks = [
        f"cb.{network}.layers.{stage}.blocks.{block}.mlp.weight"
        for network in (0, 1)
        for stage, depth in enumerate(depths)
        for block in range(depth)
    ]
    found = rates(names_of(*blocks, "cb.0.patch_embed.proj.weight"), 0.5)
    assert found["cb.1.layers.3.blocks.1.mlp.weight"] == pytest.approx(0.5)
    assert found["cb.0.layers.2.blocks.10.mlp.weight"] == pytest.approx(0.5**10)
    assert found["cb.0.layers.0.blocks.0.mlp.weight"] == pytest.approx(0.5**24)
    assert found["cb.0.patch_embed.proj.weight"] == pytest.approx(0.5**25)
