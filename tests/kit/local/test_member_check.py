"""Members that would end a run on Kaggle end `bundle build` and `submission render` on this machine."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bundle import __main__ as bundle_cli
from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from kit.local import forward_check, member_check
from kit.local.member_check import WeightsFile, check_member
from kit.local.program import run_cli
from kit.manifest import Entry, Manifest
from kit.models import build, save_weights, tiny
from submission import __main__ as submission_cli

NETWORK = tiny("segformer-b0")
WINDOWS = {"core": 96, "context": 16, "scale": 0.5, "batch_size": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights of three small networks that differ by their seed."""
    folder = tmp_path_factory.mktemp("trained")
    for seed in range(3):
        torch.manual_seed(seed)
        save_weights(build(NETWORK), folder / f"{seed}.safetensors", half=True)
    torch.manual_seed(9)
    save_weights(build({**NETWORK, "embed_dims": 8}), folder / "wider.safetensors")
    save_weights(build(tiny("unet-regnety16")), folder / "unet.safetensors")
    return folder


class Plan:
    """An ensemble of two members with its weights and its bundle; tests damage it before they save it."""

    def __init__(self, folder: Path, trained: Path) -> None:
        self.folder = folder
        (folder / "weights").mkdir()
        self.members = [self.member(number, trained / f"{number}.safetensors") for number in (0, 1)]
        self.passes = [
            {"member": number, "view": "identity", "seconds_per_megapixel": 0.1} for number in (0, 1)
        ]
        self.rungs = [{"passes": [0, 1], "weights": [1.0, 1.0], "settings": {"threshold": 0.5}, "cv": 0.5}]
        self.more = {"competition": "kidney", "kind": "semantic"}

    def member(self, number, source, **changes):
        path = self.folder / "weights" / f"m{number}.safetensors"
        shutil.copy(source, path)
        return {
            "name": f"net.fold{number}",
            "weights": path.name,
            "network": NETWORK,
            "inference": WINDOWS,
            "requires": [],
            "sha256": sha256_file(path),
            "size": path.stat().st_size,
            **changes,
        }

    def save(self):
        value = {
            "schema": ensembles.SCHEMA,
            **self.more,
            "members": self.members,
            "passes": self.passes,
            "rungs": self.rungs,
        }
        (self.folder / "ensemble.json").write_text(json.dumps(value))
        dataset = self.folder / "bundle" / "hubmap-kit-kidney-weights"
        dataset.mkdir(parents=True, exist_ok=True)
        for member in self.members:
            shutil.copy(self.folder / "weights" / member["weights"], dataset)
        entries = [
            Entry(file=member["weights"], size=member["size"], sha256=member["sha256"], role="weights")
            for member in self.members
        ]
        manifests.save(dataset, Manifest(dataset=dataset.name, files=entries, targets=["cp313"]))
        return dataset

    def commands(self):
        plan, out = str(self.folder / "ensemble.json"), self.folder / "out"
        yield bundle_cli.main, ["build", "--ensemble", plan, "--out", str(out), "--cache", str(out / "cache")]
        bundle = str(self.folder / "bundle")
        yield (
            submission_cli.main,
            ["render", "--ensemble", plan, "--bundle", bundle, "--out", str(out / "predict.py")],
        )

    def refused(self, capsys):
        """Save, run both command lines, and return what each says."""
        self.save()
        said = []
        for main, command in self.commands():
            assert run_cli(main, command) == 2, command
            said.append(capsys.readouterr().err)
        assert not (self.folder / "out" / "predict.py").exists()
        assert not list(self.folder.glob("out/*/manifest.json"))
        assert not any("Traceback" in text for text in said)
        return said


@pytest.fixture
def plan(tmp_path, trained):
    return Plan(tmp_path, trained)


def test_a_good_ensemble_is_rendered(plan, capsys):
    plan.save()
    assert run_cli(*list(plan.commands())[1]) == 0
    assert (plan.folder / "out" / "predict.py").is_file()
    assert "not checked" not in capsys.readouterr().err


def test_a_network_that_the_kit_has_not_is_refused(plan, capsys):
    plan.members[1]["network"] = {"network": "segformer-b9"}
    for said in plan.refused(capsys):
        assert "no network is called 'segformer-b9'" in said
        assert "member net.fold1" in said


def test_weights_of_another_size_name_member_tensor_and_both_shapes(plan, trained, capsys):
    plan.members[1] = plan.member(1, trained / "wider.safetensors")
    for said in plan.refused(capsys):
        assert "the weights of net.fold1 do not belong to its segformer-b0" in said
        assert "of another shape (backbone.layers.0.0.projection.weight (8, 3, 7, 7) instead of (" in said
        assert "m1.safetensors" in said


def test_weights_of_another_network_name_what_is_missing_and_unknown(plan, trained, capsys):
    plan.members[0] = plan.member(0, trained / "unet.safetensors")
    for said in plan.refused(capsys):
        assert "missing (backbone.layers.0.0.projection.weight" in said
        assert "unknown (" in said


def test_a_config_of_other_channels_or_classes_is_refused(plan, capsys):
    plan.members[0]["network"] = {**NETWORK, "channels": 24}
    for said in plan.refused(capsys):
        assert "net.fold0" in said
        assert "instead of" in said


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_that_are_no_numbers_are_refused(plan, tmp_path, capsys, value, dtype):
    state = load_file(plan.folder / "weights" / "m1.safetensors")
    state = {name: item.to(dtype) if item.is_floating_point() else item for name, item in state.items()}
    state["decode_head.conv_seg.weight"].view(-1)[:3] = value
    save_file(state, tmp_path / "nan.safetensors")
    plan.members[1] = plan.member(1, tmp_path / "nan.safetensors")
    for said in plan.refused(capsys):
        assert "the weights of net.fold1 have values that are not finite numbers" in said
        assert "decode_head.conv_seg.weight (3)" in said


def test_whole_numbers_where_weights_belong_are_refused(plan, tmp_path, capsys):
    state = load_file(plan.folder / "weights" / "m1.safetensors")
    state["decode_head.conv_seg.weight"] = state["decode_head.conv_seg.weight"].to(torch.int8)
    save_file(state, tmp_path / "int8.safetensors")
    plan.members[1] = plan.member(1, tmp_path / "int8.safetensors")
    for said in plan.refused(capsys):
        assert "of another type (decode_head.conv_seg.weight I8 instead of float32)" in said


WRONG = {
    "an instance network in a semantic ensemble": (
        lambda plan: plan.members[1].update(network=tiny("detectors-r50"), inference={"size": 512}),
        "its network predicts instances, and the ensemble's kind is 'semantic'",
    ),
    "an unknown inference key": (
        lambda plan: plan.members[1].update(inference={**WINDOWS, "windows": 3}),
        "unknown key windows",
    ),
    "an unknown network key": (
        lambda plan: plan.members[1].update(network={**NETWORK, "depht": 3}),
        "unknown key depht",
    ),
    "an unknown view": (lambda plan: plan.passes[1].update(view="sideways"), "unknown view 'sideways'"),
    "a threshold beyond one": (
        lambda plan: plan.rungs[0].update(settings={"threshold": 1.5}),
        "threshold is 1.5",
    ),
    "a rung without its passes": (
        lambda plan: plan.rungs[0].update(passes=[0, 1, 2], weights=[1.0] * 3),
        "the last rung needs all passes, not [0, 1, 2]",
    ),
    "a rung that leaves passes out": (
        lambda plan: plan.rungs[0].update(passes=[0], weights=[1.0]),
        "the last rung needs all passes, not [0]",
    ),
    "a pass of no member": (
        lambda plan: plan.passes[1].update(member=7),
        "names a member that does not exist",
    ),
    "a pass twice": (
        lambda plan: plan.passes[1].update(member=0),
        "the pass of net.fold0 under identity is listed twice",
    ),
    "a member without a pass": (
        lambda plan: plan.passes[1].update(member=0, view="hflip"),
        "no pass uses net.fold1",
    ),
    "a cost of a year": (
        lambda plan: plan.passes[0].update(seconds_per_megapixel=3e7),
        "a pass of net.fold0 costs 3e+07 seconds per megapixel",
    ),
    "a negative cost": (lambda plan: plan.passes[0].update(seconds_per_megapixel=-1), "at least 0"),
    "a cost that is no number": (
        lambda plan: plan.passes[0].update(seconds_per_megapixel=float("nan")),
        "not a finite number",
    ),
    "a negative weight": (lambda plan: plan.rungs[0].update(weights=[1.0, -1.0]), "above 0"),
    "a weight that is no number": (
        lambda plan: plan.rungs[0].update(weights=[1.0, float("nan")]),
        "not a finite number",
    ),
    "a weight beyond the others": (
        lambda plan: plan.rungs[0].update(weights=[1.0, 1e12]),
        "its weights go from 1 to 1e+12",
    ),
    "too few weights": (lambda plan: plan.rungs[0].update(weights=[1.0]), "one weight for every pass"),
    "a reserve of a week": (lambda plan: plan.more.update(reserve_seconds=6e5), "reserve_seconds is 600000"),
    "a batch beyond any memory": (
        lambda plan: plan.members[0].update(inference={**WINDOWS, "batch_size": 1_000_000}),
        "net.fold0 asks for batches of 1000000 inputs of 64 x 64 pixels",
    ),
    "an input beyond any memory": (
        lambda plan: plan.members[0].update(inference={**WINDOWS, "scale": 900.0}),
        "a network input has 115200 pixels per side",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_no_run_could_use_is_refused_by_both_commands(plan, capsys, wrong):
    change, message = WRONG[wrong]
    change(plan)
    for said in plan.refused(capsys):
        assert message in said
        assert "ensemble.json" in said or "weights" in said


def test_a_file_of_another_size_than_the_ensemble_says_is_refused(plan, capsys):
    dataset = plan.save()
    with (dataset / "m1.safetensors").open("ab") as stream:
        stream.write(b"more")
    assert run_cli(*list(plan.commands())[1]) == 2
    assert "the weights of net.fold1 have" in capsys.readouterr().err


def test_weights_in_an_archive_of_the_dataset_are_checked_there(plan, trained, capsys):
    plan.members[1] = plan.member(1, trained / "wider.safetensors")
    dataset = plan.save()
    with zipfile.ZipFile(dataset / "weights-01.zip", "w") as archive:
        archive.write(dataset / "m1.safetensors", "m1.safetensors")
    (dataset / "m1.safetensors").unlink()
    listed = manifests.load(dataset / "manifest.json")
    for entry in listed.files:
        if entry.file == "m1.safetensors":
            object.__setattr__(entry, "file", "weights-01.zip/m1.safetensors")
    manifests.save(dataset, listed)
    assert run_cli(*list(plan.commands())[1]) == 2
    assert "instead of" in capsys.readouterr().err


def test_weights_that_are_not_here_any_more_are_told_as_not_checked(plan, capsys):
    dataset = plan.save()
    (dataset / "m1.safetensors").unlink()
    assert run_cli(*list(plan.commands())[1]) == 0
    assert "not checked" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["detectors-r50", "vit-adapter-l", "cbnetv2-swin-b"])
def test_detectors_are_checked_with_their_own_settings(name, tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(build(tiny(name)), path)
    member = Member(
        name="d", weights=path.name, sha256=sha256_file(path), size=path.stat().st_size,
        network=tiny(name), inference={"size": 256}, requires=[],
    )  # fmt: skip
    check_member(member, WeightsFile(path), views_of_passes=["identity", "hflip@0.5+vflip"])
    state = load_file(path)
    first = next(name for name, value in state.items() if value.ndim == 4)
    state[first] = state[first][:1].clone()
    save_file(state, path)
    changed = Member(**{**vars(member), "size": path.stat().st_size})
    with pytest.raises(KitError, match=rf"the weights of d do not belong to its {name}") as error:
        check_member(changed, WeightsFile(path))
    assert first in str(error.value)


def test_sixteen_members_of_one_network_are_built_once(plan, monkeypatch):
    built = []
    for module in (member_check, forward_check):
        monkeypatch.setattr(module, "build", lambda config: built.append(config) or build(config))
    member_check._expected.cache_clear()
    forward_check.forward.cache_clear()
    members = [Member(**{**plan.members[0], "name": f"n{n}", "sha256": f"{n}"}) for n in range(16)]
    passes = [Pass(member=n, view="identity", seconds_per_megapixel=0.1) for n in range(16)]
    rung = Rung(passes=list(range(16)), weights=[1.0] * 16, settings={"threshold": 0.5}, cv=0.5)
    whole = Ensemble(competition="kidney", kind="semantic", members=members, passes=passes, rungs=[rung])
    ensembles.save(plan.folder / "ensemble.json", whole)
    seen = []
    member_check.check_members(
        whole,
        {item.name: WeightsFile(plan.folder / "weights" / item.weights) for item in members},
        where=plan.folder / "ensemble.json",
        on_checked=lambda member: seen.append(member.name),
    )
    assert len(built) == 2, "once for its names, once for its forward pass"
    assert seen == [f"n{n}" for n in range(16)]
