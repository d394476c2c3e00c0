"""Checkpoints of tiny networks in published dress, converted, loaded and refused."""

import json
import re
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kit.errors import KitError
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.load import load_pretrained, read_header
from kit.local.program import run_cli
from kit.models import build, load_weights, tiny
from kit.models.__main__ import main

CLASSES = ("fc_cls", "conv_logits")


@pytest.fixture(scope="module")
def network():
    """A tiny network by its name, built once and never changed."""
    built = {}

    def of(name):
        if name not in built:
            torch.manual_seed(5)
            built[name] = build(tiny(name))
        return built[name]

    return of


def weights(network):
    return {name: value.clone() for name, value in network.network.state_dict().items()}


def with_80_classes(state):
    """Heads and a semantic branch as COCO checkpoints have them."""
    for name, value in list(state.items()):
        if "fc_cls" in name:
            state[name] = torch.rand(81, *value.shape[1:])
        elif "fc_reg" in name:
            state[name] = torch.rand(80 * 4, *value.shape[1:])
        elif "conv_logits" in name:
            state[name] = torch.rand(80, *value.shape[1:])
    return {**state, "roi_head.semantic_head.conv_logits.weight": torch.rand(183, 4, 1, 1)}


@pytest.fixture
def coco(network, tmp_path):
    """An mmdet checkpoint of the tiny DetectoRS with 80 classes."""
    path = tmp_path / "detectors.pth"
    state = with_80_classes(weights(network("detectors-r50")))
    torch.save({"meta": {"CLASSES": ("person",), "epoch": 12}, "state_dict": state}, path)
    return path, state


def test_a_coco_detector_begins_with_new_heads_and_everything_else(network, coco, tmp_path):
    path, state = coco
    out = tmp_path / "new" / "detectors.safetensors"
    report = convert(path, tiny("detectors-r50"), out)
    assert report.share == report.used == 1
    assert len(report.reset) == 3 * 6
    assert report.dropped == ["roi_head.semantic_head.conv_logits.weight"]
    assert "roi_head.bbox_head.0.fc_reg.weight (normal, std 0.001; (320, 64) -> (4, 64))" in report.reset
    made = load_file(out)
    for name, value in made.items():
        if any(head in name for head in (*CLASSES, "fc_reg")):
            assert name.endswith("weight") or not value.any(), "biases begin at 0"
        else:
            assert torch.equal(value, state[name]), name
    heads = torch.cat([made[f"roi_head.bbox_head.{stage}.fc_cls.weight"].flatten() for stage in range(3)])
    assert 0.008 < heads.std() < 0.012
    assert len(heads.unique()) > 300, "stages begin differently"
    fresh = build(tiny("detectors-r50"))
    load_weights(fresh, out)  # strict: a file of a whole network is complete
    load_pretrained(fresh, out)
    assert all(torch.equal(value, made[name]) for name, value in fresh.network.state_dict().items())


def test_the_file_says_what_it_was_made_from_and_is_the_same_each_time(coco, tmp_path):
    path, _ = coco
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    convert(path, tiny("detectors-r50"), first)
    torch.manual_seed(99)
    convert(path, tiny("detectors-r50"), second)
    assert first.read_bytes() == second.read_bytes()
    header = read_header(first)
    assert header["source"] == "detectors.pth"
    assert (header["kind"], header["network"], header["share"]) == ("detector", "detectors-r50", 1.0)
    assert re.fullmatch("[0-9a-f]{64}", header["source_sha256"])
    assert (
        "roi_head.mask_head.2.conv_logits.weight (kaiming; (80, 32, 1, 1) -> (1, 32, 1, 1))"
        in header["reset"]
    )
    with safe_open(first, "pt") as file:
        assert list(file.metadata()) == ["pretrained"], "one entry: the order of several is not fixed"


@pytest.mark.parametrize("name", ["cbnetv2-swin-b", "vit-adapter-l", "vit-adapter-l-3x", "detectors-x101"])
def test_every_instance_network_takes_its_coco_checkpoint(network, name, tmp_path):
    path = tmp_path / f"{name}.pth.zip"
    state = with_80_classes(weights(network(name)))
    state["backbone.blocks.0.attn.relative_position_index"] = torch.zeros(4, 4, dtype=torch.int64)
    torch.save({"state_dict": state}, tmp_path / "inner.pth", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "inner.pth", "inner.pth")
    report = convert(path, tiny(name), tmp_path / "out.safetensors")
    assert report.share == report.used == 1
    assert len(report.reset) == 3 * 6
    load_weights(build(tiny(name)), tmp_path / "out.safetensors")


def test_the_authors_detectors_in_names_of_mmdet_1(network, tmp_path):
    state = with_80_classes(weights(network("detectors-x101")))
    old = {
        re.sub(r"^(?:roi_head\.|neck\.(?=rfp_))", "", name): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    old["mask_head.0.conv_logits.weight"] = torch.rand(81, 32, 1, 1)
    assert not any(name.startswith(("roi_head.", "neck.rfp")) for name in old)
    torch.save({"state_dict": old}, tmp_path / "DetectoRS_X101.pth")
    report = convert(tmp_path / "DetectoRS_X101.pth", tiny("detectors-x101"), tmp_path / "out.safetensors")
    assert (report.kind, report.share, report.used) == ("detector-v1", 1, 1)
    made = load_file(tmp_path / "out.safetensors")
    assert torch.equal(made["neck.rfp_weight.weight"], state["neck.rfp_weight.weight"])
    assert all(value == 0 for name, value in made.items() if name.endswith("num_batches_tracked"))
    load_weights(build(tiny("detectors-x101")), tmp_path / "out.safetensors")


def test_a_running_mean_is_taken_on_demand(network, tmp_path):
    state = weights(network("segformer-b0"))
    mean = {f"ema_{name.replace('.', '_')}": value + 1 for name, value in state.items()}
    path, out = tmp_path / "ema.pth", tmp_path / "out.safetensors"
    torch.save({"state_dict": state | mean}, path)
    report = convert(path, tiny("segformer-b0"), out)
    assert report.used == 1, "the copies are not even unexpected"
    assert torch.equal(load_file(out)["decode_head.conv_seg.bias"], state["decode_head.conv_seg.bias"])
    convert(path, tiny("segformer-b0"), out, mean=True)
    assert torch.equal(load_file(out)["decode_head.conv_seg.bias"], state["decode_head.conv_seg.bias"] + 1)
    assert read_header(out)["mean"]


def test_half_precision_checkpoints_become_full(network, tmp_path):
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights(network("segformer-b0")).items()
    }
    torch.save(state, tmp_path / "half.pth")
    convert(tmp_path / "half.pth", tiny("segformer-b0"), tmp_path / "out.safetensors")
    load_weights(build(tiny("segformer-b0")), tmp_path / "out.safetensors")
    made = load_file(tmp_path / "out.safetensors")
    assert {value.dtype for value in made.values()} == {torch.float32}


def test_a_checkpoint_of_another_network_names_the_one_it_fits(network, tmp_path):
    from kit.local.pretrained.matching import shapes

    state = {name: torch.zeros(value.shape) for name, value in shapes({"network": "segformer-b1"}).items()}
    path, out = tmp_path / "b1.pth", tmp_path / "out.safetensors"
    torch.save(state, path)
    with pytest.raises(KitError, match="the segmentor checkpoint fills") as error:
        convert(path, {"network": "segformer-b0"}, out, among=["segformer-b0", "segformer-b1"])
    text = str(error.value)
    assert "at least 90.0%: 0 tensors fit" in text or re.search(r": \d+ tensors fit", text)
    assert re.search(r"\d+ of another shape \(backbone\.layers", text)
    assert "fix:   it fits segformer-b1 (100%): convert it with --network segformer-b1" in text
    with pytest.raises(KitError, match="the segmentor checkpoint fills") as error:
        convert(path, tiny("detectors-r50"), out, among=["segformer-b0"])
    assert "lists the checkpoints of each network" in str(error.value)
    assert not out.exists()


def test_too_little_is_refused_unless_less_is_asked_for(network, coco, tmp_path):
    path, state = coco
    half = {name: value for name, value in state.items() if not name.startswith("neck.")}
    torch.save(half, path)
    out = tmp_path / "out.safetensors"
    with pytest.raises(KitError, match="missing \\(neck"):
        convert(path, tiny("detectors-r50"), out, among=[])
    report = convert(path, tiny("detectors-r50"), out, least=0.3)
    assert all(name.startswith("neck.") for name in report.missing)
    fresh = build(tiny("detectors-r50"))
    before = weights(fresh)
    load_pretrained(fresh, out)
    after = fresh.network.state_dict()
    standardised = ("weight_gamma", "weight_beta")  # computed from weights where a file has none, as in mmcv
    assert all(
        torch.equal(after[key], before[key]) for key in report.missing if not key.endswith(standardised)
    )
    assert torch.equal(after["backbone.conv1.weight"], state["backbone.conv1.weight"])


def test_only_files_of_convert_are_loaded_and_only_into_their_sizes(network, coco, tmp_path):
    path, _ = coco
    out = tmp_path / "out.safetensors"
    convert(path, tiny("detectors-r50"), out)
    with pytest.raises(KitError, match="was converted for detectors-r50 of other sizes") as error:
        load_pretrained(build({**tiny("detectors-r50"), "mask_convs": 1, "fc_channels": 32}), out)
    assert "roi_head" in str(error.value)
    with pytest.raises(KitError, match="not a converted checkpoint"):
        load_pretrained(network("detectors-r50"), path)


def test_a_full_disk_leaves_no_half_file(coco, tmp_path, monkeypatch):
    path, _ = coco

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KitError, match=r"cannot write out\.safetensors: No space left on device"):
        convert(path, tiny("detectors-r50"), tmp_path / "sub" / "out.safetensors")
    assert not list((tmp_path / "sub").iterdir())


def test_the_command_converts_reports_and_fails_with_2(coco, tmp_path, capsys):
    path, _ = coco
    config, out = tmp_path / "config.json", str(tmp_path / "out.safetensors")
    config.write_text(json.dumps(tiny("detectors-r50")))
    command = ["convert", str(path), "--network", "detectors-r50", "--config", str(config), "--out", out]
    assert run_cli(main, command) == 0
    said = capsys.readouterr()
    assert said.out.strip() == out
    assert "100.00% of the network loaded" in said.err
    assert "re-initialised" in said.err
    with pytest.raises(SystemExit):
        main([*command, "--least", "7"])
    assert "argument --least: '7' cannot be used" in capsys.readouterr().err
    config.write_text("[1, 2]")
    assert run_cli(main, command) == 2
    assert "does not hold a JSON object" in capsys.readouterr().err
    assert run_cli(main, ["convert", str(path), "--network", "detectors-r51", "--out", out]) == 2
    assert "no network is called 'detectors-r51'" in capsys.readouterr().err
