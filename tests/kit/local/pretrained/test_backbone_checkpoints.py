"""Backbones' pretraining goes into the backbone, by the rules of those who published it, and nowhere else."""

import re

import cbnetv2.pretrained
import numpy as np
import pytest
import torch
import vit_adapter
from safetensors.torch import load_file

from kit.errors import KitError
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.load import load_pretrained
from kit.models import build, tiny


def fresh(name, seed=7):
    torch.manual_seed(seed)
    return build(tiny(name))


def noise(state):
    """Other values of the same names and shapes."""
    return {
        name: torch.rand_like(value) if value.is_floating_point() else value for name, value in state.items()
    }


def part(network, prefix):
    return noise(
        {
            name.removeprefix(prefix): value
            for name, value in network.network.state_dict().items()
            if name.startswith(prefix)
        }
    )


def loaded(state, name, tmp_path, wrapper="model"):
    """The report, and the tiny network before and after."""
    path, out = tmp_path / "backbone.pth", tmp_path / "out.safetensors"
    torch.save({wrapper: state}, path)
    report = convert(path, tiny(name), out)
    network, untouched = fresh(name), fresh(name)
    load_pretrained(network, out)
    return report, untouched, network


def changed(before, after):
    old = before.network.state_dict()
    return {name for name, value in after.network.state_dict().items() if not torch.equal(value, old[name])}


def nvlabs(state):
    """The names of NVlabs/SegFormer for an encoder in names of mmseg."""
    old = {}
    for name, value in state.items():
        stage, which, rest = re.fullmatch(r"layers\.(\d)\.(\d)\.(.+)", name).groups()
        number = int(stage) + 1
        if which == "0":
            old[f"patch_embed{number}.{rest.replace('projection', 'proj')}"] = value
        elif which == "2":
            old[f"norm{number}.{rest}"] = value
        elif "in_proj_" in rest:
            block, kind = rest.split(".")[0], rest.rpartition("_")[2]
            third = len(value) // 3
            old[f"block{number}.{block}.attn.q.{kind}"] = value[:third]
            old[f"block{number}.{block}.attn.kv.{kind}"] = value[third:]
        else:
            for ours, theirs in (
                ("attn.attn.out_proj", "attn.proj"),
                ("ffn.layers.0", "mlp.fc1"),
                ("ffn.layers.1", "mlp.dwconv.dwconv"),
                ("ffn.layers.4", "mlp.fc2"),
            ):
                rest = rest.replace(ours, theirs)
            linear = rest.endswith(("fc1.weight", "fc2.weight"))
            old[f"block{number}.{rest}"] = value[:, :, 0, 0] if linear else value
    return {**old, "head.weight": torch.rand(1000, 8), "head.bias": torch.rand(1000)}


@pytest.mark.parametrize("network", ["segformer-b0", "segformer-b2-mixupsample", "segformer-b2-daformer"])
@pytest.mark.parametrize("dress", ["mmseg", "nvlabs"])
def test_mix_transformers_of_mmseg_and_of_their_authors(network, dress, tmp_path):
    encoder = part(fresh(network), "backbone.")
    state = encoder if dress == "mmseg" else nvlabs(encoder)
    report, before, after = loaded(state, network, tmp_path, wrapper="state_dict")
    assert (report.kind, report.share, report.used) == ("mit", 1, 1)
    own = after.network.state_dict()
    assert all(torch.equal(own[f"backbone.{name}"], value) for name, value in encoder.items())
    assert all(name.startswith("backbone.") for name in changed(before, after))


def test_a_swin_goes_into_both_backbones_as_its_own_loader_does(tmp_path):
    name = "cbnetv2-swin-b"
    state = part(fresh(name), "backbone.cb_modules.0.")
    state = {key: value for key, value in state.items() if not re.match(r"norm\d\.", key)}
    table = "layers.0.blocks.0.attn.relative_position_bias_table"
    state[table] = torch.rand(23**2, state[table].shape[1])  # of a window of 12
    extras = {
        "norm.weight": torch.rand(128),
        "head.weight": torch.rand(5, 128),
        "layers.0.blocks.1.attn_mask": torch.rand(4, 49, 49),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(49, 49, dtype=torch.int64),
    }
    report, before, after = loaded(state | extras, name, tmp_path)
    assert report.kind == "swin"
    assert len(report.resized) == 2
    assert report.share == report.used == 1
    reference = fresh(name).network.backbone
    cbnetv2.pretrained.load_into_both(reference, state)
    expected = reference.state_dict()
    own = after.network.backbone.state_dict()
    assert own.keys() == expected.keys()
    assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert all(key.startswith("backbone.cb_modules.") for key in changed(before, after))


def test_a_beit_is_fitted_as_its_own_loader_does(tmp_path):
    name = "vit-adapter-l"
    network = fresh(name)
    state = {
        key: value
        for key, value in part(network, "backbone.").items()
        if key.startswith(("patch_embed.", "blocks."))
    }
    for key in [key for key in state if key.endswith("relative_position_bias_table")]:
        state[key] = torch.rand(27**2 + 3, state[key].shape[1])
        state[key.replace("_bias_table", "_index")] = torch.zeros(197, 197, dtype=torch.int64)
    state |= {
        "cls_token": torch.rand(1, 1, 64),
        "fc_norm.weight": torch.rand(64),
        "head.weight": torch.rand(9, 64),
    }
    report, before, after = loaded(state, name, tmp_path, wrapper="module")
    assert (report.kind, report.share, report.used) == ("vit", 1, 1)
    assert len(report.resized) == 8, "a table a block"
    reference = fresh(name).network.backbone
    vit_adapter.load_pretrained(reference, state)
    expected, own = reference.state_dict(), after.network.backbone.state_dict()
    assert all(torch.equal(own[key], value) for key, value in expected.items())
    assert all(re.match(r"backbone\.(patch_embed|blocks)\.", key) for key in changed(before, after))


def test_a_vit_without_relative_positions_is_no_beit(tmp_path):
    arrays = {
        "cls": np.zeros((1, 1, 64)),
        "embedding/kernel": np.zeros((16, 16, 3, 64)),
        "embedding/bias": np.zeros(64),
        "Transformer/posembed_input/pos_embedding": np.zeros((1, 197, 64)),
    }
    for block in range(8):
        place = f"Transformer/encoderblock_{block}"
        arrays |= {
            f"{place}/LayerNorm_{norm}/{kind}": np.zeros(64) for norm in (0, 2) for kind in ("scale", "bias")
        }
        attention = f"{place}/MultiHeadDotProductAttention_1"
        for which in ("query", "key", "value"):
            arrays[f"{attention}/{which}/kernel"] = np.zeros((64, 4, 16))
            arrays[f"{attention}/{which}/bias"] = np.zeros((4, 16))
        arrays[f"{attention}/out/kernel"], arrays[f"{attention}/out/bias"] = (
            np.zeros((4, 16, 64)),
            np.zeros(64),
        )
        arrays[f"{place}/MlpBlock_3/Dense_0/kernel"] = np.zeros((64, 256))
        arrays[f"{place}/MlpBlock_3/Dense_0/bias"] = np.zeros(256)
        arrays[f"{place}/MlpBlock_3/Dense_1/kernel"] = np.zeros((256, 64))
        arrays[f"{place}/MlpBlock_3/Dense_1/bias"] = np.zeros(64)
    path = tmp_path / "augreg.npz"
    np.savez(path, **{name: value.astype(np.float32) for name, value in arrays.items()})
    with pytest.raises(KitError, match=r"the vit checkpoint fills .* of vit-adapter-l, which takes") as error:
        convert(path, tiny("vit-adapter-l"), tmp_path / "out.safetensors", among=[])
    assert "both have to be at least 99.9%" in str(error.value)
    assert "backbone.blocks.0.attn.q_bias" in str(error.value)


def test_a_resnet_gives_both_passes_weights_that_standardisation_leaves_alone(tmp_path):
    name = "detectors-r50"
    network = fresh(name)
    ours = ("weight_gamma", "weight_beta", "weight_diff", "switch.", "_context.", "offset_", "rfp_conv.")
    state = {
        key: value
        for key, value in part(network, "backbone.").items()
        if not any(piece in key for piece in ours)
    }
    report, before, after = loaded(state | {"fc.weight": torch.rand(1000, 8)}, name, tmp_path)
    assert (report.kind, report.share, report.used) == ("resnet", 1, 1)
    assert len(report.loaded) == 2 * len(state)
    for backbone in (after.network.backbone, after.network.neck.rfp_modules[0]):
        conv = backbone.layer1[0].conv2
        assert torch.equal(conv.weight, state["layer1.0.conv2.weight"])
        torch.testing.assert_close(conv._get_weight(conv.weight), conv.weight)
    touched = changed(before, after)
    assert all(key.startswith(("backbone.", "neck.rfp_modules.0.")) for key in touched)


def test_what_a_backbone_leaves_out_begins_as_each_run_draws_it(tmp_path):
    """A head in the file would make the folds of an ensemble alike."""
    encoder = part(fresh("segformer-b0"), "backbone.")
    path, out = tmp_path / "mit.pth", tmp_path / "out.safetensors"
    torch.save(encoder, path)
    convert(path, tiny("segformer-b0"), out)
    assert all(name.startswith("backbone.") for name in load_file(out))
    heads = []
    for seed in (1, 2):
        network = fresh("segformer-b0", seed)
        load_pretrained(network, out)
        heads.append(network.network.state_dict()["decode_head.fusion_conv.conv.weight"])
    assert not torch.equal(*heads)
