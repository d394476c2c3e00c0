"""Checkpoints as training programs wrap them: the weights are found under any keys and prefixes."""

import functools
import json
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kit.errors import KitError
from kit.local.pretrained import state_dicts
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.load import read_header
from kit.local.pretrained.stored import StoredTensor
from kit.local.program import run_cli
from kit.models import build, load_weights, tiny
from kit.models.__main__ import main

NAME = "segformer-b0"


@functools.cache
def weights():
    torch.manual_seed(3)
    return dict(build(tiny(NAME)).network.state_dict())


def mean():
    return {name: value + 1 if value.is_floating_point() else value for name, value in weights().items()}


def under(prefix, state=None):
    return {prefix + name: value for name, value in (state or weights()).items()}


def copies():
    """The running means as mmcv's hook stores them."""
    return {f"ema_{name.replace('.', '_')}": value for name, value in mean().items()}


def optimiser():
    tensors = list(weights().values())
    state = {number: {"step": torch.tensor(3.0), "exp_avg": value} for number, value in enumerate(tensors)}
    return {"state": state, "param_groups": [{"lr": 1e-3, "params": list(state)}]}


def taken(content, tmp_path, **options):
    """The report of a conversion, after a strict load; and whether the weights or their mean were taken."""
    path, out = tmp_path / "net.pth", tmp_path / "net.safetensors"
    torch.save(content, path)
    report = convert(path, tiny(NAME), out, among=[], **options)
    assert report.share == 1
    load_weights(build(tiny(NAME)), out)
    bias = "decode_head.conv_seg.bias"
    found = {"weights": weights(), "mean": mean()}
    return report, next(
        what for what, state in found.items() if torch.equal(load_file(out)[bias], state[bias])
    )


WRAPPED = {
    "model_state_dict": lambda: {
        "epoch": 3,
        "model_state_dict": weights(),
        "optimizer_state_dict": optimiser(),
    },
    "model": lambda: {"model": weights(), "optimizer": optimiser(), "lr_scheduler": {"last": 3}},
    "net": lambda: {"net": weights()},
    "network": lambda: {"network": weights(), "scaler": {"scale": torch.tensor(65536.0)}},
    "module": lambda: {"module": weights()},
    "params": lambda: {"params": weights()},
    "weights": lambda: {"weights": weights()},
    "an unheard of key": lambda: {"my best model so far": weights(), "loss": torch.tensor(0.3)},
    "only a mean": lambda: {"model_ema": weights()},
    "nested twice": lambda: {"checkpoint": {"state": {"model": weights()}}, "version": 2},
    "a text under a part's name": lambda: {"decode_head": "mlp", "state_dict": weights()},
    "more prefixes than anybody follows": lambda: [weights(), under("a.b.c.d.e.f.g.h.")],
    "a list": lambda: [weights()],
    "a list of dictionaries": lambda: [{"fold": 0, "state_dict": weights()}],
    "Lightning": lambda: {
        "state_dict": {**under("model."), "loss.weight": torch.ones(2), "metric.total": torch.tensor(7)},
        "pytorch-lightning_version": "2.0",
        "optimizer_states": [optimiser()],
        "callbacks": {"ModelCheckpoint{}": {"best": torch.tensor(0.8)}},
    },
    "Lightning with net": lambda: {"state_dict": under("net.")},
    "Lightning compiled": lambda: {"state_dict": under("model._orig_mod.")},
    "DistributedDataParallel": lambda: under("module."),
    "DistributedDataParallel twice": lambda: under("module.module."),
    "compiled": lambda: {"state_dict": under("_orig_mod.")},
    "compiled in parallel": lambda: under("module._orig_mod."),
    "parallel, compiled": lambda: under("_orig_mod.module."),
    "compiled parts": lambda: {
        name.replace("backbone.layers.", "backbone._orig_mod.layers."): value
        for name, value in weights().items()
    },
    "FSDP": lambda: {
        name.replace("backbone.", "backbone._fsdp_wrapped_module."): value
        for name, value in weights().items()
    },
    "an averaged model": lambda: {**under("module."), "n_averaged": torch.tensor(12)},
    "parts": lambda: {
        part: {
            name.removeprefix(f"{part}."): value for name, value in weights().items() if name.startswith(part)
        }
        for part in ("backbone", "decode_head")
    },
    "arrays of numpy": lambda: {"state_dict": {name: value.numpy() for name, value in weights().items()}},
    "parameters": lambda: {
        name: torch.nn.Parameter(value) if value.is_floating_point() else value
        for name, value in weights().items()
    },
    "double precision": lambda: {
        name: value.double() if value.is_floating_point() else value for name, value in weights().items()
    },
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_the_weights_are_found_under_any_wrapper(wrapped, tmp_path):
    report, which = taken(WRAPPED[wrapped](), tmp_path)
    assert which == "weights"
    assert not report.others


BOTH = {
    "model and ema": (lambda: {"model": weights(), "ema": mean()}, "model", "ema"),
    "ema first": (lambda: {"model_ema": mean(), "model": weights()}, "model", "model_ema"),
    "timm": (
        lambda: {"arch": "x", "state_dict": weights(), "state_dict_ema": mean(), "optimizer": optimiser()},
        "state_dict",
        "state_dict_ema",
    ),
    "mmengine": (
        lambda: {"meta": {"iter": 3}, "state_dict": weights(),
                 "ema_state_dict": {**under("module.", mean()), "steps": torch.tensor(3)}},
        "state_dict",
        "ema_state_dict.module",
    ),
    "mmcv": (
        lambda: {"state_dict": {**weights(), **copies()}},
        "state_dict",
        "state_dict.ema_*",
    ),
    "BasicSR": (lambda: {"params": weights(), "params_ema": mean()}, "params", "params_ema"),
    "Lightning": (
        lambda: {"state_dict": {**under("model."), **under("ema_model.", mean())}},
        "state_dict.model",
        "state_dict.ema_model",
    ),
    "student and teacher": (
        lambda: {"student": under("module."), "teacher": under("module.", mean())},
        "student.module",
        "teacher.module",
    ),
    "two of a list": (lambda: [weights(), mean()], "0", "1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOTH)
def test_of_weights_and_their_mean_one_is_taken_and_the_other_named(case, tmp_path, capsys):
    content, first, second = BOTH[case]
    report, which = taken(content(), tmp_path)
    assert (which, report.taken) == ("weights", first)
    assert second in report.others
    report.show()
    said = " ".join(capsys.readouterr().err.split())
    assert f"taken: {first}; the file has other weights that fit, choose them with --take {second}" in said
    assert read_header(tmp_path / "net.safetensors")["taken"] == first
    assert taken(content(), tmp_path, take=second)[1] == "mean"
    if case != "two of a list":
        report, which = taken(content(), tmp_path, mean=True)
        assert (which, report.taken) == ("mean", second)
        assert read_header(tmp_path / "net.safetensors")["mean"]


def test_the_command_line_takes_what_it_is_told(tmp_path, capsys):
    path, config = tmp_path / "net.pth", tmp_path / "config.json"
    torch.save({"model": weights(), "ema": mean()}, path)
    config.write_text(json.dumps(tiny(NAME)))
    out = tmp_path / "out.safetensors"
    command = ["convert", str(path), "--network", NAME, "--config", str(config), "--out", str(out)]
    assert run_cli(main, [*command, "--take", "ema"]) == 0
    bias = "decode_head.conv_seg.bias"
    assert torch.equal(load_file(out)[bias], mean()[bias])
    capsys.readouterr()
    assert run_cli(main, [*command, "--take", "swa"]) == 2
    said = capsys.readouterr().err
    assert "the file has no weights under 'swa'" in said
    assert "use one of: model, ema" in said


def test_instances_of_training_libraries_beside_the_weights_stay_closed(tmp_path):
    # mmengine's message_hub holds instances of HistoryBuffer, Lightning's hyper_parameters of AttributeDict.
    library = types.ModuleType("mmengine.logging.history_buffer")
    library.HistoryBuffer = type("HistoryBuffer", (), {"__module__": library.__name__})
    buffer = library.HistoryBuffer()
    buffer.history = np.arange(5.0)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("mmengine", "mmengine.logging"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setitem(sys.modules, library.__name__, library)
        torch.save({"state_dict": weights(), "message_hub": {"log": {"loss": buffer}}}, tmp_path / "hub.pth")
    assert "mmengine" not in sys.modules
    assert convert(tmp_path / "hub.pth", tiny(NAME), tmp_path / "out.safetensors").share == 1
    assert "mmengine" not in sys.modules


def test_a_backbone_s_own_prefix_is_kept(tmp_path):
    path = tmp_path / "backbone.pth"
    encoder = {name: value for name, value in weights().items() if name.startswith("backbone.")}
    torch.save({"state_dict": encoder}, path)
    report = convert(path, tiny(NAME), tmp_path / "out.safetensors", among=[])
    assert (report.kind, report.taken, report.share) == ("mit", "state_dict", 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("wrapper", ["model", None])
def test_weights_that_are_no_finite_numbers_are_refused_by_name_and_count(tmp_path, value, wrapper):
    state = {name: tensor.clone() for name, tensor in weights().items()}
    state["decode_head.conv_seg.weight"].view(-1)[:7] = value
    state["backbone.layers.0.0.norm.bias"][2] = value
    path, out = tmp_path / "nan.pth", tmp_path / "out.safetensors"
    torch.save({wrapper: state} if wrapper else state, path)
    with pytest.raises(KitError, match=r"2 of \d+ tensors have values that are not finite numbers") as error:
        convert(path, tiny(NAME), out)
    total = state["decode_head.conv_seg.weight"].numel()
    assert f"decode_head.conv_seg.weight (7 of {total})" in str(error.value)
    assert "backbone.layers.0.0.norm.bias (1 of" in str(error.value)
    assert str(path) in str(error.value)
    assert not out.exists()


def test_numbers_too_large_for_the_network_s_type_are_refused(tmp_path):
    state = {
        name: value.double() if value.is_floating_point() else value for name, value in weights().items()
    }
    state["decode_head.conv_seg.bias"][:1] = 1e300
    torch.save(state, tmp_path / "double.pth")
    with pytest.raises(KitError, match=r"decode_head\.conv_seg\.bias \(1 of"):
        convert(tmp_path / "double.pth", tiny(NAME), tmp_path / "out.safetensors")


def test_nan_where_nothing_is_loaded_from_does_no_harm(tmp_path):
    broken = {name: torch.full_like(value, 9) for name, value in weights().items()}
    broken = {
        name: value * float("nan") if value.is_floating_point() else value for name, value in broken.items()
    }
    assert taken(
        {"model": weights(), "optimizer": {"moments": broken}, "loss": torch.tensor(float("nan"))}, tmp_path
    )


def test_weights_of_eight_bits_without_their_scale_are_not_taken_for_numbers(tmp_path):
    state = {name: torch.ones(value.shape, dtype=torch.int8) for name, value in weights().items()}
    torch.save(state, tmp_path / "int8.pth")
    with pytest.raises(
        KitError, match=r"fills 0\.0% .* of another shape \(.*torch\.int8 instead of torch\.float32"
    ):
        convert(tmp_path / "int8.pth", tiny(NAME), tmp_path / "out.safetensors", among=[])


def test_safetensors_and_npz_are_searched_alike(tmp_path):
    compiled = {name: value.contiguous() for name, value in under("module._orig_mod.").items()}
    save_file(compiled, tmp_path / "net.safetensors")
    np.savez(tmp_path / "net.npz", **{name: value.numpy() for name, value in compiled.items()})
    for name in ("net.safetensors", "net.npz"):
        assert convert(tmp_path / name, tiny(NAME), tmp_path / "out.safetensors", among=[]).share == 1


@pytest.mark.parametrize(
    ("prefix", "labels"), [("module", [state_dicts.WHOLE, "module"]), ("net", [state_dicts.WHOLE])]
)
def test_without_a_network_only_the_prefix_of_a_wrapper_is_taken_off(prefix, labels):
    tensor = StoredTensor((2,), torch.float32, lambda: torch.zeros(2), ("a.pth", 0))
    found = state_dicts.find({f"{prefix}.weight": tensor, f"{prefix}.bias": tensor})
    assert [candidate.label for candidate in found] == labels
