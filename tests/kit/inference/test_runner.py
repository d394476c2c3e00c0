import numpy as np
import pytest
import tifffile
import torch

from kit import models
from kit.artefacts import sha256_file
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference import runner, views
from kit.inference.instance_settings import InstanceFusion, InstanceSettings
from kit.inference.semantic_blocks import ConfidentBlocks
from kit.inference.semantic_settings import SemanticFusion, SemanticSettings
from kit.masks import coco
from kit.predictions import Instances, SemanticMask
from kit.typed_json import to_plain

CPU = torch.device("cpu")
SIZE = (75, 90)
NETWORKS = {
    "semantic": {
        "network": "unet-regnety16",
        "encoder": "tu-regnety_002",
        "encoder_depth": 3,
        "decoder_channels": [16, 8, 8],
    },
    "instance": {
        "network": "detectors-r50",
        "base_channels": 8,
        "neck_channels": 16,
        "fc_channels": 32,
        "mask_convs": 1,
        "mask_channels": 16,
        "norm": "group",
    },
}
INFERENCE = {
    "semantic": to_plain(SemanticSettings(core=32, context=8, scale=1.0, batch_size=4)),
    "instance": to_plain(InstanceSettings(size=128, max_per_image=20)),
}
FUSION = {"semantic": to_plain(SemanticFusion()), "instance": to_plain(InstanceFusion())}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "s.tiff"
    image_HWC = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    tifffile.imwrite(path, image_HWC, photometric="rgb", compression="deflate")
    return path


def make_member(folder, kind, seed=0, fill=None):
    torch.manual_seed(seed)
    module = models.build(NETWORKS[kind])
    if fill is not None:
        for parameter in module.parameters():
            signs = torch.arange(parameter.numel()).reshape(parameter.shape) % 2 * 2 - 1
            parameter.data = signs * fill
    path = folder / f"{kind}{seed}.safetensors"
    models.save_weights(module, path)
    return path, Member(
        name=f"{kind}{seed}",
        weights=path.name,
        sha256=sha256_file(path),
        size=path.stat().st_size,
        network=NETWORKS[kind],
        inference=INFERENCE[kind],
        requires=[],
    )


@pytest.mark.parametrize(("kind", "prediction"), [("semantic", SemanticMask), ("instance", Instances)])
def test_a_member_goes_from_weights_to_a_prediction(tmp_path, slide, kind, prediction):
    weights, member = make_member(tmp_path, kind)
    runner.configure(CPU)
    module = runner.open_member(member, weights, CPU)
    progress, results = [], []
    for view in ("identity", "hflip@0.8"):  # 38 pixels, which the network has to pad
        file = runner.run_pass(
            module,
            member,
            view,
            "s",
            slide,
            tmp_path / "out",
            device=CPU,
            on_batch=lambda *at: progress.append(at),
        )
        results.append(runner.PassResult(file=file, weight=1.0, member=member))
    found = runner.fuse(results, FUSION[kind], SIZE, kind=kind, image_id="s").prediction
    assert isinstance(found, prediction)
    assert (found.height, found.width) == SIZE
    if kind == "semantic":
        assert progress == [(4, 9), (8, 9), (9, 9)] * 2
        assert 0 < found.runs[:, 1].sum() < SIZE[0] * SIZE[1]
    else:
        assert progress == [(1, 1)] * 2
        assert 0 < len(found.scores) <= 40
        assert all(coco.decode(counts, *SIZE).any() for counts in found.masks)


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_a_finished_pass_is_not_run_again_and_gives_the_same_bytes_when_it_is(tmp_path, slide, kind):
    weights, member = make_member(tmp_path, kind)
    runner.configure(CPU)
    module = runner.open_member(member, weights, CPU)
    path = runner.run_pass(module, member, "rot90", "s", slide, tmp_path / "out", device=CPU)
    assert path == runner.result_file(tmp_path / "out", member, "rot90", "s")
    made, content = path.stat().st_mtime_ns, path.read_bytes()
    runner.run_pass(module, member, "rot90", "s", tmp_path / "not there", tmp_path / "out", device=CPU)
    assert path.stat().st_mtime_ns == made
    path.unlink()
    runner.run_pass(module, member, "rot90", "s", slide, tmp_path / "out", device=CPU)
    if kind == "semantic":
        assert path.read_bytes() == content
    else:
        with np.load(path) as again, np.load(path.parent / path.name) as first:
            assert all(np.array_equal(first[name], again[name]) for name in first.files)


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_a_pass_skips_the_windows_of_confident_blocks_that_it_can_read(tmp_path, slide, kind):
    weights, member = make_member(tmp_path, kind)
    runner.configure(CPU)
    module, told = runner.open_member(member, weights, CPU), []

    def result(name, confident):
        file = runner.run_pass(
            module,
            member,
            "hflip",
            "s",
            slide,
            tmp_path / name,
            device=CPU,
            confident=confident,
            on_left=told.append,
        )
        return file.read_bytes()

    whole = result("whole", None)
    if kind == "semantic":
        assert result("missing", tmp_path / "nothing") == whole
        assert told == []
        ConfidentBlocks(np.full((1, 1), 0.5, np.float32)).save(tmp_path / "blocks")
        found = np.frombuffer(result("skipped", tmp_path / "blocks")[-2 * SIZE[0] * SIZE[1] :], "<u2")
        assert (found == 32768).all()
        assert told == [0.0]
    else:
        (tmp_path / "blocks").write_bytes(b"nothing that detections have")
        assert len(result("skipped", tmp_path / "blocks")) == len(whole)
        assert told == []


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_weights_that_are_not_numbers_are_refused_by_name(tmp_path, kind):
    weights, member = make_member(tmp_path, kind, fill=float("nan"))
    with pytest.raises(
        KitError, match=f"member {member.name}: .* holds values that are not numbers"
    ) as caught:
        runner.open_member(member, weights, CPU)
    assert str(weights) in str(caught.value)


def test_probabilities_that_overflow_name_member_view_and_image(tmp_path, slide):
    weights, member = make_member(tmp_path, "semantic", fill=1e38)
    module = runner.open_member(member, weights, CPU)
    with pytest.raises(KitError, match="probabilities that are not numbers") as caught:
        runner.run_pass(module, member, "vflip", "s", slide, tmp_path / "out", device=CPU)
    assert f"member {member.name}, view vflip, image s" in str(caught.value)


def test_other_weights_never_reuse_a_file(tmp_path, slide):
    found = []
    for seed in (0, 1):
        weights, member = make_member(tmp_path, "semantic", seed)
        module = runner.open_member(member, weights, CPU)
        found.append(runner.run_pass(module, member, "identity", "s", slide, tmp_path / "out", device=CPU))
    assert not np.array_equal(np.load(found[0]), np.load(found[1]))


def test_an_unknown_view_is_told_before_the_network_runs(tmp_path, slide):
    weights, member = make_member(tmp_path, "semantic")
    module = runner.open_member(member, weights, CPU)
    assert "tilt" not in views.names()
    with pytest.raises(KitError, match="unknown view 'tilt'"):
        runner.run_pass(module, member, "tilt", "s", slide, tmp_path / "out", device=CPU)
