from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local.offline.faults.weights import spoil
from tests.faults import tiny


@pytest.fixture
def mounted(tmp_path):
    """A bundle of three members, and its hard links below a mount."""
    made = tiny.make(tmp_path / "made")
    (tmp_path / "input").mkdir()
    for path in made.bundle.rglob("*.safetensors"):
        (tmp_path / "input" / path.name).hardlink_to(path)
    return tmp_path / "input", made


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ("constant", lambda value: not value.any()),
        ("not a number", lambda value: torch.isinf(value.float() * 2).all() and torch.isfinite(value).all()),
    ],
)
def test_floats_change_and_the_bundle_stays(mounted, change, holds):
    root, made = mounted
    member = made.ensemble.members[1]
    replaced = spoil(root, made.ensemble, change, 1)
    assert (replaced.member, replaced.before) == (member.name, member.sha256)
    assert replaced.after == sha256_file(root / member.weights)
    assert replaced.size == (root / member.weights).stat().st_size
    assert all(
        holds(value) for value in load_file(root / member.weights).values() if value.is_floating_point()
    )
    (source,) = made.bundle.rglob(member.weights)
    assert sha256_file(source) == member.sha256


def test_identical_weights_have_another_hash_as_a_file_that_was_saved_twice(mounted):
    root, made = mounted
    replaced = spoil(root, made.ensemble, "identical", 0)
    files = {member.name: load_file(root / member.weights) for member in made.ensemble.members}
    ours = files.pop(replaced.member)
    assert any(all(torch.equal(ours[name], other[name]) for name in ours) for other in files.values())
    assert replaced.after not in {member.sha256 for member in made.ensemble.members}


def test_each_fault_takes_another_member(mounted):
    root, made = mounted
    spoilt = set()
    for change in ("identical", "constant", "not a number"):
        spoilt.add(spoil(root, made.ensemble, change, 4, spoilt).member)
    assert spoilt == {"member0", "member1", "member2"}
    with pytest.raises(KitError, match="no member is left to spoil"):
        spoil(root, made.ensemble, "constant", 0, spoilt)


def test_what_cannot_be_spoilt_is_told(mounted):
    root, made = mounted
    other = SimpleNamespace(members=[replace(made.ensemble.members[0], sha256="0" * 64)])
    with pytest.raises(KitError, match="are no file of their own below the mount"):
        spoil(root, other, "constant", 0)
    with pytest.raises(KitError, match="no two members have the same network"):
        spoil(root, other, "identical", 0)
