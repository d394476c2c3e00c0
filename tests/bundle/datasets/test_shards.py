"""Files of weights in shards: no tensor is lost, no shard is too large, equal sources give equal bytes."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from bundle import build
from bundle.roots import Root
from bundle.shards import bytes_of, shards
from bundle.weights_form import WeightsForm
from kit import ensemble
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.models import build as build_network
from kit.models import load_weights, tiny
from submission.member_files import as_shipped, find_weights
from submission.render import relevant_manifests


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(0)
    tensors = {f"layer{number}.weight": torch.randn(50 + number) for number in range(40)}
    save_file({**tensors, "count": torch.tensor(3)}, tmp_path / "a.safetensors", metadata={"fold": "1"})
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("limit", [900, 2000, 5000])
def test_all_tensors_are_in_shards_that_keep_the_limit(source, tmp_path, limit):
    made = shards(source, sha256_file(source), limit, tmp_path / "cache")
    assert len(made) > 1
    assert max(path.stat().st_size for path in made) <= limit
    joined = [load_file(path) for path in made]
    assert sum(map(len, joined)) == 41
    expected = load_file(source)
    assert all(torch.equal(value, expected[name]) for part in joined for name, value in part.items())
    again = shards(source, sha256_file(source), limit, tmp_path / "other")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in made]
    # A damaged shard of a former run is made again.
    made[0].write_bytes(b"")
    shards(source, sha256_file(source), limit, tmp_path / "cache")
    assert made[0].read_bytes() == again[0].read_bytes()


def test_a_file_below_the_limit_stays_and_a_tensor_above_it_is_named(source, tmp_path):
    assert shards(source, "0", 10**6, tmp_path) == [source]
    with pytest.raises(KitError, match=r"tensor layer\d+\.weight alone has \d+ bytes") as caught:
        shards(source, "0", 500, tmp_path / "cache")
    assert "--shard-size" in caught.value.fix


def test_sizes_are_numbers_with_a_unit():
    assert [bytes_of(text) for text in ("2GB", "500 MB", "1.5kB")] == [2 * 10**9, 5 * 10**8, 1500]
    for text in ("2", "2GiB", "0GB", "-1GB", "GB", "9" * 400 + "GB"):
        with pytest.raises(KitError, match="is no size"):
            bytes_of(text)


def test_a_bundle_of_shards_is_found_again_and_loads_into_the_network(
    index, make_ensemble, tmp_path, network_state
):
    index.add("tool")
    source = make_ensemble()
    size = (source.parent / "weights" / "a.safetensors").stat().st_size
    largest = max(value.nbytes for value in network_state.values())
    options = build.Options(
        ensembles=(source,),
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=("cp313",),
        roots=(Root("tool", exact=True, why="test"),),
        weights=WeightsForm(shard_size=max(size // 3, largest + 2000), weights_cache=tmp_path / "weights"),
    )
    _, (folder, written) = build.build(options)
    plan = ensemble.load(source)
    entries = [entry for entry in written.manifest.files if entry.role == "weights"]
    assert len(entries) > 1
    assert {entry.part_of for entry in entries} == {plan.members[0].sha256}
    assert [entry.file for entry in entries][:2] == ["a.part01.safetensors", "a.part02.safetensors"]
    [run] = [entry.run["shard"] for entry in entries if entry.file == "a.part02.safetensors"]
    assert run == {"part": 2, "parts": len(entries), "whole": size}
    module = build_network(tiny("segformer-b0"))
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, entry in enumerate(entries):
        (parts / str(number)).symlink_to(folder / entry.file)
    load_weights(module, parts)
    loaded = module.network.state_dict()
    assert all(torch.equal(loaded[name], torch.from_numpy(value)) for name, value in network_state.items())
    (parts / "1").unlink()
    with pytest.raises(KitError, match="missing"):
        load_weights(module, parts)
    # render's side: the shards of the member go into predict.py's manifest.
    shipped = as_shipped(plan, options.out)
    assert shipped.members == plan.members
    assert find_weights(shipped, options.out) == {}
    no_needs = dataclasses.replace(shipped, members=[dataclasses.replace(shipped.members[0], requires=[])])
    [_, carried] = sorted(relevant_manifests(no_needs, options.out), key=lambda item: len(item.files))
    assert {entry.sha256 for entry in carried.files if entry.role == "weights"} == {
        entry.sha256 for entry in entries
    }
