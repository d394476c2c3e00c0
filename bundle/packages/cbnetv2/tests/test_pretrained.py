"""One plain network's weights in both networks of a composite one."""

import pickle

import pytest
import torch
from cbnetv2 import CBResNet, CBSwinTransformer
from cbnetv2.pretrained import load_into, load_into_both, plain_weights, read_checkpoint
from cbnetv2.swin import SwinTransformer
from mmdet.models.backbones import ResNet
from torch.nn import functional as F

from bundle.packages.cbnetv2.tests.miniatures import RESNET, SWIN, randomised

OUT = {"out_indices": (0, 1, 2)}


def plain_swin(seed=3, **words):
    return randomised(SwinTransformer(**{**SWIN, **OUT, **words}), seed)


def composite(**words):
    return CBSwinTransformer(**{**SWIN, **OUT, **words})


def classification(net):
    """As the authors of Swin publish it: wrapped, with a classifier, derived buffers and other norms."""
    weights = {key: value for key, value in net.state_dict().items() if not key.startswith("norm")}
    weights |= {
        "norm.weight": torch.ones(32),
        "head.weight": torch.ones(10, 32),
        "layers.0.blocks.1.attn_mask": torch.zeros(4, 9, 9),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(9, 9, dtype=torch.long),
    }
    return {"model": weights}


def test_both_networks_get_the_weights_and_the_report_names_every_key():
    plain, net = plain_swin(), composite()
    report = load_into_both(net, classification(plain))
    for index in (0, 1):
        of_net = net.cb_modules[index].state_dict()
        for key, value in of_net.items():
            name = f"cb_modules.{index}.{key}"
            if key.startswith("norm"):
                assert name in report.missing
            else:
                assert name in report.loaded
                assert torch.equal(value, plain.state_dict()[key])
        assert f"cb_modules.{index}.head.weight" in report.unexpected
        assert f"cb_modules.{index}.layers.0.blocks.1.attn_mask" in report.derived
        assert f"cb_modules.{index}.layers.0.blocks.0.attn.relative_position_index" in report.derived
    assert "cb_modules.1.patch_embed.proj.weight" in report.unexpected
    assert not report.mismatched
    assert str(report).startswith(f"{len(report.loaded)} loaded, 0 resized, 4 derived")


def test_a_residual_network_loads_into_both_too():
    words = {key: value for key, value in RESNET.items() if key != "cb_inplanes"}
    plain, net = randomised(ResNet(**words)), CBResNet(**RESNET, cb_del_stages=1)
    report = load_into_both(net, {**plain.state_dict(), "fc.weight": torch.ones(3, 4)})
    assert not report.missing
    assert not report.mismatched
    for index in (0, 1):
        assert torch.equal(net.cb_modules[index].layer4[2].conv3.weight, plain.layer4[2].conv3.weight)
    assert "cb_modules.1.conv1.weight" in report.unexpected


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "encoder.", "module.backbone."])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_wrappers_and_prefixes_are_taken_off(prefix, wrapper):
    weights = {f"{prefix}layers.0.x": torch.ones(1)}
    assert plain_weights({wrapper: weights, "epoch": 3} if wrapper else weights).keys() == {"layers.0.x"}


def test_what_stands_beside_a_backbone_is_left_out():
    weights = {"backbone.a": torch.ones(1), "decode_head.b": torch.ones(1)}
    assert plain_weights(weights).keys() == {"a"}


@pytest.mark.parametrize(("source", "target"), [(3, 5), (5, 3)])
def test_bias_tables_of_other_windows_are_resized_as_square_maps_by_head(source, target):
    plain, net = plain_swin(window_size=source), composite(window_size=target)
    report = load_into_both(net, plain.state_dict())
    assert len(report.resized) == 2 * sum(SWIN["depths"])
    table = plain.layers[1].blocks[1].attn.relative_position_bias_table.detach()
    got = net.cb_modules[1].layers[1].blocks[1].attn.relative_position_bias_table
    side, new = 2 * source - 1, 2 * target - 1
    for head in range(2):
        map_NCHW = torch.tensor(table[:, head].tolist()).reshape(1, 1, side, side)
        expected = F.interpolate(map_NCHW, (new, new), mode="bicubic", align_corners=False)
        torch.testing.assert_close(got[:, head].reshape(new, new), expected[0, 0])


def test_a_resized_table_keeps_values_and_directions():
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    plain = plain_swin(window_size=5)
    with torch.no_grad():
        plain.layers[0].blocks[0].attn.relative_position_bias_table.copy_(
            (rows * 10 + columns).reshape(81, 1)
        )
    net = composite(window_size=3)
    load_into_both(net, plain.state_dict())
    got = net.cb_modules[0].layers[0].blocks[0].attn.relative_position_bias_table.reshape(5, 5)
    assert got[2, 2].item() == pytest.approx(44, abs=1e-3)
    assert (got[3:, 2] > got[:2, 2]).all()
    assert (got[2, 3] - got[2, 1]).item() == pytest.approx((got[3, 2] - got[1, 2]).item() / 10, rel=1e-3)


def test_absolute_positions_become_a_map_of_the_networks_size():
    net = SwinTransformer(**SWIN, **OUT, ape=True, pretrain_img_size=16)
    weights = plain_swin(ape=True, pretrain_img_size=16).state_dict()
    as_map = weights["absolute_pos_embed"]
    weights["absolute_pos_embed"] = as_map.flatten(2).transpose(1, 2)
    report = load_into(net, weights)
    assert report.resized == ["absolute_pos_embed"]
    torch.testing.assert_close(net.absolute_pos_embed.detach(), as_map)


def test_weights_of_another_network_are_refused_and_nothing_changes():
    net = composite()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    for foreign in (
        {"conv1.weight": torch.ones(3)},
        plain_swin(embed_dim=16).state_dict(),
        plain_swin(depths=(1, 1, 1)).state_dict(),
    ):
        with pytest.raises(ValueError, match=r"only \d+% of the network's weights are in the checkpoint"):
            load_into_both(net, foreign)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_smaller_share_can_be_allowed():
    half = plain_swin(depths=(1, 1, 1)).state_dict()
    report = load_into_both(composite(), half, least_share=0.3)
    assert "cb_modules.0.layers.0.blocks.1.norm1.weight" in report.missing


def test_composite_weights_and_empty_checkpoints_are_refused():
    with pytest.raises(ValueError, match=r"composite backbone, not of one plain network; .* load_from"):
        load_into_both(composite(), {"state_dict": {"backbone.cb_modules.0.x": torch.ones(1)}})
    with pytest.raises(ValueError, match="there are no weights in the checkpoint"):
        load_into_both(composite(), {"epoch": 3})


def test_a_plain_network_is_not_composite():
    with pytest.raises(TypeError, match="SwinTransformer has no cb_modules; give CBSwinTransformer"):
        load_into_both(plain_swin(), {})


@pytest.mark.parametrize("word", ["pretrained", "init_cfg"])
def test_init_weights_loads_the_named_file_into_both(tmp_path, word):
    plain = plain_swin()
    path = tmp_path / "swin.pth"
    torch.save(classification(plain), path)
    named = str(path) if word == "pretrained" else {"type": "Pretrained", "checkpoint": str(path)}
    for net in (composite(**{word: named}), SwinTransformer(**SWIN, **OUT, **{word: named})):
        net.init_weights()
        for one in getattr(net, "cb_modules", [net]):
            assert torch.equal(
                one.layers[2].blocks[0].mlp.fc2.weight, plain.layers[2].blocks[0].mlp.fc2.weight
            )


class Harmful:
    def __reduce__(self):
        return (print, ("ran",))


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path, capsys):
    path = tmp_path / "swin.pth"
    torch.save({"model": Harmful()}, path)
    with pytest.raises(ValueError, match=r"swin\.pth is no checkpoint of plain weights .*get the state dict"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Harmful(), protocol=2))
    with pytest.raises(ValueError, match="is no checkpoint of plain weights"):
        read_checkpoint(path)
    assert "ran" not in capsys.readouterr().out


def test_a_truncated_missing_or_unnamed_file_is_refused(tmp_path):
    path = tmp_path / "swin.pth"
    torch.save(plain_swin().state_dict(), path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="is no checkpoint of plain weights"):
        read_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is no checkpoint of plain weights"):
        read_checkpoint(path)
    with pytest.raises(ValueError, match=r"there is no file .*other\.pth; download the checkpoint"):
        read_checkpoint(tmp_path / "other.pth")
    torch.save([torch.ones(1)], path)
    with pytest.raises(TypeError, match="holds a list, not a state dict"):
        read_checkpoint(path)


@pytest.mark.parametrize("prefix", ["module._orig_mod.", "_orig_mod.module.", "_orig_mod.backbone."])
def test_compiled_weights_are_unwrapped_and_nan_is_refused(tmp_path, prefix):
    torch.save({"model_state_dict": {f"{prefix}norm.weight": torch.ones(2)}}, tmp_path / "net.pth")
    assert list(read_checkpoint(tmp_path / "net.pth")) == ["norm.weight"]
    with pytest.raises(ValueError, match=r"1 tensors have values that are no finite numbers: norm\.weight"):
        plain_weights({f"{prefix}norm.weight": torch.full((2,), float("nan"))})
