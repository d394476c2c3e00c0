"""A bundle with compiled operators of mmcv beside the portable ones."""

import dataclasses
import json
import shutil

import pytest

from bundle import build, mmcv_wheel
from bundle.native.compile_program import RESULT
from bundle.native.order import order_of
from bundle.native.variant import variant_of
from bundle.roots import Root
from kit.artefacts import sha256_bytes
from kit.errors import KitError
from kit.local import targets

NAMES = ("kaggle-cp311-torch2.8", "kaggle-2026-10", "kaggle-2026-10-cpu")


@pytest.fixture
def options(index, make_ensemble, mmcv_sdist, tmp_path, monkeypatch):
    for name in ("addict", "pillow", "pyyaml", "packaging"):
        index.add(name)
    index.add("yapf", "0.40.1")
    (tmp_path / "cache").mkdir()
    shutil.copy(mmcv_sdist, tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))  # neither compiler nor docker
    return build.Options(
        ensembles=[make_ensemble(requires=("mmcv-full",))],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=NAMES,
        native_mmcv=True,
        roots=(Root("mmcv-full", exact=True, why="test"),),
    )


@pytest.fixture
def keep(options):
    """Put a library for a target where `bundle native` keeps what it compiled."""
    release = mmcv_wheel.release(cache=options.cache)

    def write(name):
        (target,) = targets.choose([name], targets.known())
        order = order_of(variant_of(target), release)
        folder = options.cache / "native" / order.identity[:32]
        folder.mkdir(parents=True)
        data = f"compiled for {name}".encode()
        (folder / f"{order.variant.module}.so").write_bytes(data)
        (folder / RESULT).write_text(json.dumps({"order": order.identity, "sha256": sha256_bytes(data)}))

    return write


def test_they_are_shipped_for_the_pythons_that_have_them_beside_the_portable_wheel(options, keep, capfd):
    keep("kaggle-2026-10")
    keep("kaggle-2026-10-cpu")
    (folder, written), _ = build.build(options)
    mmcv = {
        entry.file: entry
        for entry in written.manifest.files
        if entry.wheel and entry.wheel.name == "mmcv-full"
    }
    native = "wheels-cp313.zip/mmcv_full-1.7.2-1native-cp313-cp313-linux_x86_64.whl"
    portable = "wheels-common.zip/mmcv_full-1.7.2-1portable-py3-none-any.whl"
    assert set(mmcv) == {native, portable}
    assert set(mmcv[portable].wheel.requires) == {"cp311", "cp313"}
    assert mmcv[native].wheel.requires == {"cp313": mmcv[portable].wheel.requires["cp313"]}
    assert mmcv[native].wheel.accepts == "==1.7.2"
    lock = (folder / "pylock.toml").read_text()
    assert lock.count('name = "mmcv-full"') == 1
    assert "1native" in lock
    said = " ".join(capfd.readouterr().err.split())
    assert "kept" in said


def test_the_same_libraries_give_the_same_bundle(options, keep, read_tree, tmp_path):
    keep("kaggle-2026-10")
    build.build(options)
    again = dataclasses.replace(options, out=tmp_path / "again")
    build.build(again)
    assert read_tree(options.out) == read_tree(again.out)


def test_where_no_image_can_be_served_the_ways_and_their_reasons_are_told(options):
    with pytest.raises(KitError, match="mmcv's operators are compiled for none of the images") as refused:
        build.build(dataclasses.replace(options, targets=("kaggle-2026-09",)))
    assert "docker: there is no docker" in refused.value.problem
    assert "`python -m bundle native --way kernel`" in refused.value.fix
    assert not options.out.exists()
