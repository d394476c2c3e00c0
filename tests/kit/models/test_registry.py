import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit import models
from kit.errors import KitError
from kit.models import build, check, families, family, names, spec, tiny
from kit.models.__main__ import main

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_every_name_has_a_declaration():
    assert names() == sorted(names())
    assert all(spec(name).name == name for name in names())


def test_the_package_gives_the_names_it_lists_and_no_submodule_hides_one():
    script = (
        "import pkgutil, sys\n"
        "from kit import models\n"
        "assert 'torch' not in sys.modules\n"
        "submodules = {item.name for item in pkgutil.iter_modules(models.__path__)}\n"
        "assert not submodules & set(models.__all__), submodules & set(models.__all__)\n"
        "assert {getattr(models, name).__name__ for name in models.__all__} <= {*models.__all__, 'Tensor'}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        models.nothing  # noqa: B018


def test_the_networks_of_four_published_solutions_are_there():
    systems = {spec(name).system for name in names()}
    assert systems >= {"body-1st", "body-b2", "kidney-2nd", "vasculature-3rd"}


@pytest.mark.parametrize("config", [{"network": "unet-of-mars"}, {}])
def test_an_unknown_network_is_told_with_the_known_ones(config):
    with pytest.raises(KitError, match="no network is called") as caught:
        build(config)
    assert caught.value.fix == f"choose one of {', '.join(names())}"


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(KitError, match="cannot import segmentation_models_pytorch") as caught:
        build({"network": "unet-regnety16"})
    assert caught.value.fix == "install segmentation-models-pytorch and timm"


@pytest.mark.parametrize(
    ("config", "problem", "fix"),
    [
        ({"network": "unet-of-mars"}, "no network is called 'unet-of-mars'", "choose one of"),
        ({"network": "unet-regnety16", "encodr": "x"}, "unknown key encodr", "did you mean 'encoder'"),
        ({"network": "segformer-b0", "embed_dims": 0}, "embed_dims is 0", "correct it"),
        ({"network": "segformer-b0", "sync_bn": "no"}, "sync_bn is 'no'", "true or false"),
        ({"network": "detectors-r50", "norm": "layer"}, "norm is 'layer'", "'frozen', 'batch', 'group'"),
        ({"network": "detectors-r50", "neck_channels": 32}, "mask heads of 256 channels", "the same value"),
        ({"network": "vit-adapter-l", "depth": 6}, "6 blocks cannot be divided evenly", "a multiple of"),
    ],
)
def test_a_config_is_checked_without_the_networks_libraries(config, problem, fix, monkeypatch):
    for library in ("segmentation_models_pytorch", "mmcv", "mmdet", "mmseg", "cbnetv2", "vit_adapter"):
        monkeypatch.setitem(sys.modules, library, None)
    for name in names():
        check(tiny(name))
        check({"network": name, "sync_bn": True})
    with pytest.raises(KitError, match=problem) as caught:
        check(config)
    assert fix in (caught.value.fix or "")


def test_a_network_stands_in_a_file_of_the_folder_that_the_registry_looks_into():
    assert family("unetplusplus-regnety16-scse") == "kit.models.families.unet"
    assert family("vit-adapter-l-3x") == "kit.models.families.vit_adapter"
    files = {path.stem for path in Path(families.__path__[0]).glob("*.py")} - {"__init__"}
    assert {family(name) for name in names()} == {f"kit.models.families.{stem}" for stem in files}


def test_importing_the_registry_needs_none_of_the_networks_libraries():
    code = (
        "import sys, kit.models; print(sorted({'mmcv', 'mmdet', 'timm', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_table_for_people_names_every_network(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in names())


def test_the_page_of_networks_names_every_one_and_no_other():
    section = PAGE.read_text().split("## By name")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")][1:]
    rows = [re.findall(r"`([a-z0-9-]+)`", line.split("|")[3]) for line in table]
    named = {name for row in rows for name in row if name != "-scse"}
    named |= {f"{name}-scse" for row in rows if "-scse" in row for name in row if name != "-scse"}
    assert named == set(names())
