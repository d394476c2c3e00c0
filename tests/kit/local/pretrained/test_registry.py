"""The list of published checkpoints is true as far as it can be checked without a connection."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kit import models
from kit.errors import KitError
from kit.local.pretrained.checkpoint_formats import FORMATS
from kit.local.pretrained.registry import by_file, get, names
from kit.local.program import run_cli
from kit.models.__main__ import main
from submission.modules import collect

ENTRIES = [get(name) for name in names()]
FILES = [entry for entry in ENTRIES if entry.url]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_complete(entry):
    assert entry.licence
    assert entry.networks
    assert set(entry.networks) <= set(models.names())
    assert entry.kind in {item.name for item in FORMATS}
    assert entry.least is None or 0 < entry.least < 1
    assert json.loads(json.dumps(entry.as_dict()))["name"] == entry.name
    if entry.url:
        place = urlsplit(entry.url)
        assert place.scheme == "https" or entry.hash_prefix, "without https the hash has to check the file"
        assert not place.query
        assert re.search(r"\.pth(\.zip|\.tar)?$", entry.file)
        assert bool(entry.hash_prefix) == bool(re.search(r"-[0-9a-f]{8}\.pth$", entry.file))
        assert by_file(entry.file) is entry
        assert by_file(entry.file.removesuffix(".zip")) is entry
    if entry.signed:
        assert "--url" in entry.note


def test_every_network_has_somewhere_to_start():
    covered = {network for entry in ENTRIES for network in entry.networks}
    assert covered == set(models.names())


def test_names_and_files_are_their_own():
    assert len({entry.file for entry in FILES}) == len(FILES)
    assert len({entry.url for entry in FILES}) == len(FILES)
    assert by_file("holiday.pth") is None
    assert by_file("") is None
    with pytest.raises(KitError, match="no published checkpoint is called 'resnet51'") as error:
        get("resnet51")
    assert "kit.models pretrained" in str(error.value)


@pytest.mark.parametrize(("library", "host"), [("mmdet", "mmdetection"), ("mmseg", "mmsegmentation")])
def test_addresses_are_those_of_the_installed_model_zoos(library, host):
    library = pytest.importorskip(library)
    zoo = Path(library.__file__).parent / ".mim" / "configs"
    sources = [path for pattern in ("*/*.yml", "segformer/*.py") for path in zoo.glob(pattern)]
    known = "\n".join(path.read_text() for path in sources)
    ours = [entry for entry in FILES if f"/{host}/" in entry.url]
    assert len(ours) > 3
    for entry in ours:
        assert entry.url in known, f"{entry.url} is not in the model zoo of {host}"


def test_hash_prefixes_are_read_from_names():
    assert get("detectors_htc_r50_1x_coco").hash_prefix == "329b1453"
    assert get("segformer_mit-b5_8x1_1024x1024_160k_cityscapes").hash_prefix == "87a052ec"
    assert get("mit_b3").hash_prefix == "13b1141c"
    assert get("detectors_htc_x101_32x4d_40e_coco").hash_prefix == "ed983634"
    assert get("htc++_beitv2_adapter_large_fpn_o365_coco").hash_prefix == ""
    assert get("timm").hash_prefix == ""


def test_the_list_is_for_people_and_for_programs(capsys):
    assert run_cli(main, ["pretrained", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == names()
    assert {"file", "url", "sha256_prefix", "kind", "networks", "licence", "note", "signed"} <= set(rows[0])
    assert run_cli(main, ["pretrained"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n{name}\n" in f"\n{said}" for name in names())
    assert "signed link" in said


def test_fetching_an_unknown_name_is_told_with_2(capsys, tmp_path):
    assert run_cli(main, ["fetch", "nothing", "--out", str(tmp_path)]) == 2
    assert "no published checkpoint is called 'nothing'" in capsys.readouterr().err
    assert run_cli(main, ["fetch", "timm", "--out", str(tmp_path)]) == 2
    assert "timm has no file to fetch" in capsys.readouterr().err


def test_nothing_of_it_reaches_kaggle():
    modules = {module.name for module in collect(Path(__file__).parents[4], "submission.runtime.main")}
    assert "kit.models.registry" in modules
    assert not [name for name in modules if name.startswith("kit.local.pretrained")]
